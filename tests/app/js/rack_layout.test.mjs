import assert from "node:assert/strict";
import { test } from "node:test";
import * as Layout from "../../../app/static/rack_layout.js";
import * as State from "../../../app/static/rack_state.js";
import { layers, rack, rules } from "./rack.fixture.mjs";

const many = (n) => {
  const S = State.create(), all = Array.from({ length: n }, (_, i) => ({ ...layers[0], n: `net.${Math.floor(i / 30)}.${Math.floor(i / 3)}.${i}`, b: `net.${Math.floor(i / 30)}.${Math.floor(i / 3)}` }));
  State.setGraph(S, { layers: all });
  State.setRules(S, { ...rules, no: all.map(() => "____"), links: [] });
  return S;
};

test("strips follow each other without overlap, in every density", () => {
  for (const density of ["console", "compact", "overview"])
    for (const S of [rack(), many(300), many(1000)]) {
      const L = Layout.layout(S, 1250, density, new Set());
      L.items.slice(1).forEach((it, k) => assert.ok(it.x >= L.items[k].x + L.items[k].w - 1e-6));
      assert.ok(L.total >= L.items.at(-1).x + L.items.at(-1).w);
    }
});

test("the roomiest density in which all is in view; 300 layers fit in Overview at 1440", () => {
  assert.equal(Layout.roomiest(rack(), 1250), "console");
  assert.equal(Layout.roomiest(many(54), 1250), "compact");
  assert.equal(Layout.roomiest(many(300), 1250), "overview");
  assert.equal(Layout.layout(many(300), 1266, "overview", new Set()).total, 1266);
});

test("a folded block is one strip for its layers", () => {
  const S = rack(), L = Layout.layout(S, 800, "compact", new Set(["a.1@3"]));
  assert.equal(L.items.length, 5);
  assert.deepEqual(L.items[3].ids, [3, 4, 5]);
  assert.deepEqual([3, 4, 5].map((i) => L.itemOf[i]), [3, 3, 3]);
});

test("a point is a zone of a strip: bracket, keys, fader with its detent, cap", () => {
  const S = rack(), L = Layout.layout(S, 800, "compact", new Set()), grid = Layout.faderGrid(4), { Y } = Layout;
  const x = L.items[4].x + L.items[4].w / 2, at = (y) => Layout.hit(S, L, grid, x, y);
  assert.equal(at(8).block.name, "a.1");
  assert.equal(at(Y.keys + 4).zone, "solo");
  assert.equal(at(Y.keys + 20).zone, "mute");
  assert.equal(at(130).zone, "strip");
  assert.deepEqual([at(grid.y(3)).zone, at(grid.y(3)).p, at(grid.y(3)).cap], ["fader", 3, false]);
  assert.ok(at(grid.y(2)).cap);
});

test("two to nine detents stay between meter and size", () => {
  for (let n = 1; n <= 9; n += 1) {
    const grid = Layout.faderGrid(n);
    assert.ok(grid.end + grid.cap / 2 < Layout.Y.size, `${n} detents`);
    assert.ok(grid.cap > 8 && grid.cap < grid.pitch);
    for (let p = 0; p < n; p += 1) assert.equal(grid.at(grid.y(p)), p);
  }
});

test("brackets lose the prefix that all share, and many blocks are labelled by the scope above them", () => {
  assert.equal(Layout.prefix(["features.0", "features.1.block", "features.2"]), "features");
  assert.equal(Layout.prefix(["a.0"]), "");
  const L = Layout.layout(many(300), 1250, "overview", new Set()), wide = (s) => s.length * 6;
  assert.equal(L.brackets.length, 10);
  assert.equal(Layout.bracketText(L, L.brackets[2], wide), "2");
  assert.equal(L.brackets.reduce((n, b) => n + b.ids.length, 0), 300);
});

test("a bracket says what tells it from the others", () => {
  const S = State.create(), names = ["s.0.blocks.0", "s.0.blocks.0", "s.0.blocks.11", "s.0.blocks.11", "s.1.blocks.2", "s.1.blocks.2"];
  State.setGraph(S, { layers: names.map((b, i) => ({ ...layers[0], n: `${b}.${i}`, b })) });
  const L = Layout.layout(S, 800, "compact", new Set()), size = (px) => (s) => s.length * px;
  assert.equal(L.prefix, "s");
  assert.deepEqual([4, 10, 28].map((px) => Layout.bracketText(L, L.blocks[1], size(px))), ["0.blocks.11", "0.11", "11"]);
  assert.equal(Layout.bracketText(L, L.blocks[1], size(60)), "");
});
