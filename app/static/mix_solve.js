// Any budget at once: a walk along the solver's frontiers, without a DOM or a server. Every figure here is predicted.
const q = new URL(import.meta.url).search;
const { predict } = await import(`./predict.js${q}`);
export const { pack, unpack } = await import(`./rack_state.js${q}`);
const SCORE = 0, PLACE = { size: 1, bops: 2, bits: 3, latency: 4 };

// The predicted drop at a sum of scores: {value, low, high}, or null while the curve has too few points.
export const dropAt = (curve, score) => (curve ? predict(curve, score) : null);

// Limits in absolute units; what is off is absent.
export function absolute(space, doc) {
  const out = {}, whole = { size: space.fp32.size_bytes, bops: space.fp32.bops, bits: 1, latency: 1 };
  for (const name of Object.keys(PLACE)) if (doc.lim[name] != null && (name !== "latency" || space.timed)) out[name] = doc.lim[name] * whole[name];
  return out;
}

// Moves are taken in their order, the best for its price first; one that does not fit is passed over, and with it what builds on it.
export function walk(f, limits, enough = () => false) {
  const p = unpack(f.p), names = Object.keys(limits), total = [...f.start], blocked = new Set(), since = {};
  const over = (t) => names.find((n) => t[PLACE[n]] > limits[n] * (1 + 1e-9)), bad = over(total);
  let before = f.start, rate = 0, steps = 0;
  const told = () => ({ p, base: f.base, column: f.column, score: total[SCORE], size: total[1], bops: total[2], bits: total[3], latency: total[4], rate, steps, since, over: bad, reached: enough(total[SCORE]) });
  if (bad) return told();
  for (const m of f.moves) {
    if (enough(total[SCORE])) break;
    const [ids, to, ...after] = m, delta = after.map((v, k) => v - before[k]);
    before = after;
    const would = total.map((v, k) => v + delta[k]);
    if (ids.some((i) => blocked.has(i)) || over(would)) {
      ids.forEach((i) => blocked.add(i));
      continue;
    }
    would.forEach((v, k) => (total[k] = v));
    ids.forEach((i, k) => ((p[i] = to[k]), (since[i] = steps)));
    rate = -delta[SCORE] / Math.max(delta[PLACE[f.column]], 1e-12);
    steps += 1;
  }
  return told();
}

// The answer to all targets: the cheapest mix that is predicted to keep to the drop, else the least score within the budgets.
export function solve(space, doc, curve) {
  const limits = absolute(space, doc), drop = curve?.enough ? doc.lim.drop : null;
  const judged = (s) => ((d) => (d ? (doc.judge === "bound" ? d.high : d.value) : Infinity))(dropAt(curve, s));
  const enough = drop == null ? () => false : (s) => judged(s) <= drop + 1e-12;
  const from = drop == null ? space.frontiers : space.frontiers.filter((f) => f.column === doc.aim);
  const found = from.map((f) => walk(f, limits, enough)), fits = found.filter((r) => !r.over);
  if (!fits.length) return { ...found[0], asked: drop != null };
  const met = fits.filter((r) => r.reached), by = drop != null && met.length ? (r) => r[doc.aim] : (r) => r.score;
  return { ...(met.length ? met : fits).reduce((a, b) => (by(b) < by(a) ? b : a)), asked: drop != null };
}

// The frontier by one cost as [cost, score], over all base precisions: the least score so far as the cost rises.
export function envelope(space, axis) {
  const all = space.frontiers.filter((f) => f.column === axis).flatMap((f) => [f.start, ...f.moves.map((m) => m.slice(2))]).map((t) => [t[PLACE[axis]], t[SCORE]]);
  const out = [];
  for (const point of all.sort((a, b) => a[0] - b[0] || a[1] - b[1])) if (!out.length || point[1] < out.at(-1)[1]) out.push(point);
  return out;
}

// The least and the most that any mix costs.
export function reach(space, name) {
  const all = space.frontiers.flatMap((f) => [f.start, ...f.moves.map((m) => m.slice(2))]).map((t) => t[PLACE[name]]);
  return [Math.min(...all), Math.max(...all)];
}

// How often each precision occurs, in the order of `names`.
export function tally(p, names) {
  const out = names.map(() => 0);
  for (const i of p) if (i >= 0) out[i] += 1;
  return out;
}

// From which cost on the frontier gives a layer each precision: [[precision, cost], …], by the frontier of the shown base.
export function thresholds(space, base, axis, layer) {
  const f = space.frontiers.find((g) => g.base === base && g.column === axis) ?? space.frontiers[0], out = [[unpack(f.p)[layer], f.start[PLACE[f.column]]]];
  for (const [ids, to, ...after] of f.moves) {
    const at = ids.indexOf(layer);
    if (at >= 0) out.push([to[at], after[PLACE[f.column]]]);
  }
  return out;
}
