// The words of the graph view: the hover card, the legend, what a screen reader is told. Text goes in as text.
const minus = (x) => String(x).replace("-", "−");
const SUPER = "⁰¹²³⁴⁵⁶⁷⁸⁹";
// 0.0000015 is 1.5 × 10⁻⁶.
export function figure(x) {
  if (!x || Math.abs(x) >= 1e-3) return minus(x);
  const [mantissa, power] = x.toExponential(1).split("e-");
  return `${minus(mantissa)} × 10⁻${[...power].map((d) => SUPER[d]).join("")}`;
}
const bytes = (n) => (n >= 1e6 ? (n / 1e6).toFixed(2) + " MB" : n >= 1e3 ? (n / 1e3).toFixed(1) + " kB" : n + " B");

// Rows of [what, figure] and sentences for a node.
export function nodeWords(g, live, i, { times, percent, short, value: at }) {
  const [name, op, kind, layer, , parts, shape] = g.facts.nodes[i], rows = [], notes = [];
  const head = [op, parts].filter(Boolean).join(": ");
  if (shape) rows.push(["output", shape]);
  const type = live.types ? at(live.types, i) : "";
  if (kind === "op" || kind === "input") rows.push(["type", type || "no quantizer of its own"]);
  if (layer >= 0) {
    const eff = at(live.eff, layer), req = at(live.req, layer);
    rows.push(["requested", eff === "float" ? "kept in float" : short(req) + (at(live.own, layer) ? "" : ", the base")]);
    if (eff !== "float") rows.push(["effective", short(eff) + (live.stale ? ", before the last edit" : "")]);
    rows.push(["size", `${bytes(live.size[layer])}, ${percent(live.size[layer] / live.total)} of all`]);
    const x = live.score[layer];
    rows.push(["sensitivity", x == null ? "not scored at this precision" : `${times(x)}× its fair share`]);
    if (x != null) rows.push([`${live.kind}, output KL`, `${figure(Number((x * live.fair).toPrecision(3)))} nats`]);
    if (at(live.why, layer)) notes.push(at(live.why, layer));
    if (!at(live.legal, layer)) notes.push("The target cannot run this precision.");
  }
  const via = [...new Set(g.into[i].map((e) => g.facts.edges[e][2]).filter(Boolean))];
  if (via.length) notes.push("Comes through " + via.slice(0, 3).join("; "));
  return { title: name, head, rows, notes };
}

export function blockWords(g, live, name, folded, { times, percent, short, value: at }) {
  const inside = g.facts.nodes.filter((n) => n[7] === name || n[7].startsWith(name + ".") || n[7].startsWith(name + "/"));
  const layers = inside.map((n) => n[3]).filter((l) => l >= 0), size = layers.reduce((s, l) => s + live.size[l], 0);
  const kinds = [...new Set(layers.map((l) => at(live.eff, l)))].map(short), scores = layers.map((l) => live.score[l]).filter((x) => x != null);
  const rows = [["nodes", `${inside.length}, of them ${layers.length} layers`], ["precision", kinds.join(", ") || "none"], ["size", `${bytes(size)}, ${percent(size / live.total)} of all`]];
  if (scores.length) rows.push(["sensitivity", `${times(scores.reduce((a, b) => a + b, 0) / scores.length)}× the fair share of ${scores.length} layers`]);
  return { title: name, head: "Block", rows, notes: [folded ? "Enter or a double click opens it" : "A click on its name folds it"] };
}

export const markWords = (m) => ({ title: m.words.length > 1 ? `${m.words.length} type changes` : "Type change", head: "", rows: [], notes: [...new Set(m.words)].slice(0, 6) });

export function card(box, words, { el }) {
  box.replaceChildren(el("b", "", words.title), words.head && el("div", "op", words.head),
    ...words.rows.map(([k, v]) => el("div", "row", el("span", "", k), el("span", "v", v))), ...words.notes.map((n) => el("p", "", n)));
}

// Beside the point, inside the panel.
export function put(box, x, y, w, h) {
  const bw = box.offsetWidth, bh = box.offsetHeight;
  box.style.left = Math.max(6, Math.min(w - bw - 6, x + 16 + bw > w ? x - bw - 14 : x + 16)) + "px";
  box.style.top = Math.max(6, Math.min(h - bh - 6, y + 12)) + "px";
}

export function legend(box, live, mode, colour, { el, short }) {
  const chip = (fill, words, cls = "") => {
    const i = el("i", cls);
    i.style.background = fill;
    return el("span", "", i, words);
  };
  const parts = [];
  if (mode === "precision") {
    const order = live.eff[0].map((p, k) => [p, live.shade[k]]).sort((a, b) => a[1] - b[1]);
    parts.push(...order.map(([p, s]) => chip(p === "float" ? "transparent" : colour("accent", s), short(p), p === "float" ? "open" : "")));
  } else if (mode === "sensitivity") {
    const [watch, hot] = live.steps;
    const words = live.score.some((x) => x != null) ? ["fair", `over ${watch}×`, `over ${hot}×`] : [];
    parts.push(...words.map((w, k) => chip(colour(["ok", "mid", "hot"][k], k ? 1 : 0.7), w)), chip("transparent", "not scored", "open"));
  } else parts.push(chip(colour("ghost", 0.06), "0"), chip(colour("ghost", 0.46), percentOf(live, 0.25)), chip(colour("ghost", 0.86), percentOf(live, 1)));
  box.replaceChildren(...parts);
}

const percentOf = (live, share) => ((100 * live.largest * share) / live.total).toFixed(1) + " %";

export function spoken(g, live, i, tools) {
  const w = nodeWords(g, live, i, tools), count = (n, one) => `${n} ${one}${n === 1 ? "" : "s"}`;
  const inside = g.inside[i] >= 0 ? `folded block ${g.places.folded[g.inside[i]][4]}. ` : "";
  return `${inside}${w.title}, ${w.head}. ${w.rows.map((r) => r.join(" ")).join(", ")}. ${count(g.into[i].length, "input")}, ${count(g.out[i].length, "reader")}. ${w.notes.join(". ")}`;
}
