// Paints the graph: blocks, lines, boxes, marks. All in the picture's own px under one transform; no state of its own.
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
const GLYPHS = {
  conv: (c, x, y) => c.rect(x - 3.5, y - 3.5, 7, 7),
  pw: (c, x, y) => c.arc(x, y, 3.4, 0, 7),
  dw: (c, x, y) => [-3.5, -0.9, 1.7].forEach((d) => c.rect(x + d, y - 4, 1.8, 8)),
  gemm: (c, x, y) => (c.moveTo(x, y - 4), c.lineTo(x + 4.4, y + 4), c.lineTo(x - 4.4, y + 4), c.closePath()),
  se: (c, x, y) => (c.moveTo(x, y - 4.4), c.lineTo(x + 4.4, y), c.lineTo(x, y + 4.4), c.lineTo(x - 4.4, y), c.closePath()),
};

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
  s.p.nodes.forEach((b, i) => b.length && seen(b) && node(ctx, s, b, i));
  for (const f of s.p.folded) if (seen(f)) folded(ctx, s, f);
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

function chevron(ctx, x, y, open, colour) {
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

function round(ctx, b, r) {
  ctx.beginPath();
  ctx.roundRect(b[0], b[1], b[2], b[3], r);
}

function node(ctx, s, b, i) {
  const { c } = s, [, , kind, layer, glyph] = s.g.facts.nodes[i];
  const how = layer >= 0 ? s.look(layer) : null, ends = kind === "input" || kind === "output";
  const fill = how && !how.unknown ? blend(c.off, c[how.token], how.strength) : how ? c.raised2 : ends ? c.raised2 : c.surface;
  round(ctx, b, ends ? b[3] / 2 : 5);
  ctx.fillStyle = fill;
  ctx.fill();
  ctx.setLineDash(how?.unknown ? [3, 3] : []);
  ctx.strokeStyle = how && !how.unknown ? blend(fill, inkOn(fill), 0.22) : c.tick;
  ctx.lineWidth = s.thin;
  ctx.stroke();
  ctx.setLineDash([]);
  ring(ctx, s, b, i, layer >= 0 && s.sel.has(layer), s.hover?.what === "node" && s.hover.i === i);
  if (layer >= 0) flags(ctx, s, b, layer);
  if (s.words) text(ctx, s, b, how, glyph, how && !how.unknown ? inkOn(fill) : how || ends ? c.text : c.text2);
}

function text(ctx, s, b, how, glyph, ink) {
  const y = b[1] + b[3] / 2;
  ctx.fillStyle = ink;
  ctx.font = `500 ${s.size}px ${FONT}`;
  if (!how) {
    ctx.textAlign = "center";
    return ctx.fillText(clipped(ctx, b[4], b[2] - 6), b[0] + b[2] / 2, y + s.size * 0.35);
  }
  if (!s.figures) {
    ctx.textAlign = "center";
    return ctx.fillText(clipped(ctx, b[4], b[2] - 8), b[0] + b[2] / 2, y + s.size * 0.35);
  }
  ctx.beginPath();
  (GLYPHS[glyph] || GLYPHS.se)(ctx, b[0] + 11, y);
  ctx.globalAlpha = 0.75;
  ctx.fill();
  ctx.globalAlpha = 1;
  ctx.textAlign = "left";
  ctx.fillText(clipped(ctx, b[4], b[2] - 54), b[0] + 19, y + s.size * 0.35);
  ctx.textAlign = "right";
  ctx.font = `600 9.5px ${FONT}`;
  ctx.fillText(how.text, b[0] + b[2] - 7, y + 3.5);
}

export function clipped(ctx, words, room) {
  if (ctx.measureText(words).width <= room) return words;
  let n = words.length;
  while (n > 1 && ctx.measureText("…" + words.slice(-n)).width > room) n -= 1;
  return "…" + words.slice(-n);
}

// The corner says that the effective precision is not the one asked for; a line along the side, that the target cannot run it.
function flags(ctx, s, b, layer) {
  const { live, c } = s, at = (list) => s.value(list, layer);
  if (!at(live.legal)) {
    ctx.fillStyle = c.hot;
    ctx.fillRect(b[0], b[1] + 4, 3, b[3] - 8);
  }
  if (at(live.eff) === "float" || at(live.eff) === at(live.req)) return;
  ctx.beginPath();
  ctx.moveTo(b[0] + b[2] - 9, b[1]);
  ctx.lineTo(b[0] + b[2], b[1]);
  ctx.lineTo(b[0] + b[2], b[1] + 9);
  ctx.fillStyle = c.text;
  ctx.fill();
}

function ring(ctx, s, b, i, selected, hovered) {
  const current = s.at === i || (s.g.inside[s.at] >= 0 && s.g.members(s.at).includes(i));
  if (!selected && !hovered && !(current && s.focus)) return;
  ctx.beginPath();
  ctx.roundRect(b[0] - 2.5, b[1] - 2.5, b[2] + 5, b[3] + 5, 7.5);
  ctx.strokeStyle = selected || (current && s.focus) ? s.c.accent : s.c.text3;
  ctx.lineWidth = Math.max(selected ? 2.2 : 1.4, (selected ? 1.8 : 1) / s.v.k);
  ctx.setLineDash(current && s.focus && !selected ? [4, 3] : []);
  ctx.stroke();
  ctx.setLineDash([]);
}

// A folded block: its name, and a stripe in the colour of each of its layers.
function folded(ctx, s, f) {
  const { c } = s, layers = f[6].map((i) => s.g.facts.nodes[i][3]).filter((l) => l >= 0);
  round(ctx, f, 6);
  ctx.fillStyle = c.raised2;
  ctx.fill();
  ctx.strokeStyle = c.tick;
  ctx.lineWidth = s.thin;
  ctx.stroke();
  const wide = (f[2] - 14) / Math.max(layers.length, 1), gap = wide > 4 ? 1.5 : 0;
  layers.forEach((l, j) => {
    const how = s.look(l);
    ctx.fillStyle = how.unknown ? c.off : blend(c.off, c[how.token], how.strength);
    ctx.fillRect(f[0] + 7 + j * wide, f[1] + f[3] - 12, Math.max(wide - gap, 0.6), 7);
  });
  ring(ctx, s, f, f[6][0], layers.some((l) => s.sel.has(l)), s.hover?.name === f[4]);
  if (!s.words) return;
  chevron(ctx, f[0] + 10, f[1] + 11, false, c.text2);
  ctx.fillStyle = c.text;
  ctx.font = `500 10.5px ${FONT}`;
  ctx.textAlign = "left";
  ctx.fillText(clipped(ctx, f[5], f[2] - 44), f[0] + 18, f[1] + 14.5);
  ctx.textAlign = "right";
  ctx.fillStyle = c.text2;
  ctx.font = `500 9.5px ${FONT}`;
  ctx.fillText(String(f[6].length), f[0] + f[2] - 7, f[1] + 14.5);
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
