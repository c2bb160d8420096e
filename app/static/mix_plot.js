// The plot as shapes: [tag, attributes, text]. Pure: what there is and sizes in, shapes and places out.
// Hollow is predicted, filled is measured; every method has a form of its own.
const { linear, log, ticks, decades, words } = await import(`./plots_axes.js${new URL(import.meta.url).search}`);
export const LEFT = 54, RIGHT = 18, TOP = 16, BOTTOM = 36;
const label = (x, y, text, cls = "", anchor = "middle") => ["text", { x, y, "text-anchor": anchor, class: cls }, text];
const line = (x1, y1, x2, y2, cls) => ["line", { x1, y1, x2, y2, class: cls }];
const finite = (v) => v != null && Number.isFinite(v);

// Costs on the screen's scale: share of FP32 in percent; a latency has no FP32 to be a share of, it stands in its own unit.
export const costOf = (d, v) => (d.axis === "latency" ? v / d.time.per : (100 * v) / (d.axis === "size" ? d.fp32.size_bytes : d.fp32.bops));
export const three = (v) => (v >= 1000 ? Math.round(v).toLocaleString("en") : v.toPrecision(3));
export const costWords = (d, v) => `${three(costOf(d, v))} ${d.axis === "latency" ? d.time.unit : "% of FP32"}`;
export const valueOf = (d, m) => (d.y === "kl" ? m.kl : m.drop == null ? null : m.drop * d.scale);

export function frame(d, w, h) {
  const xs = [...d.frontier.map((p) => p[0]), ...d.marks.map((m) => m[d.axis])].filter(finite).map((v) => costOf(d, v)), ys = [...d.frontier.map((p) => p[1]), ...d.marks.map((m) => valueOf(d, m))].filter(finite);
  let [a, b] = xs.length ? [Math.min(...xs), Math.max(...xs)] : [0, 100];
  const wide = b / Math.max(a, 1e-9) > 2.5;
  [a, b] = wide ? [a / 1.06, b * 1.06] : [a - (b - a || 1) * 0.04, b + (b - a || 1) * 0.04];
  const x = (wide ? log : linear)(a, b, LEFT, w - RIGHT), bottom = h - BOTTOM;
  if (d.y === "kl") {
    const some = ys.filter((v) => v > 0), [c, e] = some.length ? [Math.min(...some), Math.max(...some)] : [1e-4, 1];
    return { w, h, x, y: log(c / 1.5, e * 1.5, bottom, TOP), a, b, low: c / 1.5, high: e * 1.5, wide, bottom, clip: (v) => Math.max(v, c / 1.5) };
  }
  const ends = d.marks.filter((m) => m.kind !== "tried").flatMap((m) => [m.lo, m.hi]).filter(finite).map((v) => v * d.scale);
  const top = Math.max(d.limit == null ? 0 : d.limit * d.scale * 1.8, ...(ends.length ? ends : [0]), quantile(ys, 0.7), 1e-3), low = Math.min(0, ...ends, ...ys), air = (top - low) * 0.06;
  return { w, h, x, y: linear(low - air, top + air, bottom, TOP), a, b, low: low - air, high: top + air, wide, bottom, clip: (v) => Math.min(v, top + air) };
}

function quantile(list, share) {
  const sorted = [...list].sort((a, b) => a - b);
  return sorted.length ? sorted[Math.floor((sorted.length - 1) * share)] : 0;
}

export const place = (d, g, m) => {
  const v = valueOf(d, m);
  return finite(v) && finite(m[d.axis]) ? [g.x(costOf(d, m[d.axis])) + (m.kind === "promise" ? 9 : 0), g.y(g.clip(v))] : null;
};

export function picture(d, w, h) {
  const g = frame(d, w, h), out = [...grid(d, g)];
  if (d.limit != null && d.y === "drop") out.push(line(LEFT, g.y(g.clip(d.limit * d.scale)), w - RIGHT, g.y(g.clip(d.limit * d.scale)), "limit"));
  if (d.budget != null && costOf(d, d.budget) >= g.a && costOf(d, d.budget) <= g.b) out.push(line(g.x(costOf(d, d.budget)), TOP, g.x(costOf(d, d.budget)), g.bottom, "limit"), ["path", { d: `M${g.x(costOf(d, d.budget)) - 6} ${TOP - 10}h12v6l-6 6l-6 -6Z`, class: "grip" }]);
  const path = d.frontier.filter((p) => finite(p[1])).map(([c, v], i) => `${i ? "L" : "M"}${g.x(costOf(d, c)).toFixed(1)} ${g.y(g.clip(v)).toFixed(1)}`).join("");
  if (path) out.push(["path", { d: path, class: "front" }]);
  out.push(...trail(d, g));
  const order = { tried: 0, front: 1, now: 2, nowp: 2, promise: 3, chosen: 4, solution: 5 };
  for (const m of [...d.marks].sort((a, b) => order[a.kind] - order[b.kind])) out.push(...mark(d, g, m));
  return out;
}

