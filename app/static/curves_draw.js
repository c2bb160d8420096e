// The curves of a training as a list of shapes: [tag, attributes, text]. Pure: data and sizes in, shapes and places out.
const { linear, log, ticks, words } = await import(`./plots_axes.js${new URL(import.meta.url).search}`);
const LEFT = 46, RIGHT = 76, NARROW = 44, TOP = 22, FOOT = 24, GAP = 10;
const label = (x, y, text, cls = "", anchor = "middle") => ["text", { x, y, "text-anchor": anchor, class: cls }, text];
const line = (x1, y1, x2, y2, cls) => ["line", { x1, y1, x2, y2, class: cls }];
const dot = (cx, cy, r, cls) => ["circle", { cx, cy, r, class: cls }];

// The panes side by side: the loss, and the score where there is one.
export function panes(d, w, h) {
  const two = d.metric !== "", each = two ? (w - GAP) / 2 : w;
  const pane = (at, gutter) => ({ left: at + LEFT, right: at + each - gutter, top: TOP, bottom: h - FOOT });
  const loss = pane(0, NARROW), score = two ? pane(each + GAP, RIGHT) : null;
  for (const p of [loss, score]) if (p) p.x = linear(0, Math.max(1, d.epochs), p.left, p.right);
  return { loss, score, w, h };
}

const span = (values, least) => {
  const [a, b] = [Math.min(...values), Math.max(...values)], air = Math.max((b - a) * 0.08, least);
  return [a - air, b + air];
};

export function lossScale(d, p) {
  const all = [d.start, ...d.points.flatMap((e) => [e.loss, e.held]), d.live?.loss].filter((v) => v > 0);
  if (!all.length) return null;
  const [a, b] = [Math.min(...all), Math.max(...all)];
  return { y: log(a / 1.15, b * 1.15, p.bottom, p.top), a: a / 1.15, b: b * 1.15 };
}

export function scoreScale(d, p) {
  const all = [d.startScore, d.float, ...d.points.map((e) => e.score)].filter((v) => v != null);
  if (!all.length) return null;
  const [a, b] = span(all, 0.25);
  return { y: linear(a, Math.min(b, Math.max(...all) === 100 ? 100.5 : b), p.bottom, p.top), a, b };
}

// 1, 2 and 5 times powers of ten between two ends; every other one where there are many.
export function logTicks(a, b, most) {
  const out = [];
  for (let k = Math.floor(Math.log10(a)); k <= Math.ceil(Math.log10(b)); k++) for (const m of [1, 2, 5]) out.push(+(m * 10 ** k).toPrecision(3));
  const inside = out.filter((v) => v >= a && v <= b);
  const whole = inside.filter((v) => Math.abs(Math.log10(v) % 1) < 1e-9);
  return inside.length <= most ? inside : whole.length >= 2 ? whole.slice(-most) : inside.slice(0, most);
}

export function curves(d, w, h) {
  const g = panes(d, w, h), out = [];
  const loss = lossScale(d, g.loss), score = g.score && scoreScale(d, g.score);
  out.push(...frame(d, g.loss, g.loss.right - g.loss.left > 280 ? "Loss, lower is better" : "Loss"), ...legend(g.loss), ...(g.score ? frame(d, g.score, `Held-out ${d.metric}, %`) : []));
  if (loss) {
    out.push(...grid(g.loss, loss.y, logTicks(loss.a, loss.b, 6)), ...reference(g.loss, loss.y, d.start, "start", "start"));
    out.push(...curve(g.loss, loss.y, d.points.map((e) => [e.n, e.loss]), "train"), ...curve(g.loss, loss.y, held(d, "held", "start"), "held"));
    if (d.live) out.push(...running(d, g.loss, loss.y));
  }
  if (score) {
    const names = apart(d, score.y);
    out.push(...grid(g.score, score.y, ticks(score.a, score.b, (g.score.bottom - g.score.top) / 40)));
    out.push(...reference(g.score, score.y, d.float, "float", `float ${fixed(d.float)}`, names[0]), ...reference(g.score, score.y, d.startScore, "start", `start ${fixed(d.startScore)}`, names[1]));
    out.push(...curve(g.score, score.y, held(d, "score", "startScore"), "held"), ...last(d, g.score, score.y));
  }
  for (const [p, s, key] of [[g.loss, loss, "held"], [g.score, score, "score"]]) if (p && s) out.push(...best(d, p, s.y, key));
  return out;
}

// Which line is which, at the right of the title.
function legend(p) {
  const at = p.right, key = (x, cls) => ["path", { d: `M${x} 8h16`, class: cls }];
  return [label(at, 11, "training", "tick", "end"), key(at - 62, "train"), label(at - 74, 11, "held-out", "tick", "end"), key(at - 138, "held")];
}

const fixed = (v) => (v == null ? "" : v.toFixed(1));
const held = (d, key, start) => [...(d[start] == null ? [] : [[0, d[start]]]), ...d.points.filter((e) => e[key] != null).map((e) => [e.n, e[key]])];

