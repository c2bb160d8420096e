// The inspector's plots, drawn here as SVG: nothing heavy is loaded for them, and the rack never waits.
const q = new URL(import.meta.url).search;
const [{ channels, histogram, ladder, waiting }, { mirror, spans }] = await Promise.all([import(`./plots_draw.js${q}`), import(`./plots_mirror.js${q}`)]);
const I = new WeakMap(), SVG = "http://www.w3.org/2000/svg", DRAW = { histogram, ladder, channels, waiting, mirror, spans };

export default function ({ data, parentElement }, lib) {
  const root = parentElement.querySelector(".plotsroot");
  let S = I.get(root);
  if (!S) I.set(root, (S = { root, lib, key: "" }));
  root.dataset.theme = data.theme;
  S.data = data;
  S.watch ||= new ResizeObserver(() => draw(S));
  S.watch.observe(root);
  draw(S);
  window.__plots = S;
  return () => S.watch.disconnect();
}

function draw(S) {
  const width = S.root.clientWidth, key = JSON.stringify([S.data.plots, width]);
  if (width < 80 || key === S.key) return;
  S.key = key;
  const pair = width >= 560;
  S.root.replaceChildren(
    ...S.data.plots.map((p) => {
      const w = pair && p.half ? Math.floor(width * p.half) - 8 : width;
      const box = S.lib.el("figure", "plot", S.lib.el("figcaption", "", S.lib.el("b", "", p.left), S.lib.el("span", "", p.right)), picture(DRAW[p.kind](p, w, p.height), w, p.height, p.left + ". " + p.right));
      box.style.width = w + "px";
      return box;
    }),
  );
}

function picture(shapes, w, h, title) {
  const s = document.createElementNS(SVG, "svg");
  for (const [k, v] of [["width", w], ["height", h], ["role", "img"], ["aria-label", title]]) s.setAttribute(k, v);
  for (const [tag, attributes, words] of shapes) {
    const n = document.createElementNS(SVG, tag);
    for (const [k, v] of Object.entries(attributes)) n.setAttribute(k, v);
    if (words && tag === "text") n.textContent = words;
    else if (words) n.append(Object.assign(document.createElementNS(SVG, "title"), { textContent: words }));
    s.append(n);
  }
  return s;
}
