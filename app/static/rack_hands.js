// From the browser's events to gestures and keys: pointer, wheel, minimap, master, keyboard.
const q = new URL(import.meta.url).search;
const [Input, Keys, Layout, State, Dom] = await Promise.all(["rack_input", "rack_keys", "rack_layout", "rack_state", "rack_dom"].map((name) => import(`./${name}.js${q}`)));

const EDGE = 24, STEP = 14; // a drag near an edge scrolls

export function listen(R) {
  const { D } = R, s = D.scroll, on = (e, type, f, o) => e.addEventListener(type, f, o);
  on(s, "scroll", () => R.ask(), { passive: true });
  on(s, "pointerdown", (e) => down(R, e));
  on(s, "pointermove", (e) => move(R, e));
  on(s, "pointerup", () => (Input.up(R), R.card(null)));
  on(s, "pointercancel", () => R.cancel());
  on(s, "pointerleave", () => !R.drag && R.hovers(null));
  on(s, "dblclick", (e) => R.L && Input.doubled(R, hit(R, e)));
  on(s, "wheel", (e) => wheel(s, e), { passive: false });
  on(D.map, "pointerdown", (e) => R.L && grab(R, e));
  on(D.map, "pointermove", (e) => R.grab && (s.scrollLeft = R.grab.left + (e.clientX - R.grab.x) / R.grab.k));
  on(D.map, "pointerup", () => (R.grab = null));
  on(D.master, "pointerdown", (e) => !e.button && R.L && Input.masterDown(R, e.offsetY) && (D.master.setPointerCapture(e.pointerId), R.masterCard(null)));
  on(D.master, "pointermove", (e) => R.L && masterMove(R, e));
  on(D.master, "pointerup", () => R.drag?.kind === "master" && (Input.up(R), R.masterCard(null)));
  on(D.master, "pointercancel", () => R.cancel());
  on(D.master, "pointerleave", () => R.drag?.kind !== "master" && R.masterCard(null));
  on(D.master, "keydown", (e) => R.L && Keys.masterKey(R, e) && (e.preventDefault(), e.stopPropagation()));
  on(D.sliders, "keydown", (e) => R.L && Keys.key(R, e) && (e.preventDefault(), e.stopPropagation()));
  on(D.sliders, "focusin", (e) => ((R.focused = e.target.matches(":focus-visible")), R.ask()));
  on(D.sliders, "focusout", () => ((R.focused = false), R.look(null), R.ask()));
  on(D.master, "focusout", () => R.look(null));
}

function hit(R, e) {
  const r = R.D.scroll.getBoundingClientRect();
  return Layout.hit(R.S, R.L, R.grid, e.clientX - r.left + R.D.scroll.scrollLeft, e.clientY - r.top);
}

function down(R, e) {
  if (e.button || !R.L) return;
  R.D.scroll.setPointerCapture(e.pointerId);
  R.hovers(null);
  e.preventDefault();
  Input.down(R, hit(R, e), e);
}

function move(R, e) {
  if (!R.L) return;
  const h = hit(R, e), s = R.D.scroll;
  if (R.drag) return dragged(R, h, e);
  s.style.cursor = cursor(h, R.L.density);
  if (R.hover?.it === h.it && R.hover?.p === h.p && R.hover?.zone === h.zone) return Dom.placeTip(R.D, R.root, e);
  R.hovers(h, e);
}

function dragged(R, h, e) {
  const s = R.D.scroll, r = s.getBoundingClientRect(), { kind } = R.drag;
  Input.move(R, h, e);
  if (kind === "fader" || kind === "paint") R.card({ ...h, it: R.drag.last }, e);
  if (kind === "paint" || (kind === "marquee" && R.drag.moved)) s.scrollLeft += e.clientX > r.right - EDGE ? STEP : e.clientX < r.left + EDGE ? -STEP : 0;
}

function masterMove(R, e) {
  const p = R.grid.at(e.offsetY), near = e.offsetY > R.grid.y(0) - 12 && e.offsetY < R.grid.end + 12;
  if (R.drag?.kind === "master") Input.move(R, { p }, e);
  R.masterCard(near || R.drag ? p : null, e);
}

// The wheel scrolls sideways while there is something to scroll; otherwise the page moves.
function wheel(s, e) {
  const most = s.scrollWidth - s.clientWidth;
  if (most < 2 || e.ctrlKey) return;
  const to = State.clamp(s.scrollLeft + (Math.abs(e.deltaX) > Math.abs(e.deltaY) ? e.deltaX : e.deltaY), 0, most);
  if (Math.abs(to - s.scrollLeft) <= 0.5) return;
  s.scrollLeft = to;
  e.preventDefault();
}

function grab(R, e) {
  const s = R.D.scroll, k = R.L.W / R.L.total, x = e.offsetX / k;
  R.D.map.setPointerCapture(e.pointerId);
  if (x < s.scrollLeft || x > s.scrollLeft + R.L.W) s.scrollLeft = x - R.L.W / 2;
  R.grab = { x: e.clientX, left: s.scrollLeft, k };
}

export function cursor(h, density) {
  if (h.zone === "bracket") return h.block ? "pointer" : "default";
  if (!h.it) return "default";
  if (h.zone === "fader") return h.cap ? "ns-resize" : density === "overview" ? "crosshair" : "pointer";
  return h.zone === "strip" ? "default" : "pointer";
}
