// The rack's state and its edits, without a DOM: what the hand changed, what Python has acknowledged.
// A letter stands for a detent ("a" the one with most bits), runs are counted: "c297dc2". Sets of layers are ranges: "0-4,7".
const LETTERS = "abcdefghijklmnopqrstuvwxyz";

export function pack(list) {
  let out = "";
  for (let i = 0, k; i < list.length; i = k) {
    for (k = i + 1; k < list.length && list[k] === list[i]; ) k += 1;
    out += (list[i] < 0 ? "_" : LETTERS[list[i]]) + (k - i > 1 ? k - i : "");
  }
  return out;
}

export function unpack(text) {
  const out = [];
  for (const [, letter, count] of text.matchAll(/([a-z_])(\d*)/g)) for (let k = +(count || 1); k > 0; k -= 1) out.push(LETTERS.indexOf(letter));
  return out;
}

export function packSet(set) {
  const ids = [...set].sort((a, b) => a - b), out = [];
  for (let i = 0, k; i < ids.length; i = k) {
    for (k = i + 1; k < ids.length && ids[k] === ids[k - 1] + 1; ) k += 1;
    out.push(k - i > 1 ? `${ids[i]}-${ids[k - 1]}` : `${ids[i]}`);
  }
  return out.join();
}

export const unpackSet = (text) => new Set(text ? text.split(",").flatMap((r) => (([a, b]) => range(+a, +(b ?? a)))(r.split("-"))) : []);
export const range = (a, b) => Array.from({ length: Math.max(0, b - a + 1) }, (_, k) => a + k);
export const clamp = (x, a, b) => Math.max(a, Math.min(b, x));

export const create = () => ({ n: 0, layers: [], blocks: [], precisions: [], no: [], links: [], linkOf: [], prec: [], eff: [], mute: new Set(), stay: new Set(), base: 0, solo: new Set(), sel: new Set([0]), cur: 0, anchor: 0, seq: 0, token: "", was: { prec: [], mute: new Set(), base: 0 }, live: null, F: null, now: null });

// A graph's layers fall into blocks: runs of layers with one block name.
export function setGraph(S, graph) {
  Object.assign(S, create(), { layers: graph.layers, n: graph.layers.length });
  for (const [i, l] of S.layers.entries()) {
    const last = S.blocks.at(-1);
    if (last && last.name === l.b) last.n += 1;
    else S.blocks.push({ name: l.b, i0: i, n: 1 });
  }
}

// What the target allows: `no[i][p]` is a reason, or empty; `links` are strips that share a weight or a tensor they read.
export function setRules(S, rules) {
  S.precisions = rules.precisions;
  S.no = rules.no.map((code) => [...code].map((c) => rules.reasons[LETTERS.indexOf(c) + 1]));
  S.links = rules.links.map((l) => ({ why: l.why, ids: [...unpackSet(l.ids)] }));
  S.linkOf = new Array(S.n).fill(null);
  for (const l of S.links) for (const i of l.ids) S.linkOf[i] = l;
}

// Takes over what Python says, unless the hand has moved on meanwhile. Returns what changed: "all", "selection" or nothing.
export function adopt(S, live) {
  S.live = live;
  if (live.memory !== S.memory) (S.memory = live.memory), (S.seq = live.ack); // a server that knows nothing of earlier moves
  if (live.ack < S.seq) return "";
  const moved = live.cur !== S.cur || packSet(S.sel) !== live.sel;
  S.seq = live.ack;
  S.token = live.token;
  S.prec = unpack(live.prec);
  S.eff = unpack(live.eff);
  S.other = live.other ? unpack(live.other) : null;
  S.base = live.base;
  S.mute = unpackSet(live.mute);
  S.stay = unpackSet(live.stay);
  S.solo = unpackSet(live.solo);
  S.was = { prec: [...S.prec], mute: new Set(S.mute), base: S.base };
  S.sel = unpackSet(live.sel);
  S.cur = clamp(live.cur, 0, Math.max(0, S.n - 1));
  if (moved) S.anchor = S.cur;
  return moved ? "selection" : "all";
}

export const doc = (S, graph, why) => ({ seq: S.seq, graph, from: S.token, why, prec: pack(S.prec), base: S.base, mute: packSet(S.mute), solo: packSet(S.solo), sel: packSet(S.sel), cur: S.cur });

