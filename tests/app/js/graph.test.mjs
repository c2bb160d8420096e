import assert from "node:assert/strict";
import { test } from "node:test";
import * as card from "../../../app/static/graph_card.js";
import * as boxes from "../../../app/static/graph_boxes.js";
import * as painting from "../../../app/static/graph_paint.js";
import * as view from "../../../app/static/graph_view.js";

const { blend, contrast, inkOn, paint, trace } = painting, { clipped } = boxes;

// x -> a -> (b, and a way round it) -> sum -> far; a and b are in block "k"; far stands in a second column.
const node = (name, kind, layer, block = "") => [name, kind === "layer" ? "Conv" : "Add", kind, layer, layer >= 0 ? "conv" : "", "", "1 × 8", block];
const facts = { id: "g", top: ["k"], nodes: [node("x", "input", -1), node("k.a", "layer", 0, "k"), node("k.b", "layer", 1, "k"), node("sum", "op", -1), node("far", "layer", 2)],
  edges: [[0, 1, ""], [1, 2, ""], [2, 3, "reshape"], [1, 3, ""], [3, 4, ""]] };
const open = { id: "open", w: 300, h: 260, folded: [], blocks: [[0, 40, 120, 120, "k", "k"]],
  nodes: [[40, 0, 40, 24, "x"], [30, 64, 60, 24, "a"], [30, 110, 60, 24, "b"], [40, 190, 40, 24, "Add"], [200, 0, 90, 24, "far"]],
  lines: [[[60, 24, 60, 64], [0], 0], [[60, 88, 60, 110], [1], 0], [[60, 134, 60, 190], [2], 0], [[60, 88, 100, 110, 100, 134, 65, 190], [3], 0], [[60, 214, 60, 224, 150, 224, 150, -10, 230, -10, 230, 0], [4], 1]] };
const folded = { ...open, id: "folded", blocks: [], folded: [[20, 60, 80, 34, "k", "k", [1, 2]]], nodes: [open.nodes[0], [], [], [40, 120, 40, 24, "Add"], open.nodes[4]],
  lines: [[[60, 24, 60, 60], [0], 0], [[60, 94, 60, 120], [2, 3], 0], open.lines[4]] };
const coded = (list) => (([d]) => [d, list.map((v) => d.indexOf(v).toString(36)).join("")])([[...new Set(list)]]);
const live = { eff: coded(["w4a8", "w8a8", "float"]), req: coded(["w4a8", "w4a8", "w8a8"]), own: coded([true, true, false]), shade: [0.87, 0.67, 0], legal: coded([true, true, true]),
  why: coded(["", "depthwise weights have 8 bits at least", ""]), size: [100, 300, 600], total: 1000, largest: 600, score: [8, 0.5, null], fair: 0.002, kind: "estimate", steps: [2, 6], types: coded(["a8", "", "", "a16", ""]) };

test("the whole picture fits, small ones are not blown up, and zooming keeps the point under the hand", () => {
  const v = view.fit(open, 500, 300);
  for (const b of open.nodes) assert.ok(b[0] * v.k + v.x >= 0 && (b[0] + b[2]) * v.k + v.x <= 500 && b[1] * v.k + v.y >= 0 && (b[1] + b[3]) * v.k + v.y <= 300);
  assert.ok(view.fit({ w: 20, h: 20 }, 700, 900).k <= 1.15 && view.fit({ w: 20, h: 20 }, 900, 900).k <= 1.6);
  const z = view.zoomAt(v, 120, 80, 1.7), at = (w) => [(120 - w.x) / w.k, (80 - w.y) / w.k];
  at(z).forEach((c, i) => assert.ok(Math.abs(c - at(v)[i]) < 1e-9));
  assert.equal(view.zoomAt(v, 0, 0, 1e9).k, view.LIMITS.high);
  const lost = view.held({ k: 1, x: 5000, y: -9000 }, open, 500, 300);
  assert.ok(lost.x < 500 && lost.y + open.h > 0);
  const s = view.showing({ k: 1, x: 0, y: 0 }, [600, 10, 60, 24], 500, 300);
  assert.ok(600 + s.x >= 0 && 660 + s.x <= 500);
});

