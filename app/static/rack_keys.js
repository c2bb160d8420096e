// The keyboard grammar. `R` is the rack; returns whether the key was one of ours.
const q = new URL(import.meta.url).search;
const State = await import(`./rack_state.js${q}`);
export const DENSITIES = ["console", "compact", "overview"];

export const HELP = [
  ["Click", "select; Shift extends, Ctrl toggles"], ["Drag on meters", "marquee; Ctrl adds"], ["Drag a cap", "move it and all selected faders"],
  ["Alt + drag", "move the selection relatively"], ["Click on a detent", "jump there"], ["Master", "moves the base; layers set by hand stay"], ["Double click a cap", "back to the base precision"],
  ["Drag lanes, Overview", "paint precisions across layers"], ["Block name", "select the block; ▾ folds it"], ["← →, Home, End", "previous, next, first, last strip"],
  ["Shift with ← →", "extend the selection"], ["PgUp, PgDn", "previous, next block"], ["↑ ↓, 1 … 7", "one detent; straight to a detent"], ["Shift with ↑ ↓", "look ahead what that brings; Enter takes it"],
  ["S, M, G", "solo (audition), mute (float), fold"], ["Backspace", "back to the base precision"], ["Ctrl A, Esc", "select all; clear"], ["Ctrl Z, Ctrl Shift Z", "undo; redo"], ["D, X", "density; snapshot A/B"],
];

export function key(R, e) {
  const { S, L } = R, ctrl = e.ctrlKey || e.metaKey;
  if (ctrl && e.key.toLowerCase() === "a") {
    S.sel = new Set(S.prec.map((_, i) => i));
    R.chooses();
    return true;
  }
  if (ctrl || e.altKey) return false; // undo and redo belong to the window
  const here = L.itemOf[S.cur], act = ACTIONS[e.key] || ACTIONS[e.key.toLowerCase()];
  const detent = /^[1-9]$/.test(e.key) ? +e.key - 1 : -1;
  if (detent >= 0) {
    if (detent < S.precisions.length && State.setTo(S, ids(R), detent)) R.commit("key");
    return true;
  }
  if (!act) return false;
  act(R, here, e);
  return true;
}

// What a key acts on: the selection when the current strip is in it, else that strip.
const ids = (R) => (R.S.sel.has(R.S.cur) ? [...R.S.sel] : R.L.items[R.L.itemOf[R.S.cur]].ids);

function go(R, k, e) {
  const { S, L } = R, it = L.items[State.clamp(k, 0, L.items.length - 1)];
  State.pick(S, it.ids, { extend: e.shiftKey });
  R.show(S.cur);
  R.chooses();
  R.focus();
}

function block(R, here, step, e) {
  const { L } = R, at = L.blocks.indexOf(L.items[here].block), b = L.blocks[State.clamp(at + step, 0, L.blocks.length - 1)];
  go(R, L.itemOf[b.i0], e);
}

const nudge = (R, step, e) => (e.shiftKey ? look(R, (S) => State.nudge(S, ids(R), step)) : State.nudge(R.S, ids(R), step) && R.commit("key"));

// A move that is looked at: a further one goes on from there, Enter takes it, all else drops it.
function look(R, move) {
  const { S } = R, seen = { ...S, prec: [...(R.looking?.prec ?? S.prec)], base: R.looking?.base ?? S.base };
  if (move(seen)) R.look({ prec: seen.prec, base: seen.base });
}
function take(R, why) {
  if (!R.looking) return;
  Object.assign(R.S, R.looking);
  R.commit(why);
}
const flip = (R, which) => (State.toggle(R.S, which, ids(R)), R.commit(which));

const ACTIONS = {
  ArrowLeft: (R, here, e) => go(R, here - 1, e),
  ArrowRight: (R, here, e) => go(R, here + 1, e),
  Home: (R, here, e) => go(R, 0, e),
  End: (R, here, e) => go(R, Infinity, e),
  PageUp: (R, here, e) => block(R, here, -1, e),
  PageDown: (R, here, e) => block(R, here, 1, e),
  ArrowUp: (R, here, e) => nudge(R, -1, e),
  ArrowDown: (R, here, e) => nudge(R, 1, e),
  Enter: (R) => take(R, "key"),
  Backspace: (R) => State.toBase(R.S, ids(R)) && R.commit("reset"),
  s: (R) => flip(R, "solo"),
  m: (R) => flip(R, "mute"),
  g: (R, here) => R.L.items[here].block.n > 1 && (R.fold([R.L.items[here].block], !R.L.items[here].block.fold), R.focus()),
  d: (R) => (R.setDensity(DENSITIES[(DENSITIES.indexOf(R.density) + 1) % 3]), R.focus()),
  x: (R) => R.flip(),
  Escape: (R) => {
    const { S } = R;
    if (R.drag || R.looking) return R.cancel();
    const sounding = S.solo.size > 0;
    S.solo.clear();
    S.sel = new Set([S.cur]);
    sounding ? R.commit("solo") : R.chooses();
  },
};

// The master is a slider of its own: up is more bits, Home the fewest, End the most; digits and looking ahead as on the strips.
export function masterKey(R, e) {
  const { S } = R, last = S.precisions.length - 1;
  if (e.ctrlKey || e.metaKey || e.altKey) return false;
  if (e.key === "Escape") return R.cancel(), true;
  if (e.key.toLowerCase() === "x") return R.flip(), true;
  if (e.key === "Enter") return take(R, "master"), true;
  const steps = { ArrowUp: -1, ArrowRight: -1, PageUp: -1, ArrowDown: 1, ArrowLeft: 1, PageDown: 1 }[e.key];
  const to = steps ? (e.shiftKey ? (R.looking?.base ?? S.base) : S.base) + steps : e.key === "Home" ? last : e.key === "End" ? 0 : /^[1-9]$/.test(e.key) ? +e.key - 1 : null;
  if (to === null) return false;
  if (to < 0 || to > last) return true;
  if (e.shiftKey && steps) R.look(((seen) => (State.setBase(seen, to), { prec: seen.prec, base: to }))({ ...S, prec: [...S.prec] }), true);
  else if (State.setBase(S, to)) R.commit("master");
  return true;
}
