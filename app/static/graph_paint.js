// Paints the graph: blocks, lines, marks, and between them the boxes of graph_boxes.js. All in the picture's own px
// under one transform; no state of its own. `s.lib` holds what the other parts export.
const NAMES = ["surface", "chassis", "raised2", "line", "text", "text2", "text3", "accent", "ok", "mid", "hot", "off", "tick", "ghost", "conv", "pw", "dw", "gemm", "se", "select", "bg"];
const FONT = "Inter, system-ui, sans-serif";
export const palette = (root) => {
  const css = getComputedStyle(root);
  return Object.fromEntries(NAMES.map((n) => [n, css.getPropertyValue(`--${n}`).trim()]));
};
const rgb = (c) => [1, 3, 5].map((i) => parseInt(c.slice(i, i + 2), 16));
export const blend = (under, over, share) => "#" + rgb(under).map((a, i) => Math.round(a + (rgb(over)[i] - a) * share).toString(16).padStart(2, "0")).join("");
const light = (c) => rgb(c).map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4)).reduce((s, v, i) => s + v * [0.2126, 0.7152, 0.0722][i], 0);
export const contrast = (a, b) => (([x, y]) => (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05))([light(a), light(b)]);
export const inkOn = (fill) => (contrast(fill, "#04060a") >= contrast(fill, "#ffffff") ? "#04060a" : "#ffffff");
// s: { g, p, v, c, w, h, dpr, live, look, mode, sel (set of layers), at, hover, marks, lit (set of edges), marked, focus }
export function paint(ctx, s) {
  const { v, c, dpr } = s;
  ctx.setTransform(dpr, 0, 0, dpr, 0, 0);
  ctx.clearRect(0, 0, s.w, s.h);
  ctx.setTransform(dpr * v.k, 0, 0, dpr * v.k, dpr * v.x, dpr * v.y);
  const seen = (b) => b[0] * v.k + v.x < s.w && (b[0] + b[2]) * v.k + v.x > 0 && b[1] * v.k + v.y < s.h && (b[1] + b[3]) * v.k + v.y > 0;
  s.thin = Math.max(1.1, 0.75 / v.k);
  s.words = v.k > 0.44;
  s.figures = v.k > 0.72;
  s.size = Math.min(Math.max(10.5, 8.6 / v.k), 16);
  for (const b of s.p.blocks) if (seen(b)) block(ctx, s, b);
  lines(ctx, s, false);
  if (s.lit.size) lines(ctx, s, true);
  if (s.words) for (const b of s.p.blocks) if (seen(b)) title(ctx, s, b);
  s.p.nodes.forEach((b, i) => b.length && seen(b) && s.lib.node(ctx, s, b, i));
  for (const f of s.p.folded) if (seen(f)) s.lib.folded(ctx, s, f);
  s.marks.forEach((m, i) => mark(ctx, s, m, i === s.marked));
  ctx.setTransform(dpr, 0, 0, dpr, 0, 0);
  if (!s.words) for (const b of s.p.blocks) if (seen(b)) farTitle(ctx, s, b);
  return c;
}

function block(ctx, s, b) {
  const { c } = s, lit = s.hover?.name === b[4];
  round(ctx, b, 8);
  ctx.fillStyle = c.chassis;
  ctx.fill();
  ctx.strokeStyle = lit ? c.text3 : c.line;
  ctx.lineWidth = s.thin;
  ctx.stroke();
}

// Over the lines, on a patch of its own.
function title(ctx, s, b) {
  const { c } = s, lit = s.hover?.name === b[4];
  ctx.font = `500 10.5px ${FONT}`;
  ctx.globalAlpha = 0.86;
  ctx.fillStyle = c.chassis;
  ctx.fillRect(b[0] + 4, b[1] + 3, ctx.measureText(b[5]).width + 20, 14.5);
  ctx.globalAlpha = 1;
  ctx.fillStyle = lit ? c.text : c.text2;
  ctx.textAlign = "left";
  ctx.fillText(b[5], b[0] + 20, b[1] + 14);
  chevron(ctx, b[0] + 11, b[1] + 10.5, true, lit ? c.text : c.text3);
}

export function chevron(ctx, x, y, open, colour) {
  ctx.beginPath();
  open ? (ctx.moveTo(x - 3, y - 1.5), ctx.lineTo(x, y + 1.8), ctx.lineTo(x + 3, y - 1.5)) : (ctx.moveTo(x - 1.5, y - 3), ctx.lineTo(x + 1.8, y), ctx.lineTo(x - 1.5, y + 3));
  ctx.strokeStyle = colour;
  ctx.lineWidth = 1.4;
  ctx.stroke();
}

// Far away, a block's name stands at the top of its frame, as large as it can be read, where there is room for it.
function farTitle(ctx, s, b) {
  const { v, c } = s, w = b[2] * v.k, x = b[0] * v.k + v.x, y = b[1] * v.k + v.y;
  ctx.font = `600 9px ${FONT}`;
  const text = w > 84 ? b[5] : b[5].split(/[./]/).pop(), wide = ctx.measureText(text).width;
  if (w < wide + 6 || b[3] * v.k < 26) return;
  ctx.globalAlpha = 0.8;
  ctx.fillStyle = c.chassis;
  ctx.fillRect(x + 2, y + 1.5, wide + 4, 11);
  ctx.globalAlpha = 1;
  ctx.fillStyle = c.text2;
  ctx.textAlign = "left";
  ctx.fillText(text, x + 4, y + 10.5);
}

function lines(ctx, s, lit) {
  ctx.beginPath();
  for (const [p, edges, wraps] of s.p.lines) {
    if (lit !== edges.some((e) => s.lit.has(e)) && (lit || s.lit.size)) continue;
    trace(ctx, p, wraps);
  }
  ctx.strokeStyle = lit ? s.c.accent : s.c.text3;
  ctx.globalAlpha = s.fade * (lit ? 1 : 0.75);
  ctx.lineWidth = lit ? Math.max(1.9, 1.6 / s.v.k) : s.thin;
  ctx.stroke();
  ctx.globalAlpha = 1;
}

export function trace(ctx, p, wraps) {
  ctx.moveTo(p[0], p[1]);
  for (let i = 2; i < p.length; i += 2) {
    const x0 = p[i - 2], y0 = p[i - 1], x1 = p[i], y1 = p[i + 1];
    if (wraps && i + 2 < p.length) ctx.arcTo(x1, y1, p[i + 2], p[i + 3], 8);
    else if (wraps || Math.abs(x1 - x0) < 0.3) ctx.lineTo(x1, y1);
    else ctx.bezierCurveTo(x0, (y0 + y1) / 2, x1, (y0 + y1) / 2, x1, y1);
  }
}

export function round(ctx, b, r) {
  ctx.beginPath();
  ctx.roundRect(b[0], b[1], b[2], b[3], r);
}

function mark(ctx, s, m, chosen) {
  const r = (chosen ? 6 : 4.6) * Math.max(1, 0.55 / s.v.k);
  ctx.beginPath();
  ctx.moveTo(m.x, m.y - r);
  ctx.lineTo(m.x + r, m.y);
  ctx.lineTo(m.x, m.y + r);
  ctx.lineTo(m.x - r, m.y);
  ctx.closePath();
  ctx.fillStyle = chosen ? s.c.accent : s.c.ghost;
  ctx.fill();
  ctx.strokeStyle = s.c.chassis;
  ctx.lineWidth = s.thin * 1.2;
  ctx.stroke();
}