// The detent that counts: what the graph makes of the request. Where the rules of that are not known (see rack_ahead.js), it is what
// Python has confirmed, and for a fader that was moved since the next legal one with more bits.
export function effective(S, i) {
  if (S.now && !S.mute.has(i)) return ((p) => (p >= 0 ? p : S.prec[i]))(detentOf(S, S.now.names[i]));
  if (S.prec[i] !== S.was.prec[i]) return legal(S, i, S.prec[i], -1);
  return ran(S, i);
}
// The same of the state that Python has confirmed.
export const ran = (S, i) => ((e) => (e >= 0 && e < S.precisions.length ? e : S.was.prec[i]))(S.eff[i] ?? -1);
const confirmed = (S, i) => S.prec[i] === S.was.prec[i] && (S.eff[i] ?? -1) >= 0 && S.eff[i] !== S.prec[i];
export const raised = (S, i) => !S.mute.has(i) && (S.now ? S.now.names[i] !== S.precisions[S.prec[i]].id : confirmed(S, i));
const told = (S, i) => (raised(S, i) ? (S.precisions[S.eff[i]]?.id ?? S.live.extra[S.eff[i] - S.precisions.length] ?? "") : S.precisions[effective(S, i)]?.id);
export const effectiveName = (S, i) => (S.now && !S.mute.has(i) ? S.now.names[i] : told(S, i));
export const detentOf = (S, name) => S.precisions.findIndex((p) => p.id === name);
// The row of a precision on the fader: its detent, else that of the nearest one.
export function rowOf(S, name) {
  const at = detentOf(S, name), bits = (/^w(\d+)a(\d+)$/.exec(name) ?? [0, 32, 32]).slice(1).map(Number);
  const off = (p) => Math.abs(p.w - bits[0]) + Math.abs(p.a - bits[1]);
  return at >= 0 ? at : S.precisions.reduce((best, p, k) => (off(p) < off(S.precisions[best]) ? k : best), 0);
}
export const heard = (S, i) => !S.mute.has(i) && (!S.solo.size || S.solo.has(i));

// The nearest legal detent; with a direction only that way, and where there is none the layer stays where it is.
export function legal(S, i, p, dir = 0) {
  const no = S.no[i] || [], last = S.precisions.length - 1;
  if (!no[p]) return p;
  for (let k = 1; k <= last; k += 1)
    for (const q of dir > 0 ? [p + k] : dir < 0 ? [p - k] : [p - k, p + k]) if (q >= 0 && q <= last && !no[q]) return q;
  return dir ? S.prec[i] : p;
}

const each = (S, ids, target) => {
  let changed = false;
  for (const i of ids) {
    const p = target(i);
    if (p !== S.prec[i]) (S.prec[i] = p), (changed = true);
  }
  return changed;
};
export const setTo = (S, ids, p) => each(S, ids, (i) => legal(S, i, p));
export const nudge = (S, ids, step) => each(S, ids, (i) => legal(S, i, clamp(S.prec[i] + step, 0, S.precisions.length - 1), step));
export const shift = (S, ids, from, steps) => each(S, ids, (i) => legal(S, i, clamp(from[i] + steps, 0, S.precisions.length - 1)));
export const toBase = (S, ids) => setTo(S, ids, S.base);

// The master moves the base: layers that stand at it follow, wherever the target then raises them to; what was set by hand stays.
export const byHand = (S, i) => S.prec[i] !== S.base || S.stay.has(i);
export function setBase(S, p, from = { base: S.base, prec: [...S.prec] }) {
  const before = S.base;
  S.base = p;
  each(S, range(0, S.n - 1), (i) => (from.prec[i] === from.base && !S.stay.has(i) ? p : from.prec[i]));
  return p !== before;
}

export function toggle(S, key, ids) {
  const set = S[key], on = ids.every((i) => set.has(i));
  for (const i of ids) on ? set.delete(i) : set.add(i);
}

// A click or a key picks strips: alone, from the anchor (Shift), or one more or less (Ctrl).
export function pick(S, ids, { extend = false, add = false } = {}) {
  if (extend) S.sel = new Set(range(Math.min(S.anchor, ...ids), Math.max(S.anchor, ...ids)));
  else if (add) {
    const on = ids.every((i) => S.sel.has(i));
    for (const i of ids) on ? S.sel.delete(i) : S.sel.add(i);
    if (!S.sel.size) S.sel.add(ids[0]);
  } else S.sel = new Set(ids);
  if (!extend) S.anchor = ids[0];
  S.cur = ids[0];
}
export const chosen = (S, ids) => (ids.some((i) => S.sel.has(i)) ? [...S.sel] : ids);
