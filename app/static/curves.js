// The curves of a training: SVG from `curves_draw`, a card for the epoch under the pointer or the keyboard.
const I = new WeakMap(), SVG = "http://www.w3.org/2000/svg";

export default function ({ data, parentElement }, lib) {
  const root = parentElement.querySelector(".curvesroot");
  let S = I.get(root);
  if (!S) I.set(root, (S = build(root, lib)));
  root.dataset.theme = data.theme;
  root.dataset.epochs = data.points.length;
  root.dataset.live = data.live ? "true" : "";
  S.d = data;
  S.watch.observe(root);
  draw(S);
  window.__curves = S;
  return () => S.watch.disconnect();
}

function build(root, lib) {
  const { el } = lib, S = { root, lib, key: "", at: -1, area: el("div", "cu-area"), card: el("div", "cu-card"), said: el("output", "cu-said") };
  S.area.tabIndex = 0;
  S.area.setAttribute("role", "application");
  S.area.setAttribute("aria-roledescription", "curves of a training");
  S.said.setAttribute("aria-live", "polite");
  root.replaceChildren(S.area, S.card, S.said);
  S.area.addEventListener("pointermove", (e) => show(S, S.lib.epochAt(S.d, S.g, e.clientX - S.root.getBoundingClientRect().left), e.clientX - S.root.getBoundingClientRect().left));
  S.area.addEventListener("pointerleave", () => show(S, -1));
  S.area.addEventListener("blur", () => show(S, -1));
  S.area.addEventListener("keydown", (e) => {
    if (!/^(Arrow(Left|Right)|Home|End)$/.test(e.key) || !S.d.points.length) return;
    e.preventDefault();
    show(S, S.lib.nextEpoch(S.d, Math.max(S.at, 0), e.key));
    S.said.textContent = S.lib.said(S.d, S.at).join(". ");
  });
  S.watch = new ResizeObserver(() => draw(S));
  return S;
}

function draw(S) {
  const w = S.root.clientWidth, h = S.root.clientHeight, key = JSON.stringify([S.d, w, h]);
  if (w < 80 || key === S.key) return;
  S.key = key;
  S.g = S.lib.panes(S.d, w, h);
  const svg = document.createElementNS(SVG, "svg");
  for (const [k, v] of [["width", w], ["height", h], ["aria-hidden", "true"]]) svg.setAttribute(k, v);
  for (const [tag, attributes, words] of S.lib.curves(S.d, w, h)) {
    const n = document.createElementNS(SVG, tag);
    for (const [k, v] of Object.entries(attributes)) n.setAttribute(k, v);
    if (words) n.textContent = words;
    svg.append(n);
  }
  S.area.setAttribute("aria-label", `${S.d.words} Arrows move by epochs.`);
  S.area.replaceChildren(svg);
  if (!S.d.points.length && S.d.start == null) S.area.append(S.lib.el("p", "cu-none", S.d.live ? "The first epoch runs" : "The curves grow here, epoch by epoch"));
}

function show(S, n, x) {
  const lines = n >= 0 ? S.lib.said(S.d, n) : [];
  const known = lines.length > 0 && (n > 0 || S.d.start != null);
  S.at = known ? n : S.at;
  S.card.classList.toggle("on", known);
  if (!known) return;
  const at = S.g.score && x !== undefined && x > S.g.score.left - 9 ? S.g.score : S.g.loss, place = at.x(n), right = place > S.g.w / 2;
  S.card.replaceChildren(S.lib.el("b", "", lines[0]), ...lines.slice(1).map((l) => S.lib.el("div", "", l)));
  S.card.style.left = right ? "auto" : `${place + 14}px`;
  S.card.style.right = right ? `${S.g.w - place + 14}px` : "auto";
}
