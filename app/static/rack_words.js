// What the rack says about a strip: in the hover card and to a screen reader. Plain values, no DOM.
const q = new URL(import.meta.url).search;
const { byHand, effective, effectiveName, heard, raised } = await import(`./rack_state.js${q}`);
const { scoreOf } = await import(`./rack_meter.js${q}`);
const { scoreAt } = await import(`./rack_predict.js${q}`);
const M = await import(`./rack_scale.js${q}`);

const name = (S, it) => (it.group ? it.block.name : S.layers[it.ids[0]].n);
const mixed = (S, it) => it.ids.some((i) => S.prec[i] !== S.prec[it.ids[0]]);
const rounded = (v) => (v === 0 ? "0" : v.toPrecision(2));

// A score in words: predicted points where the curve is known, else fair shares; always with the score itself.
export function lossWords(V, score) {
  if (score === null) return "no score yet";
  if (V.pointsOf) return `${M.points(V.pointsOf(score))} points`;
  return `${M.times(score / V.share)} fair share`;
}
// The figure over a console strip's meter.
export function figure(V, it) {
  if (V.unit === "db") return ((db) => (db == null ? "" : db.toFixed(0)))(V.sqnr?.[it.ids[0]]);
  const score = scoreOf(V, it.ids);
  return score === null ? "" : V.pointsOf ? M.points(V.pointsOf(score)) : M.times(score / V.share);
}

export function speech(V, it) {
  const { S } = V, i = it.ids[0], words = [mixed(S, it) ? "mixed" : S.precisions[S.prec[i]].id];
  if (!it.group && raised(S, i)) words.push(`runs at ${effectiveName(S, i)}`);
  if (it.ids.every((j) => S.mute.has(j))) words.push("muted, kept in float");
  else words.push(`predicted loss ${lossWords(V, scoreOf(V, it.ids))}`);
  if (it.ids.some((j) => byHand(S, j) && S.no[j][S.prec[j]])) words.push("not legal on this target");
  if (it.ids.some((j) => S.solo.has(j))) words.push("solo");
  if (it.ids.some((j) => S.sel.has(j))) words.push("selected");
  return words.join(", ");
}
export const label = (V, it) => (it.group ? `Block ${it.block.name}, ${it.ids.length} layers` : `${V.S.layers[it.ids[0]].n}, ${V.S.layers[it.ids[0]].o}`);

// The card over a strip: title, note, rows of name and value, and why not. Over another detent it says what would be.
export function card(V, h, dragging) {
  const { S } = V, it = h.it, i = it.ids[0], L = S.layers[i];
  const over = h.zone === "fader" && !dragging, p = over ? h.p : S.prec[i], would = over && (p !== S.prec[i] || mixed(S, it));
  const rows = [[would ? "would be" : "asked", would ? S.precisions[p].id : mixed(S, it) ? "mixed" : it.ids.every((j) => S.mute.has(j)) ? "float (muted)" : S.precisions[p].id]];
  if (!would && !it.group && raised(S, i)) rows.push(["runs at", effectiveName(S, i)]);
  const at = (j) => (would ? p : effective(S, j));
  rows.push(...scores(V, it, (j) => (would ? S.precisions[p].id : effectiveName(S, j))), ["size", sizeWords(S, it, at, would)]);
  if (!it.group) rows.push(["weights", M.count(L.v)], ["MACs", M.count(L.c)]);
  const out = { title: name(S, it), note: it.group ? `${it.ids.length} layers folded` : L.t, rows, no: "", why: "" };
  if (!it.group && over) out.no = S.no[i][p];
  if (!it.group && !would && raised(S, i)) out.why = S.live.why[i] || "see the table for why";
  if (!it.group && S.linkOf[i]) out.why = out.why || S.linkOf[i].why;
  return out;
}

function scores(V, it, precision) {
  const { S } = V, list = it.ids.filter((j) => !S.mute.has(j)).map((j) => scoreAt(V.scores, S.layers[j].n, precision(j)));
  const out = [], told = list.filter((s) => s !== null);
  if (list.length && !told.length) out.push(["score", "not known yet"]);
  else if (told.length) {
    const sum = told.reduce((a, b) => a + b, 0);
    if (V.pointsOf) out.push(["predicted loss", `${M.points(V.pointsOf(sum))} ${V.unitWords}`]);
    out.push([`${V.scores.kind} score`, `${rounded(sum)} nats, ${M.times(sum / V.share / it.ids.length)} fair`]);
  }
  if (!it.group && V.sqnr?.[it.ids[0]] != null && heard(S, it.ids[0])) out.push(["measured SQNR", `${V.sqnr[it.ids[0]].toFixed(1)} dB`]);
  return out;
}

function sizeWords(S, it, at, would) {
  let now = 0, full = 0;
  for (const j of it.ids) {
    now += M.layerBytes(S, j, S.mute.has(j) && !would ? null : Math.min(at(j), S.precisions.length - 1));
    full += M.layerBytes(S, j, null);
  }
  return `${M.bytes(now)}, ${((full / Math.max(1, S.live.fp32)) * 100).toFixed(1)} % of FP32`;
}

// The master: what follows it, and what stays because it was set by hand.
const layers = (n) => (n === 1 ? "1 layer" : `${n} layers`);
export const mastered = (S) => ((stay) => ({ stay, follow: S.n - stay }))(S.prec.filter((_, i) => byHand(S, i)).length);
export function masterSpeech(S) {
  const { stay, follow } = mastered(S);
  return `${S.precisions[S.base]?.id}, ${layers(follow)} at the base${stay ? `, ${stay} set by hand` : ""}`;
}
export function masterCard(V, p) {
  const { S } = V, { stay, follow } = mastered(S), would = p != null && p !== S.base;
  const repeat = would ? S.prec.filter((q, i) => q === p && byHand(S, i)).length : 0;
  const rows = [[would ? "would be" : "base", S.precisions[p ?? S.base].id], [would ? "would follow" : "at the base", layers(follow)], ["set by hand", stay ? layers(stay) : "none"]];
  const why = `${stay ? "Layers set by hand stay where they are. " : ""}${repeat ? `${repeat} of them ${repeat === 1 ? "says" : "say"} ${S.precisions[p].id} already and will follow the base from then on.` : ""}`.trim();
  return { title: "Master", note: "Moves the recipe's base precision: one line, one undo", rows, why, no: "" };
}