function grid(d, g) {
  const out = [], xs = g.wide && g.b / g.a > 30 ? decades(g.a, g.b, 6) : g.wide && d.axis !== "latency" ? [1, 2, 3, 4, 5, 6, 8, 10, 12.5, 15, 20, 25, 30, 40, 50, 75, 100].filter((v) => v >= g.a && v <= g.b) : ticks(g.a, g.b, 7);
  const ys = d.y === "kl" ? decades(g.low, g.high, 6) : ticks(g.low, g.high, (g.bottom - TOP) / 40);
  let last = -99;
  for (const v of ys) out.push(line(LEFT, g.y(v), g.w - RIGHT, g.y(v), v === 0 ? "zero" : "grid"), label(LEFT - 8, g.y(v) + 3.5, words(v), "tick", "end"));
  for (const v of xs) if (g.x(v) - last > 42) (last = g.x(v)), out.push(line(last, g.bottom, last, g.bottom + 4, "axis"), label(last, g.bottom + 15, d.axis === "latency" ? words(v) : `${words(v)} %`, "tick"));
  out.push(line(LEFT, g.bottom, g.w - RIGHT, g.bottom, "axis"), label((LEFT + g.w - RIGHT) / 2, g.h - 5, { size: "size, of FP32", bops: "compute (bit operations), of FP32", latency: `latency by the table, ${d.time?.unit}` }[d.axis], "title"));
  return [...out, ["text", { transform: `translate(12 ${(TOP + g.bottom) / 2}) rotate(-90)`, "text-anchor": "middle", class: "title" }, d.y === "kl" ? "output KL, nats per sample" : `accuracy drop, ${d.unit}`]];
}

// What a procedure went through, joined in the order of its cost.
function trail(d, g) {
  const own = d.marks.filter((m) => m.method === "amp" && m.kind === "front").map((m) => place(d, g, m)).filter(Boolean).sort((a, b) => a[0] - b[0]);
  return own.length > 1 ? [["path", { d: own.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join(""), class: "trail" }]] : [];
}

const FORM = {
  dot: (x, y, r) => ["circle", { cx: x, cy: y, r }],
  square: (x, y, r) => ["rect", { x: x - r, y: y - r, width: 2 * r, height: 2 * r, rx: 1 }],
  diamond: (x, y, r) => ["path", { d: `M${x} ${y - r}L${x + r} ${y}L${x} ${y + r}L${x - r} ${y}Z` }],
  triangle: (x, y, r) => ["path", { d: `M${x} ${y - r}L${x + r} ${y + r * 0.8}L${x - r} ${y + r * 0.8}Z` }],
  cross: (x, y, r) => ["path", { d: `M${x - r} ${y - r}L${x + r} ${y + r}M${x + r} ${y - r}L${x - r} ${y + r}` }],
};
export const formOf = (m) => (m.kind === "now" || m.kind === "nowp" ? "square" : m.kind === "promise" ? "diamond" : m.method === "amp" ? "triangle" : m.method === "lite" ? "cross" : "dot");
const SIZE = { tried: 2.2, front: 3.8, chosen: 5.2, promise: 5.6, now: 4.6, nowp: 4.6, solution: 6 };

function mark(d, g, m) {
  const at = place(d, g, m);
  if (!at) return [];
  const [x, y] = at, out = [], shown = d.shown === m.id, cls = `mk ${m.kind} ${m.method || ""}`;
  if (m.kind !== "tried" && d.y === "drop" && finite(m.lo) && (m.method === "search" || shown || d.hover === m.id || !m.method)) out.push(...whisker(d, g, m, x));
  if (shown || d.hover === m.id) out.push(["circle", { cx: x, cy: y, r: SIZE[m.kind] + 5, class: "halo" }]);
  const [tag, form] = FORM[formOf(m)](x, y, SIZE[m.kind]);
  return [...out, [tag, { ...form, class: cls }]];
}

function whisker(d, g, m, x) {
  const [a, b] = [m.lo, m.hi].map((v) => g.y(Math.max(g.low, g.clip(v * d.scale)))), cls = `whisker ${m.kind}`;
  return [line(x, a, x, b, cls), line(x - 3.5, a, x + 3.5, a, cls), line(x - 3.5, b, x + 3.5, b, cls)];
}

// The mark under the pointer, else the nearest point of the frontier; null where there is neither.
export function hit(d, g, px, py) {
  let best = null, near = 13;
  for (const m of d.marks) {
    const at = place(d, g, m), far = at ? Math.hypot(at[0] - px, at[1] - py) + (m.p ? 0 : 3) : 99;
    if (far < near) [best, near] = [m, far];
  }
  if (best) return best;
  let point = null;
  near = 12;
  for (const [c, v] of d.frontier) {
    const far = finite(v) ? Math.hypot(g.x(costOf(d, c)) - px, g.y(g.clip(v)) - py) : 99;
    if (far < near) [point, near] = [{ id: `at:${c}`, kind: "frontier", cost: c }, far];
  }
  return point;
}

// The budget under the pointer: a fraction of FP32, or microseconds.
export function costAt(d, g, px) {
  const share = Math.min(1, Math.max(0, (px - LEFT) / (g.w - RIGHT - LEFT)));
  const cost = g.wide ? g.a * (g.b / g.a) ** share : g.a + (g.b - g.a) * share;
  return d.axis === "latency" ? cost * d.time.per : cost / 100;
}
