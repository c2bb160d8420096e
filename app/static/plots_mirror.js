// Before and after in one picture, as lists of shapes like those of `plots_draw`. Pure.
const { decades, linear, log, ticks, words } = await import(`./plots_axes.js${new URL(import.meta.url).search}`);
const line = (x1, y1, x2, y2, cls, title) => ["line", { x1, y1, x2, y2, class: cls }, title];
const rect = (x, y, width, height, cls, title) => ["rect", { x, y, width: Math.max(0, width), height: Math.max(0, height), class: cls }, title];
const label = (x, y, text, anchor = "middle", cls = "") => ["text", { x, y, "text-anchor": anchor, class: cls }, text];

// Two histograms back to back on one axis of values: counts grow away from the middle line, on a log scale.
export function mirror(d, w, h) {
  const a = { left: 44, right: w - 8, top: 4, bottom: h - 32 }, mid = (a.top + a.bottom) / 2, sides = [d.before, d.after];
  const ends = sides.flatMap((s) => [s.edges[0], s.edges.at(-1), ...(s.clip || [])]), pad = (Math.max(...ends) - Math.min(...ends)) * 0.03 || 1;
  const [lo, hi] = [Math.min(...ends) - pad, Math.max(...ends) + pad], x = linear(lo, hi, a.left, a.right), most = Math.max(2, ...sides.flatMap((s) => s.counts)) * 1.4;
  const out = ticks(lo, hi, w / 90).flatMap((v) => [line(x(v), a.top, x(v), a.bottom, "grid"), label(x(v), a.bottom + 13, words(v))]);
  sides.forEach((s, side) => {
    const y = log(0.7, most, mid, side ? a.bottom : a.top);
    for (const v of decades(10, most, 3)) out.push(line(a.left, y(v), a.right, y(v), "grid"), label(a.left - 6, y(v) + 3.5, words(v), "end"));
    s.counts.forEach((n, i) => {
      if (!n) return;
      const m = (s.edges[i] + s.edges[i + 1]) / 2, cut = s.clip && (m < s.clip[0] || m > s.clip[1]), to = y(n);
      out.push(rect(x(s.edges[i]) + 0.3, Math.min(mid, to), Math.max(1, x(s.edges[i + 1]) - x(s.edges[i]) - 0.6), Math.abs(mid - to), `bar ${cut ? "hot" : side ? "" : "before"}`, `${side ? "after" : "before"}, ${words(m)}: ${n}`));
    });
    for (const c of s.clip || []) out.push(line(x(c), mid, x(c), side ? a.bottom : a.top, "clip"));
  });
  return [...out, line(a.left, mid, a.right, mid, "axis"), label(a.right, a.top + 9, "before", "end", "title"), label(a.right, a.bottom - 4, "after", "end", "title"), label((a.left + a.right) / 2, h - 3, d.title, "middle", "title")];
}

// The range of each channel: before an outline, after filled.
export function spans(d, w, h) {
  const a = { left: 44, right: w - 8, top: 4, bottom: h - 32 }, n = d.after.low.length, all = [d.before, d.after].flatMap((s) => [...s.low, ...s.high]);
  const [lo, hi] = [Math.min(0, ...all), Math.max(0, ...all)], pad = (hi - lo) * 0.05 || 1, x = linear(-0.5, n - 0.5, a.left, a.right), y = linear(lo - pad, hi + pad, a.bottom, a.top);
  const out = [...ticks(0, Math.max(1, n - 1), w / 80).filter(Number.isInteger).map((v) => label(x(v), a.bottom + 13, `${v}`)), ...ticks(lo - pad, hi + pad, 4).flatMap((v) => [line(a.left, y(v), a.right, y(v), "grid"), label(a.left - 6, y(v) + 3.5, words(v), "end")])];
  const bw = Math.max(1, (x(1) - x(0)) * 0.82), told = (s, i) => `${words(s.low[i])} to ${words(s.high[i])}`;
  const bar = (s, i, cls) => rect(x(i) - bw / 2, y(s.high[i]), bw, Math.max(1, y(s.low[i]) - y(s.high[i])), cls, `channel ${i}: ${told(d.before, i)} before, ${told(d.after, i)} after`);
  for (let i = 0; i < n; i++) out.push(bar(d.after, i, "bar"), bar(d.before, i, bw > 3 ? "outline" : "bar faint"));
  return [...out, line(a.left, a.bottom, a.right, a.bottom, "axis"), line(a.left, a.top, a.left, a.bottom, "axis"), label((a.left + a.right) / 2, h - 3, d.title, "middle", "title")];
}
