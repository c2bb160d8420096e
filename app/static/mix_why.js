// Why a layer has its bits: its options with score and cost, its group, from which budget on it gets more; and what changed.
const { words } = await import(`./plots_axes.js${new URL(import.meta.url).search}`);
const { three } = await import(`./mix_plot.js${new URL(import.meta.url).search}`);
export const nats = (v) => (v == null ? "–" : words(v));

// How a cost is told: what one is of it (microseconds are themselves), and in which unit a step of it is.
const KINDS = { size: { of: (s, v) => `${((100 * v) / s.fp32.size_bytes).toPrecision(3)} %`, unit: 1e3, dear: "kB" }, bops: { of: (s, v) => `${((100 * v) / s.fp32.bops).toPrecision(3)} %`, unit: 1e6, dear: "MBOPs" }, latency: { of: (s, v) => `${three(v)} µs`, unit: 1, dear: "µs" } };

// The reasons for one layer as plain rows; pure. `shown` is the mix, `axis` what is dear.
export function reasons(space, shown, axis, layer, corrected, thresholds) {
  const at = shown.p[layer], since = thresholds(space, shown.base, axis, layer);
  const rows = space.options[layer].map(([p, score, size, bops, latency]) => ({ p, name: space.names[p], score, size, bops, latency, corrected: corrected[layer]?.[p] ?? null, now: p === at, from: since.find(([q]) => q === p)?.[1] ?? null })).sort((a, b) => a[axis] - b[axis] || b.score - a.score);
  const i = rows.findIndex((r) => r.now), mine = rows[i], next = rows.slice(i + 1).filter((r) => r.score < (mine?.score ?? 0)).sort((a, b) => b.score - a.score)[0];
  const parts = [];
  if (space.fixed[layer]) parts.push(`Stays: ${space.fixed[layer]}.`);
  if (space.group[layer]) parts.push(`Decided with its group: ${space.group[layer]}.`);
  if (mine && !space.fixed[layer]) parts.push(sentence(mine, next, shown, axis, space));
  return { rows, words: parts.join(" ") };
}

function sentence(mine, next, shown, axis, space) {
  const share = shown.score > 0 ? `${((100 * mine.score) / shown.score).toFixed(mine.score / shown.score < 0.1 ? 1 : 0)} % of the whole score` : "";
  if (!next) return `At ${mine.name} it causes ${share || "nothing"}; no candidate scores lower.`;
  const gain = mine.score - next.score, cost = next[axis] - mine[axis], price = gain / Math.max(cost, 1e-12), { unit, dear, of } = KINDS[axis];
  const worth = shown.rate > 0 ? (price >= shown.rate * 0.999 ? "about what the last bits bought" : `${(shown.rate / Math.max(price, 1e-15)).toPrecision(2)} times dearer than the last bits bought`) : "";
  const from = next.from != null ? ` The frontier gives it ${next.name} from ${of(space, next.from)} on.` : "";
  return `At ${mine.name} it causes ${share}. ${next.name} would take ${nats(gain)} nats off for ${nats(cost / unit)} ${dear}${worth ? `: ${worth}` : ""}.${from}`;
}

export function why(S, { el, bytes, count, thresholds, glyph }) {
  const layer = S.at, sp = S.space, shown = S.shown;
  if (!sp || !shown || layer < 0 || !shown.p) return [el("p", "dim", "Select a layer in the row above: its score, its cost and its group are told here.")];
  const told = reasons(sp, shown, S.doc.aim, layer, S.d.why, thresholds), most = Math.max(...told.rows.map((r) => r.score), 1e-12), fix = told.rows.some((r) => r.corrected != null);
  const head = el("tr", "", ...["precision", "score, nats", ...(fix ? ["corrected"] : []), "size", "BOPs", ...(sp.timed ? ["latency"] : []), "from"].map((t, k) => Object.assign(el("th", k ? "n" : "", t), { title: ["", "How far this layer alone moves the output's probabilities, per sample; lower is better", ...(fix ? ["The score as the measured recipes let it appear"] : []), "", "", ...(sp.timed ? ["By the table"] : []), "The budget from which the frontier gives it"][k] })));
  const body = told.rows.map((r) => {
    const bar = el("i");
    bar.style.width = `${Math.max(1, 100 * Math.sqrt(Math.max(r.score, 0) / most))}%`;
    return el("tr", r.now ? "now" : "", el("td", "", el("b", "", r.name)), el("td", "n sc", el("span", "", nats(r.score)), bar), fix && el("td", "n", nats(r.corrected)), el("td", "n", bytes(r.size)), el("td", "n", count(r.bops)), sp.timed && el("td", "n", `${three(r.latency)} µs`), el("td", "n", r.from == null ? "–" : KINDS[S.doc.aim].of(sp, r.from)));
  });
  const name = el("div", "mx-name", glyph(sp.kinds[layer]), el("b", "", sp.layers[layer]), el("span", "dim", sp.names[shown.p[layer]] ?? "float"));
  return [name, el("table", "mx-table", el("thead", "", head), el("tbody", "", ...body)), el("p", "mx-words", told.words)];
}