test("a point finds what it is over", () => {
  const g = view.joined(facts, open), v = { k: 2, x: 10, y: -20 }, at = (x, y, marks = []) => view.hit(g, v, marks, x * 2 + 10, y * 2 - 20);
  assert.deepEqual(at(60, 76), { what: "node", i: 1 });
  assert.deepEqual(at(10, 50), { what: "title", name: "k" });
  assert.deepEqual(at(10, 150), { what: "block", name: "k" });
  assert.equal(at(290, 250), null);
  assert.deepEqual(at(60, 100, [{ x: 61, y: 101 }]), { what: "mark", i: 0 });
  assert.deepEqual(at(60, 130, [{ x: 60, y: 138 }]), { what: "node", i: 2 }, "a mark beside a node does not take its clicks");
  assert.deepEqual(view.hit(view.joined(facts, folded), { k: 1, x: 0, y: 0 }, [], 60, 70), { what: "folded", i: 1, name: "k" });
});

test("arrow keys go along the edges, and sideways to the next column", () => {
  const g = view.joined(facts, open), go = (at, ...keys) => keys.reduce((i, k) => view.neighbour(g, i, "Arrow" + k), at);
  assert.equal(go(0, "Down", "Down", "Down", "Down"), 4, "the straightest way first");
  assert.equal(go(3, "Up", "Up", "Up"), 0);
  assert.equal(go(0, "Up"), -1);
  assert.equal(go(0, "Right"), 4);
  assert.equal(view.neighbour(view.joined(facts, folded), 0, "ArrowDown"), 1);
  assert.equal(view.neighbour(view.joined(facts, folded), 2, "ArrowDown"), 3, "out of a folded block");
});

test("marks stand on the line at the node, those in one place are one, and a folded block wears those inside it", () => {
  const g = view.joined(facts, open), found = view.markPlaces(g, [[3, 3, 0], [1, 1, 1], [3, 3, 0], [-1, 2, 0]], coded(["a8 → a16", "a16 → a8", "again", "inside"]));
  assert.deepEqual(found.map((m) => [m.x, m.y, m.words.length]), [[65, 184, 2], [60, 94, 1], [88, 112, 1]]);
  const [inner] = view.markPlaces(view.joined(facts, folded), [[1, 2, 0]], coded(["w"]));
  assert.ok(inner.inside && inner.x <= 100 && inner.y <= 70);
});

test("folding moves boxes from where they were", () => {
  assert.equal(view.between(open, folded, 1), folded);
  assert.equal(view.between(null, folded, 0.2), folded);
  const half = view.between(open, folded, 0.5);
  assert.deepEqual(half.folded[0].slice(0, 4), [10, 50, 100, 77], "between the frame and the folded box");
  assert.equal(half.nodes[3][1], 155);
  assert.deepEqual(half.nodes[1], []);
});

test("the panel's shape comes in steps", () => {
  assert.equal(view.aspect(492, 290), 1.5);
  assert.equal(view.aspect(1350, 700), 2.2);
  assert.equal(view.aspect(300, 900), 0.5);
  assert.equal(view.aspect(973, 212), 4.6);
});

test("layers look as their figures say", () => {
  assert.deepEqual([0, 1, 2].map((i) => view.look(live, "precision", i).text), ["4/8", "8/8", "float"]);
  assert.deepEqual([0, 1, 2].map((i) => view.look(live, "sensitivity", i).token), ["hot", "ok", "off"]);
  assert.ok(view.look(live, "sensitivity", 2).unknown && view.look(live, "precision", 2).unknown);
  assert.ok(view.look(live, "share", 2).strength > view.look(live, "share", 0).strength);
  assert.equal(view.look(live, "share", 0).text, "10 %");
  assert.deepEqual([0, 0.01, 0.34, 12.3, 250].map(view.times), ["0", "<0.1", "0.3", "12", "250"]);
  assert.deepEqual(["w4a16", "fp16", "float"].map(view.short), ["4/16", "FP16", "float"]);
});

