// Small strokes that every canvas of the rack uses.
const FONT = "Inter, sans-serif";
export const font = (x, weight, size, style = "") => (x.font = `${style} ${weight} ${size}px ${FONT}`);
export const box = (x, a, b, w, h, r) => (x.beginPath(), x.roundRect(a, b, Math.max(0, w), Math.max(0, h), r));
export const text = (x, words, cx, y, color, align = "center") => ((x.textAlign = align), (x.fillStyle = color), x.fillText(words, cx, y));

// One glyph for each kind of op, so that colour is never the only sign.
const GLYPHS = {
  conv: (x, cx, cy, r) => x.rect(cx - r + 0.5, cy - r + 0.5, 2 * r - 1, 2 * r - 1),
  pw: (x, cx, cy, r) => x.arc(cx, cy, r * 0.74, 0, 7),
  dw: (x, cx, cy, r) => [-1, 0, 1].forEach((k) => x.rect(cx + k * r * 0.8 - r * 0.22, cy - r + 0.5, r * 0.46, 2 * r - 1)),
  gemm: (x, cx, cy, r) => (x.moveTo(cx, cy - r), x.lineTo(cx + r, cy + r * 0.8), x.lineTo(cx - r, cy + r * 0.8)),
  se: (x, cx, cy, r) => (x.moveTo(cx, cy - r), x.lineTo(cx + r, cy), x.lineTo(cx, cy + r), x.lineTo(cx - r, cy)),
};
export const kindOf = (k) => (GLYPHS[k] ? k : "se");
export function glyph(x, t, kind, cx, cy, r) {
  x.fillStyle = t[kindOf(kind)];
  x.beginPath();
  GLYPHS[kindOf(kind)](x, cx, cy, r);
  x.fill();
}

// Cut to the room, with an ellipsis.
export function fitted(x, words, room) {
  if (x.measureText(words).width <= room) return words;
  let s = words;
  while (s.length > 2 && x.measureText(s + "…").width > room) s = s.slice(0, -1);
  return s + "…";
}
