// The additive prediction, the same formula as app/prediction.py: a test holds the two equal.
// No DOM, no state. `scores` is {layer: {precision: number}} with "*" for all that no layer reads, `precisions` is
// {layer: effective precision} with "*" for the base; `curve` is the result of the job `curve`.

const MAX_DB = 200;

/** Whether a layer at this precision adds to the sum: not where it reads floats. */
export function counts(precision) {
  return precision !== "fp32" && !precision.endsWith("afp32");
}

/** The layers without a score at their precision; layers without any row have nothing to quantize. */
export function missing(scores, precisions) {
  return Object.keys(precisions).filter(
    (name) => counts(precisions[name]) && Object.hasOwn(scores, name) && !Object.hasOwn(scores[name], precisions[name]),
  );
}

/** The sum of the scores that there are. */
export function total(scores, precisions) {
  let found = 0;
  for (const name of Object.keys(precisions)) {
    const precision = precisions[name];
    if (counts(precision) && Object.hasOwn(scores, name) && Object.hasOwn(scores[name], precision)) {
      found += scores[name][precision];
    }
  }
  return found;
}

/** {value, low, high, beyond} at a sum: the drop, float minus quantized; null while the curve has too few points. */
export function predict(curve, sum) {
  const knots = curve.knots;
  if (!curve.enough || !knots.length) return null;
  if (sum <= 0) return { value: 0, low: 0, high: 0, beyond: false };
  const last = knots[knots.length - 1];
  if (sum > last[0]) {
    const high = last[3] + curve.beyond.slope * (sum - last[0]);
    const cap = curve.beyond.cap;
    return { value: last[1], low: last[2], high: cap === null ? high : Math.max(Math.min(high, cap), last[1]), beyond: true };
  }
  const i = after(knots, sum);
  if (i === 0 || i === knots.length) {
    const [, value, low, high] = knots[i === 0 ? 0 : i - 1];
    return { value, low, high, beyond: false };
  }
  const a = knots[i - 1];
  const b = knots[i];
  const share = (sum - a[0]) / (b[0] - a[0]);
  const [value, low, high] = [1, 2, 3].map((k) => a[k] + (b[k] - a[k]) * share);
  return { value, low, high, beyond: false };
}

/** Predicted SQNR in dB: by summed noise power where scores are exact, else by the noise that a unit of score has brought. */
export function sqnr(curve, precisions, sum) {
  const noise = curve.noise;
  let power;
  if (Object.keys(noise.rows).length) power = total(noise.rows, precisions);
  else if (noise.per_score !== null) power = noise.per_score * sum;
  else return null;
  return power <= 0 ? MAX_DB : Math.min(-10 * Math.log10(power), MAX_DB);
}

/** All that Python's `predict` gives: {value, low, high, sum, beyond, kind, missing, sqnr_db}; value null where there is no telling. */
export function predicted(curve, precisions) {
  const lacking = missing(curve.scores, precisions);
  const sum = total(curve.scores, precisions);
  const found = lacking.length ? null : predict(curve, sum);
  const told = found ?? { value: null, low: null, high: null, beyond: false };
  return { ...told, sum, kind: curve.kind, missing: lacking, sqnr_db: lacking.length ? null : sqnr(curve, precisions, sum) };
}

/** The number of knots at or below a sum. */
function after(knots, sum) {
  let low = 0;
  let high = knots.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (knots[middle][0] <= sum) low = middle + 1;
    else high = middle;
  }
  return low;
}
