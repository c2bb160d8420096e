// The rack's elements: toolbar, canvases, the row of sliders for assistive technology, hover card, help.
const q = new URL(import.meta.url).search;
const { HELP } = await import(`./rack_keys.js${q}`);
const { glyph } = await import(`./rack_brush.js${q}`);

export const KINDS = { conv: "Conv", pw: "Conv 1×1", dw: "Depthwise", gemm: "Gemm, MatMul", se: "other" };

function segment(el, label, options, get, set) {
  const s = el("div", "seg");
  s.setAttribute("role", "group");
  s.setAttribute("aria-label", label);
  for (const [value, words, title] of options) {
    const b = Object.assign(el("button", "", words), { type: "button", title, onclick: () => set(value) });
    b.dataset.value = value;
    s.append(b);
  }
  s.sync = () => [...s.children].forEach((b) => b.setAttribute("aria-pressed", b.dataset.value === get()));
  return s;
}

export function build(R, { el, button }) {
  const D = {}, canvas = (cls = "") => ((c) => (c.setAttribute("aria-hidden", "true"), c))(el("canvas", cls));
  const chip = (cls, title, onclick) => Object.assign(el("button", "chip " + cls), { type: "button", title, onclick, hidden: true });
  D.count = el("span", "cnt");
  D.legend = el("div", "legend");
  D.note = el("span", "note");
  D.solo = chip("s", "Clear all solos", () => (R.S.solo.clear(), R.commit("solo")));
  D.mute = chip("m", "Quantize all muted layers again", () => (R.S.mute.clear(), R.commit("mute")));
  D.sel = chip("", "Clear the selection (Esc)", () => ((R.S.sel = new Set([R.S.cur])), R.chooses()));
  D.fold = button("small", "Fold every block to one strip, or unfold them", () => R.foldAll(), "Fold blocks");
  D.unit = segment(el, "Meter unit", [["kl", "Loss", "Meter: what the layer costs by itself: its additive score (output KL) on the fair-share scale, in predicted points where the curve is known. Log scale."], ["db", "SQNR", "Meter: measured SQNR at the layer's output with the whole recipe on, dB; the meter rises as SQNR falls"]], () => R.unit, (v) => R.setUnit(v));
  D.density = segment(el, "Strip density", [["console", "Console", "Wide strips (D cycles)"], ["compact", "Compact", "Narrow strips (D cycles)"], ["overview", "Overview", "The whole network on one screen; drag along the lanes to paint (D cycles)"]], () => R.density, (v) => R.setDensity(v));
  D.ask = button("qm", "Mouse and keyboard", () => D.ask.setAttribute("aria-expanded", D.help.classList.toggle("open")), "?");
  D.ask.setAttribute("aria-expanded", "false");
  D.bar = el("div", "rk-bar", el("span", "ttl", "Rack"), D.count, D.legend, D.note, el("span", "grow"), D.solo, D.mute, D.sel, D.fold, D.unit, D.density, D.ask);
  D.help = el("div", "rk-help", ...HELP.flatMap(([k, t]) => [el("kbd", "", k), el("span", "", t)]));
  [D.mapLeft, D.map, D.mapRight, D.rail, D.strips, D.masterCanvas] = [canvas(), canvas("rk-map"), canvas(), canvas(), canvas(), canvas()];
  D.master = el("div", "rk-master", D.masterCanvas);
  for (const [k, v] of [["role", "slider"], ["tabindex", "0"], ["aria-orientation", "vertical"], ["aria-label", "Master, base precision"], ["aria-valuemin", "0"]]) D.master.setAttribute(k, v);
  D.sliders = el("div", "rk-sem");
  D.sliders.setAttribute("role", "group");
  D.sliders.setAttribute("aria-label", "Channel strips, one slider a layer");
  D.scroll = el("div", "rk-scroll", D.strips, D.sliders);
  D.scroll.tabIndex = -1;
  D.tip = el("div", "rk-tip");
  D.tip.setAttribute("role", "tooltip");
  D.said = el("div", "rk-said");
  D.said.setAttribute("role", "status"); // what a move brings with it, for those who do not see it
  R.root.append(D.bar, el("div", "rk-grid", D.mapLeft, D.map, D.mapRight, D.rail, D.scroll, D.master), D.tip, D.help, D.said);
  document.addEventListener("pointerdown", (e) => !e.composedPath().includes(D.help) && !e.composedPath().includes(D.ask) && (D.help.classList.remove("open"), D.ask.setAttribute("aria-expanded", "false")));
  return D;
}

