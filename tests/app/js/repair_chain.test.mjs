import assert from "node:assert/strict";
import { test } from "node:test";
import * as lines from "../../../app/static/chain_lines.js";
import { dropPlace } from "../../../app/static/chain_drag.js";
import { curve, traced } from "../../../app/static/chain_live.js";

const L = (...names) => names.map((n) => ({ n, o: {}, on: true }));
const names = (list) => list.map((l) => l.n).join("");
const field = (more) => ({ name: "f", type: "float", default: 1, minimum: null, maximum: null, choices: null, ...more });

test("a line moves to any place and the selection stays on its line", () => {
  const before = L("a", "b", "c", "d");
  for (let from = 0; from < 4; from++)
    for (let to = 0; to < 4; to++) {
      const after = lines.movedLine(before, from, to);
      assert.equal(after[to].n, before[from].n);
      assert.equal([...names(after)].sort().join(""), "abcd");
      for (let place = 0; place < 4; place++) assert.equal(after[lines.movedPlace(place, from, to)].n, before[place].n);
    }
  assert.equal(names(before), "abcd", "the list that came is not changed");
  assert.equal(names(lines.movedLine(before, 1, 99)), "acdb");
});

test("a new line goes where the catalog has it", () => {
  const catalog = ["fold", "cle", "gptq", "bias"].map((name) => ({ name }));
  assert.equal(lines.placeFor(L("fold", "gptq"), "cle", catalog), 1);
  assert.equal(lines.placeFor(L("fold", "gptq"), "bias", catalog), 2);
  assert.equal(lines.placeFor(L("gptq"), "fold", catalog), 0);
  assert.equal(lines.placeFor([], "cle", catalog), 0);
});

test("the default of a field leaves no option behind", () => {
  const f = field({ name: "samples", default: 512 });
  const set = lines.withOption({ seed: 3 }, f, 64);
  assert.deepEqual(set, { seed: 3, samples: 64 });
  assert.deepEqual(lines.withOption(set, f, 512), { seed: 3 });
  assert.deepEqual(lines.withOption(set, f, null), { seed: 3 });
  assert.equal(lines.valueOf({}, f), 512);
  assert.equal(lines.valueOf(set, f), 64);
});

test("what is typed becomes a value, or the reason why not", () => {
  const f = field({ type: "int", minimum: 1, maximum: 10 });
  assert.deepEqual(lines.parsed(f, " 7 "), { value: 7 });
  assert.match(lines.parsed(f, "7.5").why, /whole/);
  assert.match(lines.parsed(f, "").why, /number/);
  assert.match(lines.parsed(f, "0").why, /at least 1/);
  assert.match(lines.parsed(f, "11").why, /at most 10/);
  assert.deepEqual(lines.parsed(field({}), "0,25"), { value: 0.25 }, "a comma is a point");
  assert.deepEqual(lines.parsed(field({}), "−2"), { value: -2 }, "a true minus sign");
  assert.equal(lines.parsed(field({}), "1e999").value, null);
});

test("the slider reaches both ends, and there and back is the same", () => {
  for (const f of [field({ minimum: 0, maximum: 2 }), field({ minimum: 0.001, maximum: 10 }), field({ type: "int", minimum: 1, maximum: 4096 }), field({ type: "int", minimum: 1, maximum: 8 })]) {
    assert.equal(lines.fromTravel(f, 0), f.minimum);
    assert.equal(lines.fromTravel(f, 1), f.maximum);
    assert.equal(lines.travel(f, f.minimum), 0);
    assert.equal(lines.travel(f, f.maximum), 1);
    for (let t = 0; t <= 1; t += 0.05) {
      const v = lines.fromTravel(f, t);
      assert.ok(v >= f.minimum && v <= f.maximum && (f.type !== "int" || Number.isInteger(v)), `${v}`);
      assert.equal(lines.fromTravel(f, lines.travel(f, v)), v);
    }
  }
  assert.ok(lines.wide(field({ minimum: 0.001, maximum: 10 })) && !lines.wide(field({ minimum: 0, maximum: 1000 })));
});

test("a held card takes the place under its middle", () => {
  const boxes = [40, 40, 120, 40].reduce((all, height) => [...all, { top: all.length ? all.at(-1).top + all.at(-1).height + 7 : 0, height }], []);
  assert.equal(dropPlace(boxes, 0, 20), 0);
  assert.equal(dropPlace(boxes, 0, 9999), 3);
  assert.equal(dropPlace(boxes, 3, -50), 0);
  assert.equal(dropPlace(boxes, 0, boxes[1].top + 21), 1);
  assert.equal(dropPlace(boxes, 0, boxes[1].top + 19), 0);
});

test("live losses: a run a layer, another job begins anew, odd values are left out", () => {
  let t = null;
  for (const loss of [4, 3, 3, 2]) t = traced(t, "1:0", "a", loss);
  assert.deepEqual(t.runs, [{ layer: "a", points: [4, 3, 2] }], "a value told twice is one");
  t = traced(t, "1:0", "b", 9);
  for (const odd of [0, -1, NaN, Infinity, undefined]) assert.equal(traced(t, "1:0", "b", odd), t);
  assert.equal(t.runs.length, 2);
  assert.equal(traced(t, "1:1", "a", 5).runs.length, 1);
  assert.deepEqual(curve(traced(null, "1:0", "a", 4), 300, 44), [], "one point is no curve");
  const shapes = curve(t, 300, 44);
  assert.deepEqual(shapes.map(([, a]) => a.class), ["past", "now"]);
  for (const [, a] of shapes) for (const [, x, y] of a.d.matchAll(/[ML]([\d.]+) ([\d.]+)/g)) assert.ok(x >= 0 && x <= 300 && y >= 0 && y <= 44);
});