test("cards say requested and effective and why", () => {
  const g = view.joined(facts, open), words = card.nodeWords(g, live, 2, view), rows = Object.fromEntries(words.rows);
  assert.equal(rows.requested, "4/8");
  assert.equal(rows.effective, "8/8");
  assert.equal(rows["estimate, output KL"], "0.001 nats");
  assert.deepEqual(words.notes, ["depthwise weights have 8 bits at least"]);
  assert.equal(Object.fromEntries(card.nodeWords(g, live, 3, view).rows).type, "a16");
  assert.deepEqual(card.nodeWords(g, live, 3, view).notes, ["Comes through reshape"]);
  assert.equal(Object.fromEntries(card.blockWords(g, live, "k", true, view).rows).size, "400 B, 40 % of all");
  assert.match(card.spoken(view.joined(facts, folded), live, 1, view), /^folded block k\. k\.a.*1 input, 2 readers/);
});

test("ink can be read on every shade, and long names keep their end", () => {
  for (const over of ["#6CA8FF", "#1C64D9", "#F0603F", "#128476", "#C9D2DE"]) {
    for (const under of ["#262F3B", "#DCE1E7"]) for (let s = 0; s <= 1; s += 0.1) assert.ok(contrast(blend(under, over, s), inkOn(blend(under, over, s))) >= 4.49);
  }
  assert.equal(clipped({ measureText: (t) => ({ width: 6 * t.length }) }, "features.12.expand", 60), "…12.expand");
});

// A context that writes down what is painted.
const recorder = () => {
  const said = [], state = { said, measureText: (t) => ({ width: 6 * t.length }) };
  return new Proxy(state, { get: (t, k) => (k in t ? t[k] : (...a) => said.push([k, ...a])), set: (t, k, v) => ((t[k] = v), true) });
};
const c = Object.fromEntries(["surface", "chassis", "raised2", "line", "text", "text2", "text3", "accent", "ok", "mid", "hot", "off", "tick", "ghost"].map((n, i) => [n, "#" + (0x222222 + i * 0x0a0a0a).toString(16)]));
const shown = (places, extra = {}) => {
  const ctx = recorder(), g = view.joined(facts, places);
  paint(ctx, { g, p: places, v: { k: 1, x: 0, y: 0 }, c, w: 500, h: 300, dpr: 1, live, look: (i) => view.look(live, "precision", i), lib: { ...view, ...painting, ...boxes }, mode: "precision", sel: new Set(), at: 0, hover: null, marks: [], marked: -1, lit: new Set(), fade: 1, ...extra });
  return ctx.said;
};

test("every node in sight is painted with its figure, folded blocks as stripes, nothing that is out of sight", () => {
  const words = (said) => said.filter((s) => s[0] === "fillText").map((s) => s[1]);
  assert.deepEqual(words(shown(open)), ["k", "x", "a", "4/8", "b", "8/8", "Add", "far", "float"]);
  assert.equal(shown(folded).filter((s) => s[0] === "fillRect").length, 2);
  assert.deepEqual(words(shown(open, { v: { k: 1, x: -180, y: 0 } })), ["far", "float"]);
  assert.deepEqual(words(shown(open, { v: { k: 0.3, x: 0, y: 0 } })), ["k"], "far away only blocks are named");
});

test("lines bend where they change side and turn round corners between columns", () => {
  const ctx = recorder();
  trace(ctx, open.lines[3][0], 0);
  assert.deepEqual(ctx.said.map((s) => s[0]), ["moveTo", "bezierCurveTo", "lineTo", "bezierCurveTo"]);
  const other = recorder();
  trace(other, open.lines[4][0], 1);
  assert.deepEqual(other.said.map((s) => s[0]), ["moveTo", "arcTo", "arcTo", "arcTo", "arcTo", "lineTo"]);
});

test("small figures are written as powers", () => {
  assert.deepEqual([0, 0.02, 0.0000015, 2.34e-12].map(card.figure), ["0", "0.02", "1.5 × 10⁻⁶", "2.3 × 10⁻¹²"]);
});
