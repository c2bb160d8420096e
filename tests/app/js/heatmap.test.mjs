import assert from "node:assert/strict";
import { test } from "node:test";
import * as layout from "../../../app/static/heatmap_layout.js";
import { heatPaint, mix } from "../../../app/static/heatmap_paint.js";

const names = (n) => Array.from({ length: n }, (_, i) => `block${Math.floor(i / 3)}.conv${i}`);

test("columns come in three densities", () => {
  assert.equal(layout.density(21, 1340), "numbers");
  assert.equal(layout.density(100, 1340), "glyphs");
  assert.equal(layout.density(300, 1340), "bars");
  assert.equal(layout.density(60, 940), "glyphs");
});

test("a point finds the cell whose middle it is, and nothing outside", () => {
  for (const n of [1, 21, 300]) {
    const g = layout.grid(names(n), 5, 1340);
    for (const [column, row] of [[0, 0], [n - 1, 4], [n >> 1, 2]]) {
      const { x, y } = layout.middle(g, column, row);
      assert.deepEqual(layout.cellAt(g, x, y), { column, row });
    }
    assert.equal(layout.cellAt(g, 20, 20), null);
    assert.equal(layout.cellAt(g, 1339.9, g.height - 2), null);
  }
});

test("the grid fills the width and leaves room for labels", () => {
  const g = layout.grid(names(21), 4, 1340);
  assert.ok(Math.abs(layout.LEFT + g.step * 21 + layout.RIGHT - 1340) < 1e-9);
  assert.ok(g.height > layout.TOP + 4 * layout.ROW + 12);
  assert.ok(layout.grid(names(100), 4, 1340).below > g.below, "upright names are taller");
});

test("labels under narrow columns do not touch", () => {
  const labels = names(300), step = 1270 / 300, shown = layout.blocks(labels, step);
  assert.ok(shown.length > 5);
  for (let k = 1; k < shown.length; k++) assert.ok((shown[k][0] - shown[k - 1][0]) * step > 6 * shown[k - 1][1].length);
});

test("keys stay inside", () => {
  const g = layout.grid(names(5), 3, 900);
  assert.deepEqual(layout.moved(g, { column: 0, row: 0 }, "ArrowLeft"), { column: 0, row: 0 });
  assert.deepEqual(layout.moved(g, { column: 1, row: 1 }, "End"), { column: 4, row: 1 });
  assert.deepEqual(layout.moved(g, { column: 4, row: 2 }, "ArrowDown"), { column: 4, row: 2 });
});

// A context that writes down what is painted.
const recorder = () => {
  const said = [], state = {};
  return new Proxy({ said }, {
    get: (_, name) => (name === "said" ? said : name in state ? state[name] : (...args) => said.push([name, args, { ...state }])),
    set: (_, name, value) => ((state[name] = value), true),
  });
};
const C = Object.fromEntries(["surface", "chassis", "line", "text", "text2", "text3", "accent", "select", "ok", "mid", "hot", "off", "capink"].map((n, i) => [n, `#${String(111111 * (i % 9) + 100000)}`]));
const painted = (cells, columns, width = 1340) => {
  const d = { labels: names(columns), precisions: ["w4a8"], cells, noisy: [], chosen: -1, selected: -1 };
  const ctx = recorder();
  heatPaint(ctx, layout.grid(d.labels, 1, width), d, C, {}, layout);
  return ctx.said;
};
const fills = (said) => said.filter(([n]) => n === "fillRect").map(([, a, s]) => [a, s.fillStyle]);

test("an estimate is hollow, half an exact one is between, and an unknown cell is empty", () => {
  const said = painted([["hot", 1, 0, "", 0, 1], ["hot", 1, 0.5, "", 0, 1], ["hot", 1, 1, "", 0, 1], ["off", 0, 0, "", 0, 0]], 4);
  const colours = fills(said).map(([, c]) => c);
  assert.equal(new Set(colours).size, 4);
  assert.equal(colours[2], C.hot.toLowerCase());
  assert.equal(colours[3], C.surface);
});

test("amber and red say it without colour: a glyph, or the height in narrow columns", () => {
  const paths = (said) => said.filter(([n]) => n === "moveTo").length;
  assert.equal(paths(painted([["ok", 1, 1, "", 0, 1]], 1)), 0);
  assert.equal(paths(painted([["mid", 1, 1, "", 0, 1]], 1)), 1);
  const heights = fills(painted(Array.from({ length: 300 }, (_, i) => [["ok", "mid", "hot"][i % 3], 1, 1, "", 0, 1]), 300)).map(([a]) => a[3]);
  assert.ok(heights[0] < heights[1] && heights[1] < heights[2]);
});

test("an illegal cell is crossed", () => {
  const strokes = (cell) => painted([cell], 1).filter(([n]) => n === "stroke").length;
  assert.equal(strokes(["ok", 1, 1, "", 1, 1]) - strokes(["ok", 1, 1, "", 0, 1]), 1);
});

test("colours mix", () => assert.equal(mix("#000000", "#ffffff", 0.5), "#808080"));
