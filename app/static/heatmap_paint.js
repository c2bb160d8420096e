// Paints the heatmap's cells. Colour is never alone: amber and red carry a glyph or a height, estimates are hollow, illegal cells crossed.
const HEIGHTS = { ok: 0.34, mid: 0.6, hot: 0.86, off: 0.08 };
const FULL = 0.75;
const rgb = (h) => [1, 3, 5].map((k) => parseInt(h.slice(k, k + 2), 16));
export const mix = (under, over, share) => {
  const a = rgb(under), b = rgb(over);
  return "#" + a.map((v, i) => Math.round(v + (b[i] - v) * share).toString(16).padStart(2, "0")).join("");
};

export const heatPaint = (ctx, g, d, c, view, lib) => {
  const { LEFT, TOP, ROW } = lib;
  ctx.clearRect(0, 0, g.width, g.height);
  for (const row of d.noisy) box(ctx, LEFT - 2, TOP + row * ROW, g.columns * g.step + 4, ROW, c.chassis);
  d.cells.forEach((cell, n) => one(ctx, g, cell, n % g.columns, Math.floor(n / g.columns), c, lib));
  names(ctx, g, d, c, lib);
  if (d.chosen >= 0) box(ctx, LEFT - 5, TOP + d.chosen * ROW + 3, 3, ROW - 6, c.accent);
  if (d.selected >= 0 && d.selected < g.columns) frame(ctx, LEFT + d.selected * g.step, TOP, g.step, g.rows * ROW, c);
  if (view.hover) ring(ctx, LEFT + view.hover.column * g.step, TOP + view.hover.row * ROW, g.step, ROW, c.text3);
  if (view.focus && view.at) ring(ctx, LEFT + view.at.column * g.step, TOP + view.at.row * ROW, g.step, ROW, c.accent);
};

const box = (ctx, x, y, w, h, fill) => {
  ctx.fillStyle = fill;
  ctx.fillRect(x, y, w, h);
};

// step, strength, filled (0 for an estimate), text, illegal, known
const one = (ctx, g, [step, strength, filled, text, illegal, known], column, row, c, { LEFT, TOP, ROW }) => {
  const bars = g.how === "bars", x = LEFT + column * g.step, y = TOP + row * ROW, gap = bars ? Math.min(1, 0.14 * g.step) : 1.5;
  const color = known ? mix(c.off, c[step], strength) : c.surface, empty = bars ? 0.5 : 0.26;
  const w = g.step - gap, full = ROW - 4, h = bars ? HEIGHTS[known ? step : "off"] * full : full, top = y + 2 + full - h;
  box(ctx, x + gap / 2, top, w, h, mix(c.surface, color, empty + (1 - empty) * filled));
  if (!bars) {
    ctx.strokeStyle = !known ? c.line : filled < 1 ? mix(color, c[step], 0.45) : color;
    ctx.lineWidth = g.how === "numbers" ? 1.3 : 0.8;
    ctx.strokeRect(x + gap / 2 + 0.6, top + 0.6, w - 1.2, h - 1.2);
  }
  const ink = filled > FULL ? inkOn(c, step, strength) : c.text, mx = x + g.step / 2, my = y + ROW / 2;
  if (g.how === "numbers" && text) {
    ctx.fillStyle = illegal ? c.text3 : ink;
    ctx.font = `${filled ? "" : "italic "}${step === "ok" ? 400 : 700} 10.5px Inter, system-ui, sans-serif`;
    ctx.textAlign = "center";
    ctx.textBaseline = "middle";
    ctx.fillText(text, mx, my + 0.5);
  }
  if (illegal) cross(ctx, mx, my, { numbers: 11, glyphs: 5, bars: 1.5 }[g.how], filled ? c.surface : c.text3);
  else if (known && !bars && (step === "mid" || step === "hot")) mark(ctx, step, g.how === "numbers" ? x + g.step - 7.5 : mx, g.how === "numbers" ? y + 8 : my, filled > FULL ? ink : c[step]);
};

const inkOn = (c, step, strength) => {
  if (c.dark) return step === "mid" || (step === "ok" && strength > 0.55) ? c.capink : step === "hot" ? "#FFFFFF" : c.text;
  return step === "hot" || step === "mid" || strength > 0.6 ? "#FFFFFF" : c.text;
};

const mark = (ctx, step, x, y, fill) => {
  ctx.fillStyle = fill;
  ctx.beginPath();
  if (step === "mid") ctx.moveTo(x, y - 3), ctx.lineTo(x + 3.2, y + 2.6), ctx.lineTo(x - 3.2, y + 2.6);
  else ctx.moveTo(x, y - 3.4), ctx.lineTo(x + 3.4, y), ctx.lineTo(x, y + 3.4), ctx.lineTo(x - 3.4, y);
  ctx.fill();
};

const cross = (ctx, x, y, r, stroke) => {
  ctx.strokeStyle = stroke;
  ctx.lineWidth = 1.2;
  ctx.beginPath();
  ctx.moveTo(x - r, y - r), ctx.lineTo(x + r, y + r), ctx.moveTo(x + r, y - r), ctx.lineTo(x - r, y + r);
  ctx.stroke();
};

const frame = (ctx, x, y, w, h, c) => {
  box(ctx, x, y, w, h, c.select);
  ring(ctx, x, y, w, h, c.accent);
};

const ring = (ctx, x, y, w, h, stroke) => {
  ctx.strokeStyle = stroke;
  ctx.lineWidth = 1.5;
  ctx.strokeRect(x, y, w, h);
};

const names = (ctx, g, d, c, { LEFT, TOP, ROW, split, clipped, blocks }) => {
  ctx.fillStyle = c.text2;
  ctx.textBaseline = "middle";
  ctx.textAlign = "right";
  d.precisions.forEach((p, row) => {
    ctx.font = `${row === d.chosen ? 700 : 450} 11px Inter, system-ui, sans-serif`;
    const noise = d.noisy.includes(row), y = TOP + (row + 0.5) * ROW;
    ctx.fillText(p.toUpperCase(), LEFT - 10, noise ? y - 5 : y);
    if (!noise) return;
    ctx.font = "italic 9.5px Inter, system-ui, sans-serif";
    ctx.fillText("noise", LEFT - 10, y + 7);
  });
  const y = TOP + g.rows * ROW, small = "9.5px Inter, system-ui, sans-serif";
  ctx.font = small;
  if (g.how === "bars") {
    ctx.textAlign = "left";
    for (const [i, name] of blocks(d.labels, g.step)) ctx.fillText(name, LEFT + i * g.step, y + 11);
    return;
  }
  d.labels.forEach((label, i) => {
    const x = LEFT + (i + 0.5) * g.step;
    ctx.font = i === d.selected ? `700 ${small}` : small;
    if (!g.lying) {
      ctx.save();
      ctx.translate(x, y + 6);
      ctx.rotate(-Math.PI / 2);
      ctx.textAlign = "right";
      ctx.fillText(clipped(label), 0, 0);
      ctx.restore();
      return;
    }
    ctx.textAlign = "center";
    const [head, tail] = split(label);
    ctx.fillText(head || tail, x, y + 9);
    if (head) ctx.fillText(tail, x, y + 21);
  });
};
