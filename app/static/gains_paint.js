// Paints the pairs: hollow before, filled after, the line between in the colour of the change; form says it too.
export function gainsPaint(ctx, g, d, c, S, lib) {
  ctx.clearRect(0, 0, g.w, g.h);
  ctx.font = "10px Inter, sans-serif";
  ctx.lineWidth = 1;
  for (const v of lib.levels(g)) rule(ctx, g, v, c, lib);
  mark(ctx, g, d.selected, c.select, c, lib);
  if (S.hover >= 0 && S.hover !== d.selected) mark(ctx, g, S.hover, c.soft, null, lib);
  d.layers.forEach((_, i) => pair(ctx, g, d, i, c, lib));
  labels(ctx, g, d, c, lib);
  if (S.focus && S.at >= 0) ring(ctx, g, S.at, c, lib);
}

function rule(ctx, g, v, c, { LEFT, RIGHT, yOf }) {
  const y = Math.round(yOf(g, v)) + 0.5;
  ctx.strokeStyle = c.soft;
  stroke(ctx, LEFT, y, g.w - RIGHT, y);
  ctx.fillStyle = c.text2;
  ctx.textAlign = "right";
  ctx.fillText(`${v}`.replace("-", "−"), LEFT - 7, y + 3);
}

function mark(ctx, g, i, fill, c, { xOf }) {
  if (i < 0) return;
  const w = Math.max(g.step, 3);
  ctx.fillStyle = fill;
  ctx.fillRect(xOf(g, i) - w / 2, 0, w, g.h);
  if (!c) return;
  ctx.fillStyle = c.accent;
  ctx.fillRect(xOf(g, i) - w / 2, 0, w, 2);
}

function pair(ctx, g, d, i, c, { xOf, yOf, tone }) {
  const [b, a] = [d.before[i], d.after[i]], x = xOf(g, i), how = tone(b, a), color = { better: c.ok, worse: c.hot }[how] || c.text3;
  if (b === null && a === null) return;
  ctx.strokeStyle = ctx.fillStyle = color;
  ctx.lineWidth = Math.max(1, Math.min(2.5, g.step * 0.2));
  if (b !== null && a !== null) stroke(ctx, x, yOf(g, b), x, yOf(g, a));
  if (b !== null && g.radius > 1.8) dot(ctx, x, yOf(g, b), g.radius * 0.8, c.surface, c.text2);
  if (a === null) return;
  if (how === "worse" && g.radius > 1.8) return triangle(ctx, x, yOf(g, a), g.radius * 1.15, color);
  dot(ctx, x, yOf(g, a), g.radius, color, color);
}

function labels(ctx, g, d, c, { LEFT, xOf, blocks, clipped }) {
  ctx.fillStyle = c.text2;
  if (!g.named) {
    ctx.textAlign = "left";
    for (const [i, name] of blocks(d.labels, g.step)) ctx.fillText(name, LEFT + i * g.step, g.bottom + 15);
    return;
  }
  d.labels.forEach((name, i) => {
    ctx.fillStyle = i === d.selected ? c.text : c.text2;
    ctx.save();
    ctx.translate(xOf(g, i), g.bottom + 8);
    if (g.lying) ctx.textAlign = "center";
    else {
      ctx.rotate(-Math.PI / 2);
      ctx.textAlign = "right";
    }
    ctx.fillText(clipped(name), 0, g.lying ? 8 : 3.5);
    ctx.restore();
  });
}

function ring(ctx, g, i, c, { xOf }) {
  ctx.strokeStyle = c.accent;
  ctx.lineWidth = 2;
  const w = Math.max(g.step, 6);
  ctx.strokeRect(xOf(g, i) - w / 2, 1, w, g.h - 2);
}

function stroke(ctx, x1, y1, x2, y2) {
  ctx.beginPath();
  ctx.moveTo(x1, y1);
  ctx.lineTo(x2, y2);
  ctx.stroke();
}
function dot(ctx, x, y, r, fill, line) {
  ctx.beginPath();
  ctx.arc(x, y, r, 0, 7);
  ctx.fillStyle = fill;
  ctx.fill();
  ctx.strokeStyle = line;
  ctx.lineWidth = 1.4;
  ctx.stroke();
}
function triangle(ctx, x, y, r, fill) {
  ctx.fillStyle = fill;
  ctx.beginPath();
  ctx.moveTo(x - r, y - r * 0.7);
  ctx.lineTo(x + r, y - r * 0.7);
  ctx.lineTo(x, y + r);
  ctx.fill();
}
