// Scores as the rack uses them, and what the fitted curve says about their sum. The formulas are in predict.js.
const q = new URL(import.meta.url).search;
const M = await import(`./rack_scale.js${q}`);
const { counts, missing, predict, total } = await import(`./predict.js${q}`);
const State = await import(`./rack_state.js${q}`);

const NATS = 0.05; // the budget while no curve says what it stands for
const REST = "*"; // all that no layer reads, at the base precision

// `part`: {kind, scores: {layer: {precision: nats}}, curve (or null), drop (the budget), unit}. Kept with what follows from it once.
export function read(part) {
  return { ...part, budget: budgetOf(part), estimate: part.kind !== "exact" };
}

// One layer's score at a precision: 0 in float and for what has nothing to quantize, null where it is not known.
export function scoreAt(scores, name, precision) {
  if (!scores) return null;
  const row = scores.scores[name];
  return !counts(precision) || !row ? 0 : Object.hasOwn(row, precision) ? Math.max(0, row[precision]) : null;
}

// The sum of scores at which the curve predicts the budgeted drop; beyond its last knot it goes on as it came.
export function budgetOf({ curve, drop }) {
  const knots = curve?.enough ? curve.knots : [];
  const i = knots.findIndex((k) => k[1] >= drop);
  if (i > 0) {
    const [a, b] = [knots[i - 1], knots[i]];
    return a[0] + ((b[0] - a[0]) * (drop - a[1])) / (b[1] - a[1]);
  }
  const last = knots.at(-1);
  return i === 0 ? knots[0][0] : last?.[1] > 0 ? (last[0] * drop) / last[1] : NATS;
}

// What every name runs at now, with the base for the rest; a solo leaves all else in float.
export function precisionsOf(S) {
  const out = { [REST]: S.solo.size ? "fp32" : S.precisions[S.live.base].id };
  S.layers.forEach((l, i) => (out[l.n] = State.heard(S, i) ? State.effectiveName(S, i) : "fp32"));
  return out;
}

export function sum(S, scores) {
  if (!scores) return { score: null, missing: S.n };
  const now = precisionsOf(S), lacking = missing(scores.scores, now).length;
  return { score: total(scores.scores, now), missing: lacking };
}

const scaled = (scores, drop) => (scores.unit === "%" ? drop * 100 : drop);

// What the meters need: fair share, predicted points of a score where the curve can tell, words for the master.
export function view(scores, n, whole) {
  const budget = scores?.budget ?? NATS, curve = scores?.curve?.enough ? scores.curve : null, unit = scores?.unit === "%" ? "pp" : "";
  const pointsOf = curve && ((score) => scaled(scores, predict(curve, score)?.value ?? 0));
  const totalWords = whole.score === null ? "" : curve ? M.points(pointsOf(whole.score)) : M.times(whole.score / budget);
  return { budget, share: M.fair(budget, n), pointsOf, unitWords: unit, budgetWords: curve ? `${scaled(scores, scores.drop).toFixed(0)} ${unit}` : `${NATS} KL`, totalWords };
}

// The predicted drop for the bar; nothing where there is no telling.
export function headline(scores, whole) {
  const found = scores?.curve && !whole.missing ? predict(scores.curve, whole.score) : null;
  return found ? { drop: found.value, low: found.low, high: found.high, acc: scores.fp32 == null ? null : scores.fp32 - found.value, kind: scores.kind } : {};
}
