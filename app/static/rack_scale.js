// The scales of meters and size bars, and numbers as words. Pure.
const q = new URL(import.meta.url).search;
const { clamp, effective, ran } = await import(`./rack_state.js${q}`);

export const WATCH = 2, HOT = 6; // fair shares: amber above 2, red above 6
const DECADES = 3, BELOW = 40; // the scale reaches from a fortieth of the fair share three decades up

export const fair = (budget, n) => budget / Math.max(1, n);
// 0..1 on a strip's meter; a layer without loss is 0.
export const level = (score, share) => (score > 0 && share > 0 ? clamp(Math.log10(score / (share / BELOW)) / DECADES, 0, 1) : 0);
export const cuts = (members = 1) => [level(WATCH * members, 1), level(HOT * members, 1)];
export const tone = (v, members = 1) => ((c) => (v > c[1] ? "hot" : v > c[0] ? "mid" : "ok"))(cuts(members));
// The other unit, SQNR in dB: 70 is nothing, 4 is everything, amber below 30, red below 20.
export const dbLevel = (db) => clamp((70 - db) / 66, 0, 1);
export const dbTone = (v) => (v > dbLevel(20) ? "hot" : v > dbLevel(30) ? "mid" : "ok");

// What bytes and bit operations become: Python's exact totals, and on them what the hand has moved since.
export function costs(S) {
  const live = S.live, P = S.precisions;
  if (S.now && S.F.sized) return { size: S.now.size, bops: S.now.bops };
  let size = live.size, bops = live.bops;
  for (let i = 0; i < S.n; i += 1) {
    const was = S.was.mute.has(i) ? null : P[ran(S, i)], now = S.mute.has(i) ? null : P[effective(S, i)];
    if (was === now) continue;
    size += (S.layers[i].v * (bits(now, "w") - bits(was, "w"))) / 8;
    bops += S.layers[i].c * (bits(now, "w") * bits(now, "a") - bits(was, "w") * bits(was, "a"));
  }
  return { size, bops };
}
const bits = (precision, what) => (precision ? precision[what] : 32);
export const layerBytes = (S, i, p) => S.layers[i].f + (S.layers[i].v * (p === null ? 32 : S.precisions[p].w)) / 8;

export function bytes(n) {
  return n >= 1e6 ? (n / 1e6).toFixed(2) + " MB" : n >= 1e3 ? (n / 1e3).toFixed(1) + " kB" : Math.round(n) + " B";
}
export const count = (n) => (n >= 1e9 ? (n / 1e9).toFixed(2) + " G" : n >= 1e6 ? (n / 1e6).toFixed(2) + " M" : n >= 1e3 ? (n / 1e3).toFixed(1) + " k" : `${n}`);
// Points of accuracy: two or three figures that mean something.
export const points = (x) => (x === 0 ? "0" : Math.abs(x) >= 1 ? x.toFixed(1) : Math.abs(x) >= 0.1 ? x.toFixed(2) : Math.abs(x) >= 0.001 ? x.toFixed(3) : "~0").replace("-", "−");
export const times = (x) => (x >= 10 ? x.toFixed(0) : x >= 0.095 ? x.toFixed(1) : x > 0 ? "<0.1" : "0") + "×";
