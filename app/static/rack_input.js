// Pointer gestures: from a hit and an event to edits of the state. `R` is the rack: S, L, grid, and what it does (moved, commit, chooses).
const q = new URL(import.meta.url).search;
const State = await import(`./rack_state.js${q}`);

const keysOf = (e) => ({ extend: e.shiftKey, add: e.ctrlKey || e.metaKey });
const plain = (e) => !e.shiftKey && !e.ctrlKey && !e.metaKey;

export function down(R, h, e) {
  const { S } = R;
  if (h.zone === "bracket") return bracket(R, h, e);
  if (h.it && (h.zone === "solo" || h.zone === "mute")) {
    State.toggle(S, h.zone, State.chosen(S, h.it.ids));
    return R.commit(h.zone);
  }
  if (h.it && h.zone === "fader" && plain(e)) return begin(R, h, e);
  R.drag = { kind: "marquee", x0: h.x, event: e, it: h.it, moved: false, before: { sel: new Set(S.sel), cur: S.cur } };
}

function bracket(R, h, e) {
  const b = h.block;
  if (!b) return;
  if (!b.stage && b.n > 1 && h.x < b.x + 11) return R.fold([b], !b.fold);
  State.pick(R.S, b.ids, keysOf(e));
  R.chooses();
}

// On a fader: the strips that move, from where, and whether they are painted one after the other.
function begin(R, h, e) {
  const { S } = R, paint = R.L.density === "overview" && (S.sel.size < 2 || !h.it.ids.some((i) => S.sel.has(i)));
  const before = { sel: new Set(S.sel), cur: S.cur };
  if (paint || !h.it.ids.some((i) => S.sel.has(i))) State.pick(S, h.it.ids);
  S.cur = h.it.ids[0];
  R.drag = { kind: paint ? "paint" : "fader", ids: [...S.sel], from: [...S.prec], y0: h.y, last: h.it, moved: false, alt: e.altKey, before };
  R.focus();
  if (!h.cap) apply(R, h, e);
  R.ask();
}

function apply(R, h, e) {
  const { S, drag } = R;
  let changed = false;
  if (drag.kind === "paint") {
    if (!h.it) return;
    const a = R.L.items.indexOf(drag.last), b = R.L.items.indexOf(h.it);
    for (let k = Math.min(a, b); k <= Math.max(a, b); k += 1) changed = State.setTo(S, R.L.items[k].ids, h.p) || changed;
    drag.last = h.it;
  } else if (drag.alt || e.altKey) changed = State.shift(S, drag.ids, drag.from, Math.round((h.y - drag.y0) / R.grid.pitch));
  else changed = State.setTo(S, drag.ids, h.p);
  if (changed) (drag.changed = true), R.moved();
}

export function move(R, h, e) {
  const { drag, S } = R;
  if (drag.kind === "marquee") {
    if (Math.abs(h.x - drag.x0) <= 4) return;
    drag.moved = true;
    R.marquee = { a: drag.x0, b: h.x };
    const a = Math.min(drag.x0, h.x), b = Math.max(drag.x0, h.x), ids = R.L.items.filter((k) => k.x + k.w > a && k.x < b).flatMap((k) => k.ids);
    S.sel = new Set(drag.event.ctrlKey || drag.event.metaKey ? [...drag.before.sel, ...ids] : ids);
    return R.ask();
  }
  if (drag.kind === "master") return masterMove(R, h);
  if (Math.abs(h.y - drag.y0) > 3 || drag.kind === "paint") drag.moved = true;
  if (drag.moved) apply(R, h, e);
}

export function up(R) {
  const { drag, S } = R;
  R.drag = R.marquee = null;
  if (!drag) return;
  if (drag.kind === "marquee") {
    if (!drag.moved && drag.it) State.pick(S, drag.it.ids, keysOf(drag.event));
    else if (drag.moved && S.sel.size) S.cur = S.anchor = Math.min(...S.sel);
    else if (drag.moved) (S.sel = drag.before.sel), (S.cur = drag.before.cur);
    R.focus();
    R.chooses();
  } else if (drag.kind === "master" ? drag.base !== S.base : drag.changed && drag.from.some((p, i) => p !== S.prec[i])) R.commit(drag.kind);
  else if (drag.kind === "master") R.rest();
  else R.rest(), R.chooses();
  R.ask();
}

// Esc, or a pointer that was taken away: everything is as it was before the drag.
export function cancel(R) {
  const { drag, S } = R;
  if (!drag) return;
  if (drag.from) S.prec = drag.from;
  if (drag.kind === "master") S.base = drag.base;
  if (drag.before) (S.sel = drag.before.sel), (S.cur = drag.before.cur);
  R.drag = R.marquee = null;
  R.rest();
  R.ask();
}

export function doubled(R, h) {
  if (h.zone === "bracket" && h.block && !h.block.stage && h.block.n > 1 && h.x >= h.block.x + 11) return R.fold([h.block], !h.block.fold);
  if (h.it && h.zone === "fader" && State.toBase(R.S, State.chosen(R.S, h.it.ids))) R.commit("reset");
}

// On the master: only the base moves, and with it the layers that follow it.
export function masterDown(R, y) {
  if (y < R.grid.y(0) - 12 || y > R.grid.end + 12) return false;
  R.drag = { kind: "master", from: [...R.S.prec], base: R.S.base };
  masterMove(R, { p: R.grid.at(y) });
  return true;
}
function masterMove(R, h) {
  const { S, drag } = R;
  if (State.setBase(S, h.p, { base: drag.base, prec: drag.from })) R.moved();
}
