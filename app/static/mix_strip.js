// All layers in a row: height and colour by bits, a cap for wide activations, a tick where the recipe on the desk stands.
export const TOP = 16, FOOT = 20;

export const columns = (n, w) => ({ n, w, step: w / Math.max(1, n), gap: w / Math.max(1, n) > 7 ? 2 : w / Math.max(1, n) > 3 ? 1 : 0 });
export const layerAt = (g, x) => (x >= 0 && x < g.w ? Math.min(g.n - 1, Math.floor(x / g.step)) : -1);
export const level = (bits) => Math.min(1, 0.22 + (0.78 * (Math.log2(Math.max(2, Math.min(bits, 16))) - 1)) / 3);
export const tone = (bits) => (bits < 8 ? "ok" : bits < 16 ? "accent" : "text2");
export const moveTo = (g, at, key) => {
  const by = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -1e6, End: 1e6 }[key];
  return by === undefined ? at : Math.max(0, Math.min(g.n - 1, at + by));
};

// `s`: {p, now, wide, fixed, kinds}; `c`: colours; `v`: {at, hover}.
export function paintStrip(ctx, g, h, s, c, v) {
  const bottom = h - FOOT, full = bottom - TOP;
  ctx.clearRect(0, 0, g.w, h);
  for (let i = 0; i < g.n; i += 1) {
    const x = i * g.step, w = Math.max(1, g.step - g.gap), [bits, wide] = s.p[i] >= 0 ? s.wide[s.p[i]] : [32, 32], top = bottom - full * level(bits);
    if (i === v.at || i === v.hover) {
      ctx.fillStyle = i === v.at ? c.select : c.soft;
      ctx.fillRect(x, 0, Math.max(w, 3), h);
    }
    ctx.fillStyle = c.soft;
    ctx.fillRect(x, TOP, w, full);
    ctx.fillStyle = c[tone(bits)];
    ctx.globalAlpha = bits < 8 ? 0.85 : 1;
    ctx.fillRect(x, top, w, bottom - top);
    ctx.globalAlpha = 1;
    if (wide >= 16) {
      ctx.fillStyle = c.text;
      ctx.fillRect(x, top - 5, w, 3);
    }
    now(ctx, s, c, i, x, w, bottom, full);
    foot(ctx, s, c, i, x, w, bottom, g);
    if (i === v.at) {
      ctx.fillStyle = c.accent;
      ctx.fillRect(x, 0, Math.max(w, 3), 2);
    }
  }
}

// Where the recipe on the desk has this layer, if that is elsewhere.
function now(ctx, s, c, i, x, w, bottom, full) {
  const have = s.now?.[i] ?? -1;
  if (have < 0 || s.p[i] < 0 || s.wide[have][0] === s.wide[s.p[i]][0]) return; // the heights are equal: the sign below says it
  const y = bottom - full * level(s.wide[have][0]);
  ctx.fillStyle = c.ghost;
  ctx.fillRect(x - 0.5, Math.round(y) - 1, w + 1, 2);
}

function foot(ctx, s, c, i, x, w, bottom, g) {
  ctx.fillStyle = c[s.kinds[i]] || c.se;
  ctx.fillRect(x, bottom + 3, w, 4);
  const moved = s.now && s.now[i] >= 0 && s.now[i] !== s.p[i];
  if (s.fixed[i]) {
    ctx.fillStyle = c.text3;
    ctx.fillRect(x + w / 2 - 1.5, bottom + 10, 3, 6);
  } else if (moved && g.step > 5) {
    const up = s.wide[s.p[i]][0] > s.wide[s.now[i]][0] || (s.wide[s.p[i]][0] === s.wide[s.now[i]][0] && s.wide[s.p[i]][1] > s.wide[s.now[i]][1]), cx = x + w / 2, y = bottom + 13;
    ctx.fillStyle = c.text2;
    ctx.beginPath();
    ctx.moveTo(cx - 3, y + (up ? 3 : -3));
    ctx.lineTo(cx + 3, y + (up ? 3 : -3));
    ctx.lineTo(cx, y + (up ? -3 : 3));
    ctx.fill();
  }
}