function frame(d, p, title) {
  const every = Math.max(1, Math.ceil(d.epochs / Math.max(1, (p.right - p.left) / 34))), out = [label(p.left, 11, title, "title", "start"), line(p.left, p.bottom, p.right, p.bottom, "axis")];
  for (let k = 0; k <= d.epochs; k += every) out.push(line(p.x(k), p.bottom, p.x(k), p.bottom + 4, "axis"), label(p.x(k), p.bottom + 16, k ? `${k}` : "start", "tick"));
  return out;
}

const grid = (p, y, at) => at.flatMap((v) => [line(p.left, y(v), p.right, y(v), "grid"), label(p.left - 7, y(v) + 3.5, words(v), "tick", "end")]);

function reference(p, y, v, cls, text, shift = 0) {
  return v == null ? [] : [line(p.left, y(v), p.right, y(v), cls), label(p.right + 6, y(v) + 3.5 + shift, text, cls + "t", "start")];
}

// The labels of two lines that nearly touch move apart.
function apart(d, y) {
  if (d.float == null || d.startScore == null) return [0, 0];
  const near = 13 - Math.abs(y(d.float) - y(d.startScore)), up = y(d.float) <= y(d.startScore) ? -1 : 1;
  return near > 0 ? [(up * near) / 2, (-up * near) / 2] : [0, 0];
}

function curve(p, y, points, cls) {
  if (!points.length) return [];
  const path = points.map(([n, v], i) => `${i ? "L" : "M"}${p.x(n).toFixed(1)} ${y(v).toFixed(1)}`).join(""), small = points.length > 60;
  return [["path", { d: path, class: cls }], ...(small || (cls === "train" && points.length > 1) ? [] : points.map(([n, v]) => dot(p.x(n), y(v), n ? 3 : 3.5, n ? cls : "zero")))];
}

// The epoch that runs: the mean loss of its steps so far, hollow until it is done.
function running(d, p, y) {
  const at = d.points.at(-1), x = p.x(Math.min(d.live.x, d.epochs)), out = [];
  if (at && d.live.loss > 0) out.push(line(p.x(at.n), y(at.loss), x, y(d.live.loss), "link"));
  return d.live.loss > 0 ? [...out, line(x, p.top, x, p.bottom, "now"), dot(x, y(d.live.loss), 4.5, "live")] : out;
}

// The last score in figures, unless a line's own label is in its way.
function last(d, p, y) {
  const e = d.points.at(-1);
  if (e?.score == null) return [];
  const x = p.x(e.n), free = [d.float, d.startScore].every((v) => v == null || Math.abs(y(v) - y(e.score) + 9) > 12);
  return [label(x, y(e.score) + (free ? -9 : 17), e.score.toFixed(2), "num", x > p.right - 24 ? "end" : "middle")];
}

// The epoch that is kept: a ring and a flag.
function best(d, p, y, key) {
  const e = d.points.find((point) => point.n === d.best);
  if (!e || e[key] == null) return [];
  const x = p.x(e.n);
  const at = y(e[key]), low = p.bottom - at < 26, right = x > p.right - 30 || !!d.live;
  const flag = key === "held" ? [label(x + (right ? -9 : 9), low ? at - 9 : p.bottom - 6, d.kept ? "kept" : "best", "flag", right ? "end" : "start")] : [];
  return [dot(x, at, 6.5, "best"), ...(low ? [] : [line(x, at + 7, x, p.bottom, "kept")]), ...flag];
}

// The epoch nearest to a place on the page; 0 is the start, -1 nothing.
export function epochAt(d, g, x) {
  for (const p of [g.loss, g.score]) {
    if (!p || x < p.left - 8 || x > p.right + 8) continue;
    const n = Math.round(((x - p.left) / (p.right - p.left)) * Math.max(1, d.epochs));
    return n === 0 ? 0 : d.points.some((e) => e.n === n) ? n : -1;
  }
  return -1;
}
export const nextEpoch = (d, n, key) => {
  const last = d.points.length, to = { ArrowLeft: n - 1, ArrowRight: n + 1, Home: 0, End: last }[key];
  return to === undefined ? n : Math.max(0, Math.min(last, to));
};

// An epoch in words, line by line.
export function said(d, n) {
  const small = (v) => (v == null ? "–" : +v.toPrecision(4) + "");
  if (n === 0) return ["Before the first step", `held-out loss ${small(d.start)}`, ...(d.startScore == null ? [] : [`score ${d.startScore.toFixed(2)} %, float ${d.float?.toFixed(2) ?? "–"} %`])];
  const e = d.points.find((point) => point.n === n);
  if (!e) return [];
  const head = `Epoch ${n}${n === d.best ? (d.kept ? ", kept" : ", the best so far") : ""}`;
  return [head, `held-out loss ${small(e.held)}, training loss ${small(e.loss)}`, ...(e.score == null ? [] : [`score ${e.score.toFixed(2)} %`]), e.said];
}