// What the shown mix would change on the desk, the most telling first: [layer, before, after].
export function changes(space, shown, now) {
  if (!shown?.p || !now) return [];
  const out = [];
  shown.p.forEach((p, i) => now[i] >= 0 && p >= 0 && now[i] !== p && out.push([i, now[i], p]));
  const size = ([i, a, b]) => Math.abs((space.options[i].find((o) => o[0] === a)?.[1] ?? 0) - (space.options[i].find((o) => o[0] === b)?.[1] ?? 0));
  return out.sort((x, y) => size(y) - size(x));
}

export function changed(S, { el, unpack }) {
  const now = S.d.now ? unpack(S.d.now.p) : null, list = S.space ? changes(S.space, S.shown, now) : [], since = S.space ? changes(S.space, S.shown, S.last) : [];
  const last = since.length ? listed(S, el, since, `${since.length} differ from the mix before it`) : [];
  if (!list.length) return [el("p", "dim", S.shown && now ? "This mix is what the desk has." : "What a mix would change on the desk is listed here."), ...last];
  return [...last, ...listed(S, el, list, `${list.length} of ${S.space.layers.length} layers differ from the desk`)];
}

function listed(S, el, list, what) {
  const names = S.space.names, wide = S.space.wide, up = ([, a, b]) => wide[b][0] > wide[a][0] || (wide[b][0] === wide[a][0] && wide[b][1] > wide[a][1]);
  const more = list.filter(up).length;
  const rows = list.slice(0, 60).map((c) => {
    const b = el("button", "mx-change", el("span", `sign ${up(c) ? "up" : "down"}`, up(c) ? "▲" : "▼"), el("span", "nm", S.space.layers[c[0]]), el("span", "dim", `${names[c[1]]} → ${names[c[2]]}`));
    b.type = "button";
    b.onclick = () => S.select(c[0]);
    return el("li", "", b);
  });
  return [el("p", "dim", `${what}: ${more} get more bits, ${list.length - more} fewer.`), el("ul", "mx-list", ...rows)];
}

// What the search measured, in its order, and what became of it.
export function decisions(S, { el, bytes, button }) {
  const pp = (v) => `${(v * S.d.scale).toFixed(S.d.unit === "pp" ? 2 : 4)}`.replace("-", "−"), sign = { chosen: "★", front: "●", beaten: "·" };
  if (!S.d.decisions.length) return [el("p", "dim", "What a search measures and decides is listed here, in its order.")];
  const marks = new Map(S.d.marks.map((m) => [m.id, m]));
  const rows = S.d.decisions.map(([why, is, drop, lo, hi, kl, size, id]) => {
    const mark = marks.get(id), show = mark?.p && button("tiny", `Show its mix: ${why}`, () => S.show(mark), "Show");
    const li = el("li", `mx-move ${is}`, el("span", "sign", sign[is]), el("span", "nm", why), el("span", "gn", `${pp(drop)} ${S.d.unit}`), el("span", "dim tm", `KL ${words(kl)}`), el("span", "dim sz", bytes(size)), show);
    li.title = [{ chosen: "chosen: the cheapest that keeps to the targets", front: "no other measured recipe is cheaper and better", beaten: "another one is cheaper and better" }[is], lo == null ? "" : `95 %: ${pp(lo)} to ${pp(hi)}`].filter(Boolean).join("\n");
    return li;
  });
  return [el("p", "dim", "Measured on the validating half; ★ chosen, ● beaten by no other."), el("ul", "mx-list", ...rows)];
}
