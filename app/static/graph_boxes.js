// Paints the boxes of the graph: nodes with glyph, name and figure, and folded blocks.
const FONT = "Inter, system-ui, sans-serif";
const GLYPHS = {
  conv: (c, x, y) => c.rect(x - 3.5, y - 3.5, 7, 7),
  pw: (c, x, y) => c.arc(x, y, 3.4, 0, 7),
  dw: (c, x, y) => [-3.5, -0.9, 1.7].forEach((d) => c.rect(x + d, y - 4, 1.8, 8)),
  gemm: (c, x, y) => (c.moveTo(x, y - 4), c.lineTo(x + 4.4, y + 4), c.lineTo(x - 4.4, y + 4), c.closePath()),
  se: (c, x, y) => (c.moveTo(x, y - 4.4), c.lineTo(x + 4.4, y), c.lineTo(x, y + 4.4), c.lineTo(x - 4.4, y), c.closePath()),
};

export function node(ctx, s, b, i) {
  const { c } = s, [, , kind, layer, glyph] = s.g.facts.nodes[i];
  const how = layer >= 0 ? s.look(layer) : null, ends = kind === "input" || kind === "output";
  const fill = how && !how.unknown ? s.lib.blend(c.off, c[how.token], how.strength) : how ? c.raised2 : ends ? c.raised2 : c.surface;
  s.lib.round(ctx, b, ends ? b[3] / 2 : 5);
  ctx.fillStyle = fill;
  ctx.fill();
  ctx.setLineDash(how?.unknown ? [3, 3] : []);
  ctx.strokeStyle = how && !how.unknown ? s.lib.blend(fill, s.lib.inkOn(fill), 0.22) : c.tick;
  ctx.lineWidth = s.thin;
  ctx.stroke();
  ctx.setLineDash([]);
  ring(ctx, s, b, i, layer >= 0 && s.sel.has(layer), s.hover?.what === "node" && s.hover.i === i);
  if (layer >= 0) flags(ctx, s, b, layer);
  if (s.words) text(ctx, s, b, how, glyph, how && !how.unknown ? s.lib.inkOn(fill) : how || ends ? c.text : c.text2);
}

function text(ctx, s, b, how, glyph, ink) {
  const y = b[1] + b[3] / 2;
  ctx.fillStyle = ink;
  ctx.font = `500 ${s.size}px ${FONT}`;
  if (!how) {
    ctx.textAlign = "center";
    return ctx.fillText(fitted(ctx, b[4], b[2] - 6, s.size), b[0] + b[2] / 2, y + s.size * 0.35);
  }
  if (!s.figures) {
    ctx.textAlign = "center";
    return ctx.fillText(fitted(ctx, b[4], b[2] - 8, s.size), b[0] + b[2] / 2, y + s.size * 0.35);
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

// Words grow as the picture shrinks, but never beyond their box; only what is too long at its own size is cut.
function fitted(ctx, words, room, size) {
  const wide = ctx.measureText(words).width;
  if (wide > room) ctx.font = `500 ${Math.max(10.5, (size * room) / wide)}px ${FONT}`;
  return clipped(ctx, words, room);
}

export function clipped(ctx, words, room) {
  if (ctx.measureText(words).width <= room) return words;
  let n = words.length;
  while (n > 1 && ctx.measureText("…" + words.slice(-n)).width > room) n -= 1;
  return "…" + words.slice(-n);
}

// The corner says that the effective precision is not the one asked for; a line along the side, that the target cannot run it.
function flags(ctx, s, b, layer) {
  const { live, c } = s, at = (list) => s.lib.value(list, layer);
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
export function folded(ctx, s, f) {
  const { c } = s, layers = f[6].map((i) => s.g.facts.nodes[i][3]).filter((l) => l >= 0);
  s.lib.round(ctx, f, 6);
  ctx.fillStyle = c.raised2;
  ctx.fill();
  ctx.strokeStyle = c.tick;
  ctx.lineWidth = s.thin;
  ctx.stroke();
  const wide = (f[2] - 14) / Math.max(layers.length, 1), gap = wide > 4 ? 1.5 : 0;
  layers.forEach((l, j) => {
    const how = s.look(l);
    ctx.fillStyle = how.unknown ? c.off : s.lib.blend(c.off, c[how.token], how.strength);
    ctx.fillRect(f[0] + 7 + j * wide, f[1] + f[3] - 12, Math.max(wide - gap, 0.6), 7);
  });
  ring(ctx, s, f, f[6][0], layers.some((l) => s.sel.has(l)), s.hover?.name === f[4]);
  if (!s.words) return;
  s.lib.chevron(ctx, f[0] + 10, f[1] + 11, false, c.text2);
  ctx.fillStyle = c.text;
  ctx.font = `500 10.5px ${FONT}`;
  ctx.textAlign = "left";
  ctx.fillText(clipped(ctx, f[5], f[2] - 44), f[0] + 18, f[1] + 14.5);
  ctx.textAlign = "right";
  ctx.fillStyle = c.text2;
  ctx.font = `500 9.5px ${FONT}`;
  ctx.fillText(String(f[6].length), f[0] + f[2] - 7, f[1] + 14.5);
}
