import assert from "node:assert/strict";
import { test } from "node:test";
import { decades, ticks, words } from "../../../app/static/plots_axes.js";
import * as draw from "../../../app/static/plots_draw.js";

const inside = (shapes, w, h) =>
  shapes.forEach(([tag, a]) => {
    for (const k of ["x", "x1", "x2", "cx"]) if (k in a) assert.ok(a[k] >= -0.5 && a[k] <= w + 0.5, `${tag} ${k} ${a[k]}`);
    for (const k of ["y", "y1", "y2", "cy"]) if (k in a) assert.ok(a[k] >= -4.5 && a[k] <= h + 0.5, `${tag} ${k} ${a[k]}`);
  });
const of = (shapes, cls) => shapes.filter(([, a]) => ` ${a.class} `.includes(` ${cls} `));

test("ticks are round, decades are thinned, numbers stay short", () => {
  assert.deepEqual(ticks(-1.3, 2.2, 4), [-1, 0, 1, 2]);
  assert.deepEqual(decades(1e-6, 1e-2, 3), [1e-6, 1e-4, 1e-2]);
  assert.deepEqual([0, 0.25, -3, 1e-7, 2e6].map(words), ["0", "0.25", "−3", "10⁻⁷", "2·10⁶"]);
});

test("the histogram marks what the clip lines cut off, and stays in its frame", () => {
  const d = { edges: [-2, -1, 0, 1, 2], counts: [1, 50, 0, 3], clip: [-1, 1], grid: [-1, 0, 1], sparse: false };
  const shapes = draw.histogram(d, 400, 200);
  inside(shapes, 400, 200);
  assert.equal(of(shapes, "bar").length, 3, "an empty bin is no bar");
  assert.equal(of(shapes, "hot").length, 2);
  assert.equal(of(shapes, "clip").length, 2);
  inside(draw.histogram({ ...d, counts: [1, 1, 1, 1], sparse: true }, 400, 200), 400, 200);
});

test("the ladder: hollow is an estimate, a cross illegal, the diamond in use, zero a word", () => {
  const row = (id, more) => ({ id, value: 1e-4, low: null, high: null, estimate: false, prior: null, step: "ok", now: false, no: false, title: id, ...more });
  const shapes = draw.ladder({ rows: [row("fp16", { value: 0 }), row("w8a8", { now: true, low: 5e-5, high: 2e-4 }), row("w4a8", { estimate: true, value: 1e-2 }), row("w4a16", { no: true })], fair: 1e-3, title: "KL" }, 400, 200);
  inside(shapes, 400, 200);
  assert.equal(of(shapes, "open").length, 1);
  assert.equal(of(shapes, "cross").length, 1);
  assert.equal(of(shapes, "now")[0][0], "path");
  assert.equal(of(shapes, "error").length, 3);
  assert.ok(shapes.some(([, , words]) => words === "≈ 0"));
});
