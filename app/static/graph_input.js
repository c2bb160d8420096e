// Hands on the graph: pointer, wheel and keys. `S` is the view's state with its actions (see graph.js).
export function listen(S) {
  const c = S.canvas;
  c.addEventListener("pointerdown", (e) => down(S, e));
  c.addEventListener("pointermove", (e) => move(S, e));
  c.addEventListener("pointerup", (e) => up(S, e));
  c.addEventListener("pointercancel", () => (S.drag = null));
  c.addEventListener("pointerleave", () => S.drag || S.hovers(null));
  c.addEventListener("dblclick", (e) => twice(S, e));
  c.addEventListener("wheel", (e) => wheel(S, e), { passive: false });
  c.addEventListener("keydown", (e) => key(S, e));
  c.addEventListener("focus", () => ((S.focus = c.matches(":focus-visible")), S.repaint()));
  c.addEventListener("blur", () => ((S.focus = false), S.repaint()));
}

const place = (S, e) => {
  const r = S.canvas.getBoundingClientRect();
  return [e.clientX - r.left, e.clientY - r.top];
};
const under = (S, e) => S.lib.hit(S.g, S.v, S.marks, ...place(S, e));

function down(S, e) {
  if (e.button > 1 || !S.g) return;
  S.canvas.focus({ preventScroll: true });
  S.drag = { x: e.clientX, y: e.clientY, v: S.v, moved: false, id: e.pointerId };
  S.canvas.setPointerCapture(e.pointerId);
}

function move(S, e) {
  if (!S.g) return;
  const d = S.drag;
  if (!d) {
    const found = under(S, e);
    S.canvas.style.cursor = found && found.what !== "block" ? "pointer" : "grab";
    return S.hovers(found, ...place(S, e));
  }
  if (!d.moved && Math.hypot(e.clientX - d.x, e.clientY - d.y) < 4) return;
  d.moved = true;
  S.hovers(null);
  S.canvas.style.cursor = "grabbing";
  S.look({ k: d.v.k, x: d.v.x + e.clientX - d.x, y: d.v.y + e.clientY - d.y });
}

function up(S, e) {
  const d = S.drag;
  S.drag = null;
  if (!d || d.moved) return S.canvas.style.setProperty("cursor", "grab");
  const found = under(S, e);
  if (found?.what === "mark") return S.chooseMark(found.i);
  if (found?.what === "title") return S.fold(found.name);
  if (found?.what === "node" || found?.what === "folded") S.pick(found.i, e.shiftKey || e.ctrlKey || e.metaKey);
}

function twice(S, e) {
  const found = under(S, e);
  if (found?.what === "folded" || found?.what === "block") S.fold(found.name);
  else if (!found) S.whole();
}

// The wheel zooms where it points; with nothing left to zoom out of, the page moves on.
function wheel(S, e) {
  if (!S.g) return;
  const all = S.lib.fit(S.g.places, S.w, S.h), out = e.deltaY > 0;
  if (out && S.v.k <= all.k * 1.001) return;
  e.preventDefault();
  const next = S.lib.zoomAt(S.v, ...place(S, e), Math.exp(-Math.max(-60, Math.min(60, e.deltaY)) * 0.0032));
  S.hovers(null);
  S.look(next.k < all.k ? all : next);
}

function key(S, e) {
  if (!S.g || e.altKey || ((e.ctrlKey || e.metaKey) && e.key !== "a")) return;
  const n = S.g.facts.nodes.length;
  const does = {
    "+": () => S.zoom(1.3), "=": () => S.zoom(1.3), "-": () => S.zoom(1 / 1.3), 0: () => S.whole(), f: () => S.foldAt(), Enter: () => S.foldAt(),
    Home: () => S.pick(0), End: () => S.pick(n - 1), c: () => S.nextMode(), n: () => S.nextMark(e.shiftKey ? -1 : 1), N: () => S.nextMark(-1), x: () => S.expand(),
    " ": () => S.pick(S.at, true), Escape: () => (S.expanded ? S.expand() : S.clear()), a: () => (e.ctrlKey || e.metaKey) && S.pickAll(),
  }[e.key];
  if (e.key.startsWith("Arrow")) {
    const to = S.lib.neighbour(S.g, S.at, e.key);
    if (to >= 0) S.pick(to, e.shiftKey, true);
  } else if (does) does();
  else return;
  e.preventDefault();
  e.stopPropagation();
}
