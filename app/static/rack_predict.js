// Scores as the rack uses them, and what the fitted curve says about their sum. The formulas are in predict.js.
const q = new URL(import.meta.url).search;
const M = await import(`./rack_scale.js${q}`);
const { counts, missing, predict, total } = await import(`./predict.js${q}`);
const State = await import(`./rack_state.js${q}`);

const NATS = 0.05; // the budget while no curve says what it stands for
const REST = "*"; // all that no layer reads, at the base precision

// Scores arrive as {kind, scores: {layer: {precision: nats}}, curve (or null), budget in nats, fitted, drop, fp32, unit}.

// One layer's score at a precision: 0 in float and for what has nothing to quantize, null where it is not known.
export function scoreAt(scores, name, precision) {
  if (!scores) return null;
  const row = scores.scores[name];
  return !counts(precision) || !row ? 0 : Object.hasOwn(row, precision) ? Math.max(0, row[precision]) : null;
}

// What every name runs at now, with the base for the rest; a solo leaves all else in float.
export function precisionsOf(S) {
  const out = { [REST]: S.solo.size ? "fp32" : S.precisions[S.base].id };
  S.layers.forEach((l, i) => (out[l.n] = State.heard(S, i) ? State.effectiveName(S, i) : "fp32"));
  return out;
}

// The same for what a move would bring: `names` are the precisions that layers would have, `hand` who is in float, and the base.
export function precisionsAt(S, names, hand) {
  const out = { [REST]: S.solo.size ? "fp32" : S.precisions[hand.base].id };
  S.layers.forEach((l, i) => (out[l.n] = !hand.mute.has(i) && (!S.solo.size || S.solo.has(i)) ? names[i] : "fp32"));
  return out;
}
export const lacking = (scores, now) => missing(scores.scores, now);
export const scoreOf = (scores, now) => total(scores.scores, now);

export function sum(S, scores) {
  if (!scores) return { score: null, missing: S.n };
  const now = precisionsOf(S);
  return { score: scoreOf(scores, now), missing: lacking(scores, now).length };
}

const scaled = (scores, drop) => (scores.unit === "%" ? drop * 100 : drop);

// What the meters need: fair share, predicted points of a score where the curve can tell, words for the master.
export function view(scores, n, whole) {
  const budget = scores?.budget ?? NATS, curve = scores?.curve?.enough ? scores.curve : null, unit = scores?.unit === "%" ? "pp" : "";
  const pointsOf = curve && ((score) => scaled(scores, predict(curve, score)?.value ?? 0));
  const totalWords = whole.score === null ? "" : curve ? M.points(pointsOf(whole.score)) : M.times(whole.score / budget);
  return { budget, share: M.fair(budget, n), pointsOf, unitWords: unit, budgetWords: scores?.fitted ? `${scaled(scores, scores.drop).toFixed(0)} ${unit}` : `${budget} KL`, totalWords };
}

// The predicted drop for the bar; nothing where there is no telling.
export function headline(scores, whole) {
  const found = scores?.curve && !whole.missing ? predict(scores.curve, whole.score) : null;
  return found ? { drop: found.value, low: found.low, high: found.high, acc: scores.fp32 == null ? null : scores.fp32 - found.value, kind: scores.kind } : {};
}
