// Trials as lines over parallel axes, a setting an axis, the loss the last one. Pure: data and sizes in, shapes and places out.
const { linear, log, words } = await import(`./plots_axes.js${new URL(import.meta.url).search}`);
const LEFT = 14, RIGHT = 58, TOP = 22, FOOT = 16, FEW = 26;
const label = (x, y, text, cls = "", anchor = "middle") => ["text", { x, y, "text-anchor": anchor, class: cls }, text];

// The axes with their places and scales; the least loss stands highest.
export function axes(d, w, h) {
  const shown = [...d.axes, { name: "", title: "held-out loss", loss: true }], step = shown.length > 1 ? (w - LEFT - RIGHT - FEW * 2) / (shown.length - 1) : 0;
  return shown.map((a, i) => {
    const values = lossOrSetting(d, a), [top, bottom] = [TOP, h - FOOT], x = LEFT + FEW + i * step;
    if (a.kinds) return { ...a, x, top, bottom, low: a.kinds[0], high: a.kinds.at(-1), y: (v) => (a.kinds.length < 2 ? (top + bottom) / 2 : linear(0, a.kinds.length - 1, bottom - 8, top + 8)(a.kinds.indexOf(`${v}`))) };
    const [low, high] = values.length ? [Math.min(...values), Math.max(...values)] : [0, 1];
    if (low === high) return { ...a, x, top, bottom, low, high, y: () => (top + bottom) / 2 };
    const scale = (a.log || a.loss) && low > 0 ? log : linear;
    return { ...a, x, top, bottom, low, high, y: a.loss ? scale(low, high, top + 6, bottom - 6) : scale(low, high, bottom - 6, top + 6) };
  });
}

const lossOrSetting = (d, a) => shownOf(d).map((t) => (a.loss ? t.loss : t.settings[a.name])).filter((v) => typeof v === "number");
// Trials that have come so far that a line can be drawn, the best last so that it lies on top.
export const shownOf = (d) => d.trials.filter((t) => t.loss != null && t.state !== "failed").sort((a, b) => b.loss - a.loss);

export function lines(d, all) {
  return shownOf(d).map((t) => ({ number: t.number, state: t.state, points: all.map((a) => [a.x, a.loss ? a.y(t.loss) : a.name in t.settings ? a.y(t.settings[a.name]) : (a.top + a.bottom) / 2]) }));
}

export function trials(d, w, h, hover = -1) {
  const all = axes(d, w, h), out = [], text = [];
  for (const a of all) {
    out.push(["line", { x1: a.x, y1: a.top, x2: a.x, y2: a.bottom, class: "axis" + (a.loss ? " loss" : "") }]);
    text.push(label(a.x, 11, a.title, "title"));
    if (a.kinds) a.kinds.forEach((k) => text.push(label(a.x + 7, a.y(k) + 3.5, k, "tick", "start")));
    else if (a.low === a.high) text.push(label(a.x + 7, (a.top + a.bottom) / 2 - 6, value(a.low), "tick", "start"));
    else text.push(label(a.x + 7, a.top + 9, value(a.loss ? a.low : a.high), "tick", "start"), label(a.x + 7, a.bottom - 3, value(a.loss ? a.high : a.low), "tick", "start"));
  }
  for (const l of lines(d, all)) {
    const cls = `trial ${l.state}` + (l.number === d.best ? " best" : "") + (l.number === d.chosen ? " chosen" : "") + (l.number === hover ? " hover" : "");
    out.push(["path", { d: smooth(l.points), class: cls }], ["circle", { cx: l.points.at(-1)[0], cy: l.points.at(-1)[1], r: l.number === d.chosen ? 4 : 2.6, class: cls }]);
  }
  return [...out, ...text]; // words lie over the lines
}

export const value = (v) => (typeof v === "number" ? words(v) : `${v}`);

function smooth(points) {
  return points.map(([x, y], i) => {
    if (!i) return `M${x.toFixed(1)} ${y.toFixed(1)}`;
    const [px, py] = points[i - 1], mid = (px + x) / 2;
    return `C${mid.toFixed(1)} ${py.toFixed(1)} ${mid.toFixed(1)} ${y.toFixed(1)} ${x.toFixed(1)} ${y.toFixed(1)}`;
  }).join("");
}

// The trial whose line is nearest at a place; -1 where none is within reach.
export function trialAt(d, all, x, y, reach = 9) {
  let found = -1, least = reach;
  for (const l of lines(d, all)) {
    const i = Math.max(1, Math.min(l.points.length - 1, l.points.findIndex(([px]) => px >= x)));
    const [a, b] = [l.points[Math.max(0, i - 1)], l.points[i] ?? l.points[0]], t = b[0] > a[0] ? Math.max(0, Math.min(1, (x - a[0]) / (b[0] - a[0]))) : 0;
    const ease = t * t * (3 - 2 * t), away = Math.abs(a[1] + (b[1] - a[1]) * ease - y);
    if (away < least) [found, least] = [l.number, away];
  }
  return found;
}

// The rows of the table: finished ones by loss, then what was ended early, runs or failed.
export function ranked(d) {
  const rank = { complete: 0, pruned: 1, running: 2, failed: 3 };
  return [...d.trials].sort((a, b) => (rank[a.state] ?? 9) - (rank[b.state] ?? 9) || (a.loss ?? Infinity) - (b.loss ?? Infinity) || a.number - b.number);
}
