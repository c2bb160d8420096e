// The inspector's plots as lists of shapes: [tag, attributes, text or title]. Pure: sizes in, shapes out.
const q = new URL(import.meta.url).search;
const { decades, linear, log, ticks, words } = await import(`./plots_axes.js${q}`);

const line = (x1, y1, x2, y2, cls, title) => ["line", { x1, y1, x2, y2, class: cls }, title];
const rect = (x, y, width, height, cls, title) => ["rect", { x, y, width: Math.max(0, width), height: Math.max(0, height), class: cls }, title];
const label = (x, y, text, anchor = "middle", cls = "") => ["text", { x, y, "text-anchor": anchor, class: cls }, text];

// Frame with grid lines: the area inside, in px, and the shapes around it.
function frame(w, h, left, bottom, xs, ys, xTitle) {
  const a = { left, right: w - 8, top: 4, bottom: h - bottom }, out = [];
  for (const [x, text] of xs) out.push(line(x, a.top, x, a.bottom, "grid"), label(x, a.bottom + 13, text));
  for (const [y, text] of ys) out.push(line(a.left, y, a.right, y, "grid"), label(a.left - 6, y + 3.5, text, "end"));
  out.push(line(a.left, a.bottom, a.right, a.bottom, "axis"), line(a.left, a.top, a.left, a.bottom, "axis"), label((a.left + a.right) / 2, h - 3, xTitle, "middle", "title"));
  return out;
}

// Counts of weights on a log axis; what the clip lines cut off is hot, the grid stands behind.
export function histogram(d, w, h) {
  const left = 44, bottom = 32, area = { left, right: w - 8, top: 4, bottom: h - bottom }, top = Math.max(2, ...d.counts);
  const ends = [d.edges[0], d.edges.at(-1), ...(d.clip || [])], pad = (Math.max(...ends) - Math.min(...ends)) * 0.03 || 1;
  const [a, b] = [Math.min(...ends) - pad, Math.max(...ends) + pad], x = linear(a, b, area.left, area.right), y = log(0.7, top * 1.4, area.bottom, area.top);
  const out = frame(w, h, left, bottom, ticks(a, b, w / 90).map((v) => [x(v), words(v)]), decades(1, top * 1.4, 5).map((v) => [y(v), words(v)]), d.title || "value");
  for (const g of d.grid) out.push(line(x(g), y(d.sparse ? Math.max(1.2, top * 0.05) : top), x(g), area.bottom, "level"));
  d.counts.forEach((n, i) => {
    if (!n) return;
    const m = (d.edges[i] + d.edges[i + 1]) / 2, cut = d.clip && (m < d.clip[0] || m > d.clip[1]);
    out.push(rect(x(d.edges[i]) + 0.4, y(n), x(d.edges[i + 1]) - x(d.edges[i]) - 0.8, area.bottom - y(n), cut ? "bar hot" : "bar", `${words(m)}: ${n}`));
  });
  for (const c of d.clip || []) out.push(line(x(c), area.top, x(c), area.bottom, "clip"));
  return out;
}

// One layer's score at every precision: filled is exact, hollow an estimate, a cross illegal, the diamond in use.
export function ladder(d, w, h) {
  const left = 52, bottom = 32, area = { left, right: w - 8, top: 4, bottom: h - bottom }, known = d.rows.filter((r) => r.value > 0);
  const all = [...known.flatMap((r) => [r.value, r.low, r.high].filter((v) => v > 0)), ...(d.fair ? [d.fair] : [])];
  if (!all.length) return [label(w / 2, h / 2, "no scores yet", "middle", "title")];
  const least = Math.max(Math.min(...all), Math.max(...all) * 1e-6), [a, b] = [least / 1.6, Math.max(...all) * 1.6];
  const x = log(a, b, area.left, area.right), y = (k) => area.top + ((k + 0.5) * (area.bottom - area.top)) / d.rows.length;
  const out = frame(w, h, left, bottom, decades(a, b, w / 60).map((v) => [x(v), words(v)]), d.rows.map((r, k) => [y(k), r.id.toUpperCase()]), d.title);
  if (d.fair) out.push(line(x(d.fair), area.top, x(d.fair), area.bottom, "fair", "fair share of the budget"));
  d.rows.forEach((r, k) => out.push(...rung(r, x, y(k), area)));
  return out;
}

function rung(r, x, y, area) {
  const at = (v) => Math.max(area.left, Math.min(area.right, x(v))), out = [];
  if (!(r.value > 0)) return [label(area.left + 6, y + 3.5, r.value === null ? "not known" : "≈ 0", "start", "title")];
  if (r.low !== null && r.high !== null) for (const [u, v, s] of [[at(r.low), at(r.high), 0], [at(r.low), at(r.low), 4], [at(r.high), at(r.high), 4]]) out.push(line(u, y - s, v, y + s, "error"));
  if (r.prior > 0) out.push(line(at(r.prior), y - 7, at(r.prior), y + 7, "prior", `estimate ${words(r.prior)}`));
  const cx = at(r.value), cls = `dot ${r.now ? "now" : r.step} ${r.estimate ? "open" : ""}`;
  if (r.no) out.push(["path", { d: `M${cx - 4} ${y - 4}l8 8m0 -8l-8 8`, class: "cross" }, r.title]);
  else if (r.now) out.push(["path", { d: `M${cx} ${y - 6}l6 6l-6 6l-6 -6z`, class: cls }, r.title]);
  else out.push(["circle", { cx, cy: y, r: 4.5, class: cls }, r.title]);
  return out;
}

// The range of each output channel: one wide channel costs all others under a common scale.
export function channels(d, w, h) {
  const left = 44, bottom = 32, area = { left, right: w - 8, top: 4, bottom: h - bottom }, n = d.low.length;
  const ends = d.limits || { low: [], high: [] }, all = [...d.low, ...d.high, ...(ends.low || []), ...(ends.high || [])];
  const [a, b] = [Math.min(0, ...all), Math.max(0, ...all)], pad = (b - a) * 0.05 || 1;
  const x = linear(-0.5, n - 0.5, area.left, area.right), y = linear(a - pad, b + pad, area.bottom, area.top);
  const spans = d.low.map((v, i) => d.high[i] - v), usual = [...spans].sort((p, r) => p - r)[n >> 1] || 0;
  const out = frame(w, h, left, bottom, ticks(0, Math.max(1, n - 1), w / 80).filter(Number.isInteger).map((v) => [x(v), `${v}`]), ticks(a - pad, b + pad, 4).map((v) => [y(v), words(v)]), d.title || "channel");
  spans.forEach((s, i) => {
    const tone = usual && s > 6 * usual ? "hot" : usual && s > 3 * usual ? "mid" : "ok", bw = Math.max(1, (x(1) - x(0)) * 0.88);
    out.push(rect(x(i) - bw / 2, y(d.high[i]), bw, Math.max(1, y(d.low[i]) - y(d.high[i])), `bar ${tone}`, `channel ${i}: ${words(d.low[i])} to ${words(d.high[i])}${d.notes?.[i] ? "\n" + d.notes[i] : ""}`));
    for (const end of [ends.low?.[i], ends.high?.[i]]) if (end !== undefined) out.push(line(x(i) - bw / 2, y(end), x(i) + bw / 2, y(end), "end"));
  });
  return out;
}

// Nothing yet: the frame alone.
export const waiting = (d, w, h) => frame(w, h, 44, 32, [], [], "");
