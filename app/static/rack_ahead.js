// What a move brings with it before it is made: which strips follow, changes of type, bytes, bit operations, the predicted drop.
// Pure: the outcome before and after come from rack_resolve.js, words from here, paint from rack_ghosts.js.
const q = new URL(import.meta.url).search;
const [Resolve, State, Predict, M] = await Promise.all(["rack_resolve", "rack_state", "rack_predict", "rack_scale"].map((n) => import(`./${n}.js${q}`)));

export const FEW = 2; // followers that are named

// Takes over the rules of a graph, as engine/targets/foresight.py makes them.
export const setData = (S, data) => Object.assign(S, { F: Resolve.ready(data, S.precisions.map((p) => p.id)), now: null, then: null });

// What the hand asks for: a copy of the state, or of what it would be.
export const hand = (S, more) => ({ prec: S.prec, mute: S.mute, base: S.base, ...more });
const same = (a, b) => a && a.base === b.base && a.prec.length === b.prec.length && a.prec.every((p, i) => p === b.prec[i]) && a.mute.size === b.mute.size && [...a.mute].every((i) => b.mute.has(i));

// The outcome of what the hand asks for now, kept on the state: what a strip runs at is read off it.
export function update(S) {
  const now = hand(S);
  if (!S.F) S.now = null;
  else S.now = outcome(S, now);
  return S.now;
}
function outcome(S, h) {
  for (const kept of [S.now, S.then]) if (kept?.of === S.F && same(kept.hand, h)) return kept;
  const found = Resolve.resolve(S.F, h), names = found.w.map((w, i) => Resolve.precisionName(S.F, w, found.a[i]));
  return { ...found, names, of: S.F, hand: { ...h, prec: [...h.prec], mute: new Set(h.mute) } };
}

// The state after a move, as a copy: `move` is one of the edits of rack_state.js.
export function after(S, move) {
  const other = { ...S, prec: [...S.prec] };
  move(other);
  return hand(other);
}

// All that differs between two hands; null where nothing is asked otherwise, or the rules are not known.
export function between(S, from, to) {
  if (!S.F || same(from, to)) return null;
  const old = (S.then = outcome(S, from)), now = outcome(S, to), moved = [], follows = [];
  for (let i = 0; i < S.n; i += 1) {
    const asked = to.prec[i] !== from.prec[i] || to.mute.has(i) !== from.mute.has(i), bad = now.illegal.includes(i), was = old.illegal.includes(i);
    if (asked) moved.push({ i, to: to.mute.has(i) && !from.mute.has(i) ? "float" : S.precisions[to.prec[i]].id, runs: now.names[i], illegal: bad });
    else if (now.names[i] !== old.names[i] || bad !== was) follows.push({ i, from: old.names[i], to: now.names[i], why: why(S, old, now, i), up: wider(S, old, now, i), illegal: bad });
  }
  const size = S.F.sized ? now.size - old.size : null, strict = now.raised.length + now.illegal.length > 0 && !(old.raised.length + old.illegal.length);
  return { moved, follows, boundaries: now.boundaries - old.boundaries, size, bops: now.bops - old.bops, strict, base: to.base === from.base ? null : to.base, hand: to, names: now.names };
}

function why(S, old, now, i) {
  const reads = now.a[i] !== old.a[i], raised = now.raised.includes(i) && now.w[i] !== old.w[i];
  if (raised) return "its weight is raised, for the target does not run it otherwise";
  if (reads) return "it reads a tensor that changes";
  return now.w[i] !== old.w[i] ? "its weight is shared" : "the target does not run it";
}
const wider = (S, old, now, i) => ((T) => T[now.w[i]].bits + T[now.a[i]].bits > T[old.w[i]].bits + T[old.a[i]].bits)(S.F.T);

// The predicted drop after the move; empty without scores, and where there is no telling that is said.
export function predicted(S, scores, A) {
  if (!scores) return "";
  const now = Predict.precisionsAt(S, A.names, A.hand), lacking = Predict.lacking(scores, now);
  if (lacking.length) return `drop not predicted: no score of ${lacking[0]} at ${now[lacking[0]]}`;
  const score = Predict.scoreOf(scores, now), found = Predict.headline(scores, { score, missing: 0 });
  if (found.drop === undefined) return `${scores.kind} score ${score === 0 ? "0" : score.toPrecision(2)} nats`;
  const unit = scores.unit === "%" ? 100 : 1, figure = (x) => (x * unit).toFixed(unit === 100 ? 2 : 3).replace("-", "−");
  return `predicted drop ${figure(found.drop)} [${figure(found.low)}, ${figure(found.high)}]${unit === 100 ? " pp" : ""}`;
}

const signed = (n, words) => `${n > 0 ? "+" : "−"}${words}`;
const many = (n, one, more) => `${n === 1 ? `1 ${one}` : `${n} ${more}`}`;

// One line: what moves, who follows, what it costs.
export function words(S, scores, A) {
  return `${head(S, A)}: ${[followers(S, A), ...costs(S, A), predicted(S, scores, A)].filter(Boolean).join(", ")}`;
}

function head(S, A) {
  if (A.base !== null) return `base ${S.precisions[A.base].id}, ${many(A.moved.length, "layer", "layers")} at it`;
  const to = new Set(A.moved.map((m) => m.to)), raised = A.moved.filter((m) => m.runs !== m.to && !A.hand.mute.has(m.i));
  const where = to.size === 1 ? [...to][0] : "several precisions", runs = new Set(raised.map((m) => m.runs));
  const off = raised.length ? ` (${raised.length < A.moved.length ? `${raised.length} of them ` : ""}would run at ${[...runs].slice(0, 2).join(" or ")})` : "";
  return `${A.moved.length > 1 ? `${A.moved.length} layers to ` : ""}${where}${off}`;
}

function followers(S, A) {
  if (!A.follows.length) return A.base === null ? "no other layer changes" : "";
  const named = A.follows.slice(0, FEW).map((f) => `${S.layers[f.i].n} → ${f.to}`).join(", "), rest = A.follows.length - FEW;
  return `${many(A.follows.length, "neighbour follows", "neighbours follow")} (${named}${rest > 0 ? ` and ${rest} more` : ""}: ${A.follows[0].why})`;
}

function costs(S, A) {
  const out = [], bad = [...A.follows, ...A.moved].filter((f) => f.illegal).length, full = S.live?.fp32bops || 0;
  if (bad) out.push(`${many(bad, "layer would be", "layers would be")} illegal`);
  if (A.boundaries) out.push(signed(A.boundaries, many(Math.abs(A.boundaries), "boundary", "boundaries")));
  if (A.size) out.push(signed(A.size, M.bytes(Math.abs(A.size))));
  if (A.size === null) out.push("bytes not known: lines of single layers set the grid of weights");
  if (A.bops && full) out.push(`BOPs ${signed(A.bops, `${((100 * Math.abs(A.bops)) / full).toFixed(Math.abs(A.bops) < full / 1000 ? 3 : 1)} % of FP32`)}`);
  if (A.strict) out.push("strict would refuse it");
  return out;
}
