// The plot in the document: SVG drawn by `mix_plot`, the pointer and the keyboard on it, and the card beside a mark.
const SVG = "http://www.w3.org/2000/svg";

export function plotView(S, { el }) {
  const area = el("div", "mx-plot"), svg = document.createElementNS(SVG, "svg"), card = el("div", "mx-card"), said = el("output", "mx-live"), empty = el("p", "mx-empty");
  area.append(svg, card, said, empty);
  area.tabIndex = 0;
  area.setAttribute("role", "application");
  area.setAttribute("aria-roledescription", "plot of recipes");
  said.setAttribute("aria-live", "polite");
  const V = { area, svg, card, said, empty, hover: "", drag: false };
  area.onpointermove = (e) => moved(S, V, e);
  area.onpointerleave = () => V.drag || point(S, V, null);
  area.onpointerdown = (e) => pressed(S, V, e);
  area.onpointerup = area.onpointercancel = (e) => released(S, V, e);
  area.onkeydown = (e) => key(S, V, e);
  return V;
}

const inside = (V, e) => ((r) => [e.clientX - r.left, e.clientY - r.top])(V.area.getBoundingClientRect());

function moved(S, V, e) {
  if (!V.d) return;
  const [x, y] = inside(V, e);
  if (V.drag) return S.limit(S.view.axis, S.lib.costAt(V.d, V.g, x), false);
  const m = S.lib.hit(V.d, V.g, x, y);
  V.area.style.cursor = onLine(S, V, x) && !m ? "ew-resize" : m && (m.p || m.kind === "frontier") ? "pointer" : "default";
  point(S, V, m, [x, y]);
}

const onLine = (S, V, x) => V.d.budget != null && Math.abs(x - V.g.x(S.lib.costOf(V.d, V.d.budget))) < 7;

function pressed(S, V, e) {
  if (!V.d || e.button) return;
  const [x, y] = inside(V, e), m = S.lib.hit(V.d, V.g, x, y);
  if (onLine(S, V, x) && (!m || y < 16)) {
    V.drag = true;
    V.area.setPointerCapture(e.pointerId);
    e.preventDefault();
  } else if (m) S.show(m);
}

function released(S, V, e) {
  if (!V.drag) return;
  V.drag = false;
  S.limit(S.view.axis, S.lib.costAt(V.d, V.g, inside(V, e)[0]), true);
}

// What a mark says of itself, line by line: the first is the title.
export function markWords(S, m) {
  const d = S.view, pp = (v) => `${(v * d.scale).toFixed(d.unit === "pp" ? 2 : 4)}`.replace("-", "−");
  if (m.kind === "frontier") return ["Frontier, predicted", `${S.lib.costWords(d, m.cost)}; click to see its mix`];
  const ends = m.lo == null ? "" : ` (95 %: ${pp(m.lo)} to ${pp(m.hi)})`, how = m.predicted ? "predicted" : "measured";
  const first = { now: "On the desk, measured", nowp: "On the desk, predicted", solution: "The answer to the targets, predicted" }[m.kind] ?? m.words.split(": measured")[0];
  return [first, m.drop == null ? "" : `drop ${pp(m.drop)} ${d.unit} ${how}${ends}`, m.lost == null ? "" : `${m.lost} samples lost, ${m.won} won`, `${S.lib.bytes(m.size)}, ${S.lib.count(m.bops)} bit operations${m.latency == null ? "" : `, ${S.lib.three(m.latency / d.time.per)} ${d.time.unit} by the table`}`, m.kl == null ? "" : `KL ${m.kl.toPrecision(3)} nats ${m.predicted ? "predicted: the sum of scores" : "measured"}`, m.kind === "promise" ? "on samples that nothing was chosen by" : m.words?.includes("measured on") ? `measured on${m.words.split("measured on").at(-1)}` : "", m.p && m.kind !== "now" ? "click to see its mix" : ""].filter(Boolean);
}

function point(S, V, m, at) {
  const id = m?.id ?? "";
  if (m) {
    const [title, ...rest] = markWords(S, m), right = at[0] > V.g.w / 2;
    V.card.replaceChildren(S.lib.el("b", "", title), S.lib.el("div", "", rest.join("\n")));
    V.card.style.cssText = `${right ? `right:${V.g.w - at[0] + 14}px` : `left:${at[0] + 14}px`};top:${Math.min(Math.max(4, at[1] - 30), V.g.h - 130)}px`;
  }
  V.card.classList.toggle("on", !!m);
  if (id === V.hover) return;
  V.hover = id;
  S.repaint();
}

// Arrows go through what can be shown, from cheap to dear; Enter shows it.
function key(S, V, e) {
  if (!V.d) return;
  const list = V.d.marks.filter((m) => m.p && m.kind !== "solution" && S.lib.place(V.d, V.g, m)).sort((a, b) => a[V.d.axis] - b[V.d.axis]);
  const at = list.findIndex((m) => m.id === V.hover), to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: list.length - 1 }[e.key];
  if (e.key === "Enter" && at >= 0) S.show(list[at]);
  else if (e.key === "Escape") S.show(null);
  else if (to !== undefined && list.length) {
    const m = list[Math.max(0, Math.min(list.length - 1, to))];
    V.said.textContent = markWords(S, m).join(". ");
    point(S, V, m, S.lib.place(V.d, V.g, m));
  } else return;
  e.preventDefault();
}

// `d`: what `mix_plot` draws, or null with the words that say why there is nothing.
export function paintPlot(S, V, d, words) {
  const w = V.area.clientWidth, h = V.area.clientHeight;
  V.empty.textContent = d ? "" : words;
  V.area.classList.toggle("none", !d);
  V.d = d;
  if (!d || w < 80) return V.svg.replaceChildren();
  d.hover = V.hover;
  V.g = S.lib.frame(d, w, h);
  V.svg.setAttribute("width", w);
  V.svg.setAttribute("height", h);
  V.svg.replaceChildren(...S.lib.picture(d, w, h).map(([tag, attributes, text]) => {
    const n = document.createElementNS(SVG, tag);
    for (const [k, v] of Object.entries(attributes)) n.setAttribute(k, v);
    if (text) n.textContent = text;
    return n;
  }));
  V.area.setAttribute("aria-label", `${d.y === "kl" ? "Output KL" : "Accuracy drop"} against ${{ size: "size", bops: "compute", latency: "latency" }[d.axis]}: ${d.marks.filter((m) => !m.predicted).length} measured recipes and the predicted frontier. Arrows go through the measured ones, Enter shows one.`);
}
