// The graph view's arithmetic: the window on the picture, what lies under a point, ways along edges. No DOM, no canvas.
export const LIMITS = { low: 0.04, high: 2.5 };
export const PAD = 13, FOOT = 12; // px around the picture, and for the legend under it
const mid = (b) => [b[0] + b[2] / 2, b[1] + b[3] / 2];

// The whole picture in a panel of w by h px; small ones are not blown up beyond their own size.
export function fit(p, w, h, most = w > 800 ? 1.6 : 1.15) {
  const k = Math.max(LIMITS.low, Math.min(most, (w - 2 * PAD) / Math.max(p.w, 1), (h - 2 * PAD - FOOT) / Math.max(p.h + 20, 1)));
  return { k, x: (w - p.w * k) / 2, y: (h - FOOT - p.h * k) / 2 };
}

export function zoomAt(v, sx, sy, factor) {
  const k = Math.max(LIMITS.low, Math.min(LIMITS.high, v.k * factor));
  return { k, x: sx - ((sx - v.x) * k) / v.k, y: sy - ((sy - v.y) * k) / v.k };
}

// At least a part of the picture stays in sight.
export function held(v, p, w, h) {
  const edge = 48, clamp = (x, a, b) => Math.max(Math.min(a, b), Math.min(Math.max(a, b), x));
  return { k: v.k, x: clamp(v.x, edge - p.w * v.k, w - edge), y: clamp(v.y, edge - p.h * v.k, h - edge) };
}

// The same window moved just so far that a box is inside; a box that is far away comes to the middle.
export function showing(v, b, w, h, margin = 30) {
  const x = b[0] * v.k + v.x, y = b[1] * v.k + v.y, bw = b[2] * v.k, bh = b[3] * v.k;
  const far = x + bw < -w / 2 || x > 1.5 * w || y + bh < -h / 2 || y > 1.5 * h;
  if (far) return { k: v.k, x: w / 2 - mid(b)[0] * v.k, y: h / 2 - mid(b)[1] * v.k };
  const dx = x < margin ? margin - x : x + bw > w - margin ? w - margin - x - bw : 0;
  const dy = y < margin ? margin - y : y + bh > h - margin ? h - margin - y - bh : 0;
  return { k: v.k, x: v.x + dx, y: v.y + dy };
}

// Joins facts and places: the box of each node (its own, or that of the folded block it is in), and its edges.
export function joined(facts, places) {
  const n = facts.nodes.length, into = Array.from({ length: n }, () => []), out = Array.from({ length: n }, () => []);
  facts.edges.forEach(([a, b], e) => (out[a].push(e), into[b].push(e)));
  const inside = new Array(n).fill(-1);
  places.folded.forEach((f, j) => f[6].forEach((i) => (inside[i] = j)));
  const box = (i) => (inside[i] >= 0 ? places.folded[inside[i]] : places.nodes[i]);
  const lines = facts.edges.map(() => []);
  places.lines.forEach((l, j) => l[1].forEach((e) => lines[e].push(j)));
  return { facts, places, into, out, inside, box, lines, members: (i) => (inside[i] >= 0 ? places.folded[inside[i]][6] : [i]) };
}

const within = (b, x, y) => x >= b[0] && x <= b[0] + b[2] && y >= b[1] && y <= b[1] + b[3];

// What lies under a point of the panel: a mark, a node, a folded block, the title of an open one, or an open block.
export function hit(g, v, marks, sx, sy) {
  const x = (sx - v.x) / v.k, y = (sy - v.y) / v.k, away = (m) => Math.abs(m.x - x) + Math.abs(m.y - y);
  const nearest = marks.reduce((a, m, i) => (a < 0 || away(m) < away(marks[a]) ? i : a), -1);
  const folded = g.places.folded.find((f) => within(f, x, y)), node = g.places.nodes.findIndex((b) => b.length && within(b, x, y));
  // Over a box a mark must be hit itself; beside it, it is enough to be near.
  if (nearest >= 0 && away(marks[nearest]) < (folded || node >= 0 ? 6 : Math.max(7, 6 / v.k))) return { what: "mark", i: nearest };
  if (folded) return { what: "folded", i: folded[6][0], name: folded[4] };
  if (node >= 0) return { what: "node", i: node };
  const block = g.places.blocks.findLast((b) => within(b, x, y));
  if (block) return { what: y < block[1] + 20 && x < block[0] + 34 + 6.1 * block[5].length ? "title" : "block", name: block[4] };
  return null;
}

// Where an arrow key leads: up and down along the edges, the straightest first; sideways to the nearest box at that height.
export function neighbour(g, at, key) {
  const own = new Set(g.members(at)), [x, y] = mid(g.box(at));
  const ends = (list, k) => [...new Set([...own].flatMap((i) => list[i]).map((e) => g.facts.edges[e][k]))].filter((i) => !own.has(i));
  const best = (list, cost) => list.reduce((a, i) => (a < 0 || cost(i) < cost(a) ? i : a), -1);
  if (key === "ArrowDown" || key === "ArrowUp") {
    const next = key === "ArrowDown" ? ends(g.out, 1) : ends(g.into, 0);
    return best(next, (i) => Math.abs(mid(g.box(i))[0] - x) + Math.abs(mid(g.box(i))[1] - y) * 0.5);
  }
  const way = key === "ArrowRight" ? 1 : -1;
  const beside = g.facts.nodes.map((_, i) => i).filter((i) => !own.has(i) && (mid(g.box(i))[0] - x) * way > 4);
  return best(beside, (i) => Math.abs(mid(g.box(i))[0] - x) + 4 * Math.abs(mid(g.box(i))[1] - y));
}