export function legend(D, kinds, t, { el }) {
  D.legend.replaceChildren(
    ...Object.entries(KINDS).filter(([k]) => kinds.has(k)).map(([k, words]) => {
      const c = Object.assign(el("canvas"), { width: 20, height: 20 }), x = c.getContext("2d");
      x.scale(2, 2);
      glyph(x, t, k, 5, 5, 4);
      return el("span", "", c, words);
    }),
  );
}

// One slider for each strip, with one tab stop among them; only what changed is written.
export function sliders(D, V, words, el) {
  const { S, L } = V, row = D.sliders;
  while (row.children.length > L.items.length) row.lastChild.remove();
  while (row.children.length < L.items.length) {
    const s = el("div");
    for (const [k, v] of [["role", "slider"], ["aria-orientation", "vertical"], ["aria-keyshortcuts", "S M G ArrowUp ArrowDown Shift+ArrowUp Shift+ArrowDown Enter"]]) s.setAttribute(k, v);
    row.append(s);
  }
  const last = S.precisions.length - 1;
  L.items.forEach((it, k) => {
    const s = row.children[k];
    const now = { "aria-label": words.label(V, it), "aria-valuemin": "0", "aria-valuemax": `${last}`, "aria-valuenow": `${last - S.prec[it.ids[0]]}`, "aria-valuetext": words.speech(V, it), tabindex: it.ids.includes(S.cur) ? "0" : "-1" };
    for (const [name, value] of Object.entries(now)) if (s.getAttribute(name) !== value) s.setAttribute(name, value);
  });
}
export function master(D, V, words) {
  const { S } = V, last = S.precisions.length - 1;
  for (const [k, v] of [["aria-valuemax", last], ["aria-valuenow", last - S.base], ["aria-valuetext", words.masterSpeech(S)]]) if (D.master.getAttribute(k) !== `${v}`) D.master.setAttribute(k, `${v}`);
}
export function placeSliders(D, L) {
  D.sliders.style.width = L.total + "px";
  L.items.forEach((it, k) => Object.assign(D.sliders.children[k].style, { left: it.x + "px", width: it.w + "px" }));
}

export function tip(D, root, card, e, el) {
  if (!card) return (D.tip.style.display = "none");
  const pair = el("div", "kv", ...card.rows.flatMap(([a, b]) => [el("span", "", a), el("span", "", b)]));
  D.tip.replaceChildren(el("div", "n", card.title), el("div", "d", card.note), pair, ...(card.ahead ? [el("div", "ahead", card.ahead)] : []), ...(card.why ? [el("div", "why", card.why)] : []), ...(card.no ? [el("div", "no", card.no)] : []));
  D.tip.style.display = "block";
  D.low = !!card.ahead;
  placeTip(D, root, e);
}
export function placeTip(D, root, e) {
  if (D.tip.style.display !== "block") return;
  const r = root.getBoundingClientRect(), w = D.tip.offsetWidth, h = D.tip.offsetHeight, x = e.clientX - r.left + 18, y = e.clientY - r.top + 14;
  D.tip.style.left = (x + w > r.width - 8 ? e.clientX - r.left - w - 14 : x) + "px";
  const under = D.scroll.getBoundingClientRect().top + D.faders + 14, clear = D.low && under + h < innerHeight;
  D.tip.style.top = (clear ? under - r.top : Math.min(y, r.height + 60 - h)) + "px"; // under the faders, so that it hides no ghost
}
export const chipWords = (chip, letter, n, { el }) => ((chip.hidden = !n), chip.replaceChildren(el("b", "", letter), ` ${n} ×`));
