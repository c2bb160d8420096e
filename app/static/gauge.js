// Where a drop stands on the gauge of the bar, and how bad it is: as in app/readouts.py, a test holds the two equal.

export const BUDGET = 0.02; // the drop, float minus quantized, that is marked: 2 points

/** From one budget's half won (0) to two lost (1). */
export const place = (drop) => Math.min(1, Math.max(0, (drop + BUDGET / 2) / (2.5 * BUDGET)));

/** The name of the colour: within the budget, near its end, beyond it. */
export const tone = (drop) => (drop > BUDGET ? "hot" : drop > 0.6 * BUDGET ? "mid" : "ok");