// Marks of changes of type: on the line that enters or leaves a node; those in one place are one mark with all their words.
export function markPlaces(g, marks, said) {
  const found = new Map();
  for (const [k, [edge, node, begins]] of marks.entries()) {
    const at = spot(g, edge, node, begins);
    const key = at.map((c) => c.toFixed(0)).join();
    const one = found.get(key) || found.set(key, { x: at[0], y: at[1], node, words: [], inside: g.inside[node] >= 0 && (edge < 0 || hidden(g, edge)) }).get(key);
    one.words.push(value(said, k));
  }
  return [...found.values()];
}

const hidden = (g, edge) => g.lines[edge].length === 0;

function spot(g, edge, node, begins) {
  const b = g.box(node);
  if (edge < 0 || hidden(g, edge)) return [b[0] + b[2] - 2, b[1] + 2];
  for (const j of g.lines[edge]) {
    const p = g.places.lines[j][0], n = p.length;
    if (!begins && within([b[0], b[1] - 2, b[2], 4], p[n - 2], p[n - 1])) return [p[n - 2], p[n - 1] - 6];
    if (begins && within([b[0], b[1] + b[3] - 2, b[2], 4], p[0], p[1])) return [p[0], p[1] + 6];
  }
  return begins ? [b[0] + b[2] / 2, b[1] + b[3] + 6] : [b[0] + b[2] / 2, b[1] - 6];
}

// A picture between two others (t from 0 to 1), for folding: boxes that are in both move, the others are as in the new one.
export function between(a, b, t) {
  if (!a || t >= 1) return b;
  const s = t * t * (3 - 2 * t), mix = (p, q) => (p && p.length && q.length ? [...[0, 1, 2, 3].map((i) => p[i] + (q[i] - p[i]) * s), ...q.slice(4)] : q);
  const name = (list) => new Map(list.map((f) => [f[4], f]));
  const open = name([...a.blocks, ...a.folded]);
  return { ...b, w: a.w + (b.w - a.w) * s, h: a.h + (b.h - a.h) * s, nodes: b.nodes.map((q, i) => mix(a.nodes[i], q)),
    folded: b.folded.map((q) => mix(open.get(q[4]), q)), blocks: b.blocks.map((q) => mix(open.get(q[4]), q)) };
}

// The shape of the panel, in steps, so that a few px do not ask for another picture.
export const ASPECTS = [0.5, 0.7, 1, 1.5, 2.2, 3.2, 4.6];
export const aspect = (w, h) => ASPECTS.reduce((a, b) => (Math.abs(Math.log((b * h) / w)) < Math.abs(Math.log((a * h) / w)) ? b : a));

export const short = (p) => {
  const m = /^w(\d+)a(\d+)$/.exec(p);
  return m ? `${m[1]}/${m[2]}` : p === "float" ? "float" : p.toUpperCase();
};
export const times = (x) => (x == null ? "" : x >= 100 ? x.toFixed(0) : x >= 10 ? x.toFixed(0) : x >= 0.1 ? x.toFixed(1) : x > 0 ? "<0.1" : "0");
export const percent = (x) => (x >= 0.1 ? (100 * x).toFixed(0) : x >= 0.0005 ? (100 * x).toFixed(1) : x > 0 ? "<0.1" : "0") + " %";
export const step = (x, [watch, hot]) => (x == null ? "off" : x > hot ? "hot" : x > watch ? "mid" : "ok");
// As in the heatmap: two and a half decades below the first step, full from there.
export const strength = (x, [watch]) => (x == null || x <= 0 ? 0.12 : Math.min(1, Math.max(0.12, 1 + Math.log10(x / watch) / 2.5)));
export const value = ([distinct, at], i) => distinct[typeof at === "string" ? parseInt(at[i], 36) : at[i]]; // the i-th of values that came coded

// How a layer is painted in a mode: token, strength 0 to 1, and its figure.
export function look(live, mode, i) {
  if (mode === "sensitivity") {
    const x = live.score[i];
    return { token: step(x, live.steps), strength: x == null ? 0 : strength(x, live.steps), text: x == null ? "?" : times(x) + "×", unknown: x == null };
  }
  if (mode === "share") {
    const s = live.size[i] / live.total;
    return { token: "ghost", strength: 0.06 + 0.8 * Math.sqrt(live.size[i] / live.largest), text: percent(s) };
  }
  return { token: "accent", strength: live.shade[live.eff[0].indexOf(value(live.eff, i))], text: short(value(live.eff, i)), unknown: value(live.eff, i) === "float" };
}
