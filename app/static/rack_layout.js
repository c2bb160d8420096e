// Where everything stands, in CSS pixels: pure functions of the state, the width and the density.
const { range, clamp } = await import(`./rack_state.js${new URL(import.meta.url).search}`);

export const Y = { bracket: 4, head: 24, keys: 46, meterEnd: 182, fader: 198, size: 306, sizeH: 28, link: 337, name: 341, H: 362 };
export const RAIL = 66, MASTER = 78, MAP = 38, PAD = 6;
const SPACE = 90; // from the first detent to the last

// The fader's grid for a number of detents: five stand 22 px apart, seven closer.
export function faderGrid(count) {
  const pitch = count > 1 ? Math.min(26, SPACE / (count - 1)) : 26;
  return { count, pitch, cap: Math.min(15, pitch - 1), y: (p) => Y.fader + p * pitch, at: (y) => clamp(Math.round((y - Y.fader) / pitch), 0, count - 1), end: Y.fader + (count - 1) * pitch };
}

const SIZES = {
  console: (n, fit) => ({ w: clamp(Math.floor(fit(8, 58) * 4) / 4, 46, 62), gap: 8, group: 58 }),
  compact: (n, fit) => ({ w: fit(4, 34) >= 18 ? Math.min(42, Math.floor(fit(4, 34) * 4) / 4) : 22, gap: 4, group: 34 }),
  overview: (n, fit) => (n > 120 ? { w: clamp(fit(2, 12), 3.2, 18), gap: 2, group: 12 } : { w: clamp(fit(3, 22), 3.2, 30), gap: 3, group: 24 }),
};

// Blocks stand apart; single layers beside each other do not.
const apart = (a, b) => a.n > 1 || b.n > 1;
const gaps = (blocks) => blocks.slice(1).filter((b, i) => apart(blocks[i], b)).length;

// The roomiest density in which all strips are in view.
export function roomiest(S, W) {
  for (const [name, least] of [["console", 46], ["compact", 18]]) {
    const { gap } = SIZES[name](S.n, () => least);
    if (S.n * least + gap * gaps(S.blocks) + 2 * PAD <= W) return name;
  }
  return "overview";
}

export function layout(S, W, density, folded) {
  const isFolded = (b) => b.n > 1 && folded.has(`${b.name}@${b.i0}`), closed = S.blocks.filter(isFolded);
  const single = S.n - closed.reduce((sum, b) => sum + b.n, 0);
  const fit = (gap, group) => (W - 2 * PAD - gap * gaps(S.blocks) - group * closed.length) / Math.max(1, single);
  const { w, gap, group } = SIZES[density](S.n, fit), items = [], blocks = [];
  let x = PAD;
  for (const [k, b] of S.blocks.entries()) {
    if (k) x += apart(S.blocks[k - 1], b) ? gap : 0;
    const block = { ...b, key: `${b.name}@${b.i0}`, x, fold: isFolded(b), ids: range(b.i0, b.i0 + b.n - 1) };
    if (block.fold) items.push({ group: true, block, ids: block.ids, x, w: group });
    else for (const i of block.ids) items.push({ group: false, block, ids: [i], x: x + (i - b.i0) * w, w });
    x += block.fold ? group : w * b.n;
    block.x1 = x;
    blocks.push(block);
  }
  const itemOf = new Array(S.n);
  items.forEach((it, k) => it.ids.forEach((i) => (itemOf[i] = k)));
  const L = { items, blocks, itemOf, w, W, density, tiny: w < 9, total: Math.max(W, x + PAD), meterTop: { console: 80, compact: 84, overview: 46 }[density] };
  L.brackets = density === "overview" && blocks.length > 30 ? stages(blocks) : blocks;
  const dotted = L.brackets.filter((b) => b.name.includes(".")).map((b) => b.name);
  L.prefix = prefix(dotted);
  L.common = common(dotted);
  return L;
}

// Names that all dotted blocks begin with: the rail shows them once.
export function prefix(names) {
  const parts = names.map((n) => n.split("."));
  if (parts.length < 2) return "";
  let k = 0;
  while (parts.every((p) => p.length > k + 1 && p[k] === parts[0][k])) k += 1;
  return parts[0].slice(0, k).join(".");
}

// Too many blocks for labels: neighbours with one scope above them are labelled together.
function stages(blocks) {
  const common = prefix(blocks.filter((b) => b.name.includes(".")).map((b) => b.name));
  const stage = (name) => (common && name.startsWith(common + ".") ? `${common}.${name.slice(common.length + 1).split(".")[0]}` : name.split(".")[0]);
  const out = [];
  for (const b of blocks) {
    const name = stage(b.name), last = out.at(-1);
    if (last && last.name === name) Object.assign(last, { x1: b.x1, n: last.n + b.n, ids: [...last.ids, ...b.ids] });
    else out.push({ ...b, name, stage: true, fold: false });
  }
  return out;
}

// What a bracket says, as much as has room: the name without what all begin with, without words that most repeat, its
// last part alone; else its beginning, three letters at least, or nothing.
export function bracketText(L, block, measure) {
  const room = block.x1 - block.x - (foldable(block) ? 10 : 3), inside = L.prefix && block.name.startsWith(L.prefix + ".");
  const parts = (inside ? block.name.slice(L.prefix.length + 1) : block.name).split(".");
  const telling = parts.filter((p, k) => k === parts.length - 1 || !L.common.has(p));
  const options = [parts, telling, block.n > 1 || parts.length < 2 ? [telling.at(-1)] : [parts[0]]].map((p) => p.join("."));
  const fits = options.find((s) => measure(s) <= room);
  if (fits) return fits;
  let cut = options[2];
  while (cut.length > 3 && measure(cut) > room) cut = cut.slice(0, -1);
  return measure(cut) > room + 1 ? "" : cut;
}

// Words that stand in more than half of the names.
function common(names) {
  const seen = new Map();
  for (const n of names) for (const p of new Set(n.split("."))) seen.set(p, (seen.get(p) || 0) + 1);
  return new Set([...seen].filter(([p, k]) => names.length > 2 && 2 * k > names.length && !/^\d+$/.test(p)).map(([p]) => p));
}
export const foldable = (block) => block.n > 1 && !block.stage && block.x1 - block.x > 24;

export function hit(S, L, grid, x, y) {
  const it = L.items.find((k) => x >= k.x && x < k.x + k.w) || null, p = grid.at(y);
  const out = { x, y, it, zone: "strip", block: null, p, cap: false };
  if (y < Y.head - 3) return { ...out, zone: "bracket", block: L.brackets.find((b) => x >= b.x - 1 && x <= b.x1 + 1) || null };
  if (!it) return out;
  if (y > Y.fader - 12 && y < grid.end + 12) {
    const mean = grid.y(capPlace(S, it));
    return { ...out, zone: "fader", cap: Math.abs(y - mean) <= grid.cap / 2 + 2 };
  }
  return { ...out, zone: keyAt(L, it, x, y) };
}

function keyAt(L, it, x, y) {
  if (L.density === "console" && y >= Y.keys - 2 && y < Y.keys + 17) return x < it.x + it.w / 2 ? "solo" : "mute";
  if (L.density === "compact" && y >= Y.keys - 2 && y < Y.keys + 30) return y < Y.keys + 14 ? "solo" : "mute";
  return "strip";
}

// Where the cap of a strip sits: a block's in the middle between its members.
export function capPlace(S, it) {
  const all = it.ids.map((i) => S.prec[i]);
  return (Math.min(...all) + Math.max(...all)) / 2;
}
