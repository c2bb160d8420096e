// Where everything in the heatmap stands, as plain numbers: no DOM here.
export const ROW = 32, LEFT = 62, TOP = 4, RIGHT = 4;
const NUMBERS = 34, GLYPHS = 9; // px that a column needs for numbers, and for glyphs; below: bars whose height says the step

// numbers, glyphs or bars
export const density = (columns, width) => {
  const room = (width - LEFT - RIGHT) / Math.max(columns, 1);
  return room >= NUMBERS ? "numbers" : room >= GLYPHS ? "glyphs" : "bars";
};

// The grid for a width, and the height that it needs with its labels below.
export const grid = (labels, rows, width) => {
  const count = Math.max(labels.length, 1), step = (width - LEFT - RIGHT) / count, how = density(labels.length, width);
  const longest = Math.max(0, ...labels.map((l) => l.length));
  const halves = labels.flatMap((l) => split(l));
  const lying = how === "numbers" && Math.max(0, ...halves.map((h) => h.length)) * 5.6 < step;
  const below = how === "bars" ? 22 : lying ? 32 : 14 + Math.round(5.4 * Math.min(19, longest));
  return { how, step, columns: labels.length, rows, lying, below, height: TOP + rows * ROW + below, width };
};

// A label in two lines: what comes before the last dot, and the rest.
export const split = (label) => {
  const at = label.lastIndexOf(".");
  return at < 0 ? ["", label] : [label.slice(0, at), label.slice(at + 1)];
};

export const clipped = (label) => (label.length < 19 ? label : label.slice(0, 8) + "…" + label.slice(-8));

// Which blocks are named under narrow columns: the first column of each, spread so that names do not touch.
export const blocks = (labels, step) => {
  const firsts = new Map();
  labels.forEach((l, i) => firsts.has(l.split(".")[0]) || firsts.set(l.split(".")[0], i));
  const out = [];
  let free = -Infinity;
  for (const [name, i] of firsts) {
    const x = i * step;
    if (x < free) continue;
    out.push([i, name.slice(0, 10)]);
    free = x + 7 * Math.min(name.length, 10) + 8;
  }
  return out;
};

// The cell under a point; null outside.
export const cellAt = (g, x, y) => {
  const column = Math.floor((x - LEFT) / g.step), row = Math.floor((y - TOP) / ROW);
  return column >= 0 && column < g.columns && row >= 0 && row < g.rows ? { column, row } : null;
};

export const middle = (g, column, row) => ({ x: LEFT + (column + 0.5) * g.step, y: TOP + (row + 0.5) * ROW });

// The next cell in a direction that a key names.
export const moved = (g, at, key) => {
  const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1], Home: [-1e6, 0], End: [1e6, 0], PageUp: [-10, 0], PageDown: [10, 0] }[key] || [0, 0];
  const clamp = (v, n) => Math.min(Math.max(v, 0), n - 1);
  return { column: clamp(at.column + dx, g.columns), row: clamp(at.row + dy, g.rows) };
};
