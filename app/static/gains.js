// Layers before and after: one canvas, painted whole in a frame; a click or the keyboard picks a layer.
const I = new WeakMap(), COLORS = ["surface", "soft", "line", "text", "text2", "text3", "accent", "select", "ok", "hot"];

export default function ({ data, parentElement, setTriggerValue }, lib) {
  const root = parentElement.querySelector(".gainsroot");
  let S = I.get(root);
  if (!S) I.set(root, (S = build(root, lib)));
  S.pick = (i) => setTriggerValue("pick", { layer: S.d.layers[i], t: Date.now() });
  S.lib = lib;
  S.d = data;
  root.dataset.theme = data.theme;
  root.dataset.pairs = data.after.filter((v, i) => v !== null && data.before[i] !== null).length;
  if (S.at < 0 || S.at >= data.layers.length) S.at = Math.max(0, data.selected);
  resize(S);
  window.__gains = S;
  return () => S.watch.disconnect();
}

function build(root, { el }) {
  const S = { root, canvas: el("canvas"), card: el("div", "ga-card"), said: el("output", "ga-said"), hover: -1, at: -1, focus: false };
  S.area = el("div", "ga-area", S.canvas, S.card, S.said);
  S.area.tabIndex = 0;
  S.area.setAttribute("role", "application");
  S.area.setAttribute("aria-roledescription", "plot of layers");
  S.said.setAttribute("aria-live", "polite");
  root.replaceChildren(S.area);
  S.canvas.addEventListener("pointermove", (e) => point(S, S.lib.layerAt(S.g, e.offsetX, e.offsetY)));
  S.canvas.addEventListener("pointerleave", () => point(S, -1));
  S.canvas.addEventListener("click", (e) => choose(S, S.lib.layerAt(S.g, e.offsetX, e.offsetY)));
  S.area.addEventListener("keydown", (e) => key(S, e));
  S.area.addEventListener("focus", () => ((S.focus = S.area.matches(":focus-visible")), paint(S)));
  S.area.addEventListener("blur", () => ((S.focus = false), paint(S)));
  S.watch = new ResizeObserver(() => resize(S));
  return S;
}

function resize(S) {
  const w = S.root.clientWidth, h = S.root.clientHeight, scale = Math.max(window.devicePixelRatio || 1, 1);
  if (!S.d || !w) return;
  S.watch.observe(S.root);
  S.g = S.lib.place(S.d, w, h);
  if (S.canvas.width !== Math.round(w * scale) || S.canvas.height !== Math.round(h * scale)) [S.canvas.width, S.canvas.height] = [Math.round(w * scale), Math.round(h * scale)];
  S.area.setAttribute("aria-label", `${S.d.layers.length} layers, signal to noise before and after. Arrows move, Enter selects.`);
  paint(S);
}

function paint(S) {
  if (!S.g) return;
  const style = getComputedStyle(S.root), c = Object.fromEntries(COLORS.map((n) => [n, style.getPropertyValue(`--${n}`).trim()]));
  const ctx = S.canvas.getContext("2d"), scale = S.canvas.width / S.g.w;
  ctx.setTransform(scale, 0, 0, scale, 0, 0);
  S.lib.gainsPaint(ctx, S.g, S.d, c, S, S.lib);
}

const db = (v) => (v === null ? "not measured" : `${v.toFixed(1)} dB`.replace("-", "−"));
const words = (d, i) => [`SQNR ${db(d.before[i])} → ${db(d.after[i])}`, d.before[i] !== null && d.after[i] !== null ? `${d.after[i] >= d.before[i] ? "+" : "−"}${Math.abs(d.after[i] - d.before[i]).toFixed(1)} dB` : "", d.notes[i]].filter(Boolean).join("\n");

function point(S, i) {
  if (i === S.hover) return;
  S.hover = i;
  S.card.classList.toggle("on", i >= 0);
  if (i >= 0) show(S, i);
  paint(S);
}

function show(S, i) {
  const { el, xOf } = S.lib, x = xOf(S.g, i), right = x > S.g.w / 2;
  S.card.replaceChildren(el("b", "", S.d.layers[i]), el("div", "", words(S.d, i)));
  S.card.style.left = right ? "auto" : `${x + 14}px`;
  S.card.style.right = right ? `${S.g.w - x + 14}px` : "auto";
}

function choose(S, i) {
  if (i < 0) return;
  S.at = S.d.selected = i; // at once; Python confirms
  paint(S);
  S.pick(i);
}

function key(S, e) {
  const to = S.lib.next(S.g, S.at, e.key);
  if (e.key === "Enter" || e.key === " ") choose(S, S.at);
  else if (/^(Arrow(Left|Right)|Home|End|Page)/.test(e.key)) {
    S.at = to;
    S.focus = true;
    S.said.textContent = `${S.d.layers[to]}: ${words(S.d, to)}`;
    S.hover = -2;
    point(S, to);
  } else return;
  e.preventDefault();
}
