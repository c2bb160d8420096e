// Where the pairs stand: layers from left to right, decibels upwards. Pure numbers, no DOM.
export const { blocks, clipped } = await import(`./heatmap_layout.js${new URL(import.meta.url).search}`);
export const LEFT = 44, RIGHT = 8, TOP = 10;
const NAMED = 13, LYING = 62; // px that a column needs for an upright name, and for one that lies

export const place = (d, w, h) => {
  const n = Math.max(1, d.layers.length), step = (w - LEFT - RIGHT) / n, all = [...d.before, ...d.after].filter((v) => v !== null);
  const [a, b] = all.length ? [Math.min(...all), Math.max(...all)] : [0, 40], air = Math.max(4, b - a) * 0.08;
  const named = step >= NAMED, below = named ? 12 + Math.round(5.2 * Math.min(17, Math.max(0, ...d.labels.map((l) => l.length)))) : 24;
  const lying = step >= LYING, bottom = h - (lying ? 24 : below);
  return { n, step, w, h, low: a - air, high: b + air, top: TOP, bottom, named, lying, radius: Math.max(1.1, Math.min(4.5, step * 0.28)) };
};

export const xOf = (g, i) => LEFT + (i + 0.5) * g.step;
export const yOf = (g, v) => g.bottom - ((v - g.low) / (g.high - g.low || 1)) * (g.bottom - g.top);
export const layerAt = (g, x, y) => {
  const i = Math.floor((x - LEFT) / g.step);
  return i >= 0 && i < g.n && y >= 0 && y <= g.h ? i : -1;
};

// Decibels for the grid: steps of 5, 10 or 20, at most six of them.
export const levels = (g) => {
  const step = [2, 5, 10, 20, 50].find((s) => (g.high - g.low) / s <= 6) ?? 100, out = [];
  for (let v = Math.ceil(g.low / step) * step; v <= g.high; v += step) out.push(v);
  return out;
};

export const next = (g, at, key) => {
  const by = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -1e6, End: 1e6 }[key];
  return by === undefined ? at : Math.max(0, Math.min(g.n - 1, (at < 0 ? 0 : at) + by));
};

// better, worse or same: a tenth of a dB is nothing.
export const tone = (before, after) => (before === null || after === null ? "none" : after - before > 0.1 ? "better" : after - before < -0.1 ? "worse" : "same");
