// The heatmap of items and precisions: one canvas, painted whole in a frame; a click or the keyboard picks a cell.
const I = new WeakMap();
const COLORS = ["surface", "chassis", "line", "text", "text2", "text3", "accent", "select", "ok", "mid", "hot", "off", "capink"];

export default function ({ data, parentElement, setTriggerValue }, lib) {
  const root = parentElement.querySelector(".heatroot");
  let S = I.get(root);
  if (!S) I.set(root, (S = build(root, lib)));
  S.pick = (at) => setTriggerValue("pick", { item: S.d.items[at.column], precision: S.d.precisions[at.row], t: Date.now() });
  S.lib = lib;
  S.d = data;
  root.dataset.theme = data.theme;
  root.dataset.cells = data.cells.filter((c) => c[5]).length;
  if (S.at && (S.at.column >= data.items.length || S.at.row >= data.precisions.length)) S.at = null;
  S.at ??= { column: Math.max(data.selected, 0), row: Math.max(data.chosen, 0) };
  resize(S);
  window.__heat = S;
  return () => S.watch.disconnect();
}

function build(root, { el }) {
  const S = { root, canvas: el("canvas"), said: el("output", "heat-said"), card: el("div", "heat-card"), hover: null, at: null, focus: false };
  S.area = el("div", "heat-area", S.canvas, S.card, S.said);
  S.area.tabIndex = 0;
  S.area.setAttribute("role", "application");
  S.area.setAttribute("aria-roledescription", "heatmap");
  S.said.setAttribute("aria-live", "polite");
  root.replaceChildren(S.area);
  S.canvas.addEventListener("pointermove", (e) => point(S, S.lib.cellAt(S.g, e.offsetX, e.offsetY)));
  S.canvas.addEventListener("pointerleave", () => point(S, null));
  S.canvas.addEventListener("click", (e) => {
    const at = S.lib.cellAt(S.g, e.offsetX, e.offsetY);
    if (at) choose(S, at);
  });
  S.area.addEventListener("keydown", (e) => key(S, e));
  S.area.addEventListener("focus", () => ((S.focus = S.area.matches(":focus-visible")), paint(S)));
  S.area.addEventListener("blur", () => ((S.focus = false), paint(S)));
  S.watch = new ResizeObserver(() => resize(S));
  S.watch.observe(root);
  return S;
}

function resize(S) {
  const width = S.root.clientWidth;
  if (!S.d || !width) return;
  S.watch.observe(S.root); // again after a remount
  S.g = S.lib.grid(S.d.labels, S.d.precisions.length, width);
  const scale = Math.max(window.devicePixelRatio || 1, 1);
  if (S.canvas.width !== Math.round(width * scale) || S.canvas.height !== Math.round(S.g.height * scale)) {
    S.canvas.width = Math.round(width * scale);
    S.canvas.height = Math.round(S.g.height * scale);
    S.canvas.style.height = `${S.g.height}px`;
  }
  S.area.setAttribute("aria-label", `${S.d.items.length} items by ${S.d.precisions.length} precisions. Arrows move, Enter selects.`);
  paint(S);
}

function paint(S) {
  if (!S.g) return;
  const style = getComputedStyle(S.root), c = Object.fromEntries(COLORS.map((n) => [n, style.getPropertyValue(`--${n}`).trim()]));
  c.dark = S.d.theme !== "light";
  const ctx = S.canvas.getContext("2d"), scale = S.canvas.width / S.g.width;
  ctx.setTransform(scale, 0, 0, scale, 0, 0);
  S.lib.heatPaint(ctx, S.g, S.d, c, S, S.lib);
}

const words = (S, at) => S.d.hover[at.row * S.d.items.length + at.column];

function point(S, at) {
  if (at?.column === S.hover?.column && at?.row === S.hover?.row) return;
  S.hover = at;
  S.card.classList.toggle("on", !!at);
  if (at) show(S, at);
  paint(S);
}

function show(S, at) {
  const { el, middle } = S.lib, p = middle(S.g, at.column, at.row);
  const text = el("div", "", words(S, at));
  S.card.replaceChildren(el("b", "", S.d.items[at.column]), ` at ${S.d.precisions[at.row]}`, text);
  const right = p.x > S.g.width / 2;
  S.card.style.left = right ? "auto" : `${p.x + S.g.step / 2 + 8}px`;
  S.card.style.right = right ? `${S.g.width - p.x + S.g.step / 2 + 8}px` : "auto";
  S.card.style.top = `${Math.max(0, p.y - 18)}px`;
}

function choose(S, at) {
  S.at = at;
  Object.assign(S.d, { selected: at.column, chosen: at.row }); // at once; Python confirms
  paint(S);
  S.pick(at);
}

function key(S, e) {
  if (e.key === "Enter" || e.key === " ") choose(S, S.at);
  else if (/^(Arrow|Home|End|Page)/.test(e.key)) {
    S.at = S.lib.moved(S.g, S.at, e.key);
    S.focus = true;
    S.said.textContent = `${S.d.items[S.at.column]} at ${S.d.precisions[S.at.row]}: ${words(S, S.at)}`;
    point(S, S.at);
  } else return;
  e.preventDefault();
}
