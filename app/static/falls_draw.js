// The waterfall as a list of shapes: [tag, attributes, text]. Pure: data and sizes in, shapes and places out.
const { linear, ticks, words } = await import(`./plots_axes.js${new URL(import.meta.url).search}`);
const LEFT = 54, RIGHT = 66, TOP = 24, LANE = 54, NAMES = 34;
const label = (x, y, text, cls = "", anchor = "middle", tip = "") => ["text", { x, y, "text-anchor": anchor, class: cls }, text, tip];
const line = (x1, y1, x2, y2, cls) => ["line", { x1, y1, x2, y2, class: cls }];
const rect = (x, y, width, height, cls, more) => ["rect", { x, y, width: Math.max(0, width), height: Math.max(0, height), class: cls, ...more }];

// Where the columns and the three areas stand.
export function areas(d, w, h) {
  const n = Math.max(1, d.stages.length), step = (w - LEFT - RIGHT) / n;
  return { n, step, bar: Math.min(62, step * 0.6), top: TOP, bottom: h - NAMES - LANE, lane: h - NAMES - LANE + 16, floor: h - NAMES - 4, x: (i) => LEFT + (i + 0.5) * step, w, h };
}

// The scale: everything that is drawn, with some air; never so narrow that noise fills the picture.
export function span(d) {
  const all = d.stages.flatMap((s) => [s.v, s.from, s.lo, s.hi]).concat(d.float).filter((v) => v != null);
  if (!all.length) return [0, 1];
  const [a, b] = [Math.min(...all), Math.max(...all)], least = d.unit === "%" ? 0.5 : Math.abs(b) * 0.01 || 1, air = Math.max(b - a, least) * 0.09;
  return [a - air - Math.max(0, least - (b - a)), b + air];
}

export function falls(d, w, h) {
  const g = areas(d, w, h), [a, b] = span(d), y = linear(a, b, g.bottom, g.top), out = [];
  const known = d.float != null || d.stages.some((s) => s.v != null);
  for (const v of known ? ticks(a, b, (g.bottom - g.top) / 44) : []) out.push(line(LEFT, y(v), w - RIGHT, y(v), "grid"), label(LEFT - 8, y(v) + 3.5, words(v), "tick", "end"));
  if (known) out.push(label(LEFT - 8, g.top - 10, d.unit, "tick", "end", d.tips?.metric), ...lane(d, g));
  if (d.float != null) out.push(line(LEFT, y(d.float), w - RIGHT, y(d.float), "float"), label(w - RIGHT + 6, y(d.float) + 3.5, d.floatText, "floatt", "start"));
  let level = null;
  d.stages.forEach((s, i) => {
    const x = g.x(i);
    if (s.sel) out.unshift(rect(x - g.step / 2 + 1, 0, g.step - 2, h, "sel", { rx: 5 }));
    if (level !== null && s.kind !== "ghost") out.push(line(g.x(i - 1) + g.bar / 2, y(level), x - g.bar / 2, y(level), "link"));
    out.push(...(s.kind === "ghost" ? ghost(s, x, g) : s.kind === "step" ? fall(s, x, y, g, d) : plate(s, x, y, g)), ...names(s, x, g));
    level = s.kind === "ghost" ? null : s.v;
  });
  return out;
}

// The first and the last level: a cap whose body fades, because the axis does not begin at zero.
function plate(s, x, y, g) {
  if (s.v == null) return [];
  const cls = s.kind === "end" ? "end" : "start", at = y(s.v);
  return [rect(x - g.bar / 2, at, g.bar, g.bottom - at, cls, { fill: `url(#fade-${cls})` }), rect(x - g.bar / 2, at - 1.5, g.bar, 3, "cap " + cls, { rx: 1.5 }), ...whisker(s, x, y), label(x, top(s, y) - 7, s.text, "num " + cls)];
}

function fall(s, x, y, g, d) {
  if (s.v == null || s.from == null) return [];
  const [up, down] = [Math.min(y(s.v), y(s.from)), Math.max(y(s.v), y(s.from))], cls = `bar ${s.tone} ${s.open ? "open" : ""}`;
  const sign = s.harm ? "▼ " : s.open ? "" : "▲ ", tone = s.open && !s.harm ? "same" : s.tone;
  const below = s.v < s.from && s.lo != null ? y(s.lo) + 16 : g.h, place = below < g.bottom ? below : Math.min(top(s, y), y(s.from)) - 7;
  return [rect(x - g.bar / 2, up, g.bar, Math.max(2.5, down - up), cls, { rx: 2 }), ...whisker(s, x, y), label(x, place, g.step > 74 ? `${sign}${s.text} ${d.points}` : s.text, `num ${tone}`)];
}

const top = (s, y) => Math.min(y(s.v), s.hi == null ? Infinity : y(s.hi));

function whisker(s, x, y) {
  if (s.lo == null || s.hi == null) return [];
  return [line(x, y(s.lo), x, y(s.hi), "whisker"), line(x - 4, y(s.lo), x + 4, y(s.lo), "whisker"), line(x - 4, y(s.hi), x + 4, y(s.hi), "whisker")];
}

// A step that is not measured: an empty place, filling while it runs.
function ghost(s, x, g) {
  const height = (g.bottom - g.top) * 0.5, up = g.top + (g.bottom - g.top) * 0.25, out = [rect(x - g.bar / 2, up, g.bar, height, "ghost" + (s.now ? " now" : ""), { rx: 4 })];
  if (s.now && s.share != null) out.push(rect(x - g.bar / 2, up + height * (1 - s.share), g.bar, height * s.share, "filling", { rx: 3 }));
  return [...out, label(x, up + height / 2 + 4, s.now ? (s.share == null ? "runs" : `${Math.round(100 * s.share)} %`) : "?", "ghostt")];
}

const cut = (text, room) => (text.length * 6.3 <= room ? text : text.slice(0, Math.max(3, Math.floor(room / 6.3) - 1)) + "…");

function names(s, x, g) {
  return [label(x, g.h - 20, cut(s.label, g.step - 4), "name" + (s.sel ? " on" : "") + (s.kind === "ghost" ? " dim" : "")), label(x, g.h - 7, cut(s.sub || "", g.step - 2), "sub")];
}

// Below: the SQNR at the output after each stage, as a line with its numbers.
function lane(d, g) {
  const known = d.stages.map((s, i) => [i, s.sqnr, s.sqnrText]).filter(([, v]) => v != null);
  if (!known.length) return [];
  const values = known.map(([, v]) => v), air = Math.max(0, 2 - (Math.max(...values) - Math.min(...values))) / 2;
  const y = linear(Math.min(...values) - air, Math.max(...values) + air, g.floor - 6, g.lane + 12);
  const out = [line(LEFT, g.bottom, g.w - RIGHT, g.bottom, "axis"), label(LEFT - 8, g.lane + 12, "SQNR", "tick", "end", d.tips?.sqnr), label(LEFT - 8, g.lane + 24, "dB", "tick", "end")];
  out.push(["path", { d: known.map(([i, v], k) => `${k ? "L" : "M"}${g.x(i)} ${y(v)}`).join(""), class: "sqnr" }]);
  for (const [i, v, text] of known) out.push(["circle", { cx: g.x(i), cy: y(v), r: 3, class: "sqnr" }], label(g.x(i), y(v) - 7, text, "db"));
  return out;
}
