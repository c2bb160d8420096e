import assert from "node:assert/strict";
import { test } from "node:test";
import { costAt, frame, hit, picture, place } from "../../../app/static/mix_plot.js";
import { absolute, envelope, pack, reach, solve, tally, thresholds, unpack, walk } from "../../../app/static/mix_solve.js";
import { columns, layerAt, level, moveTo, paintStrip } from "../../../app/static/mix_strip.js";
import { offScale, onScale } from "../../../app/static/mix_targets.js";
import { told } from "../../../app/static/mix_takes.js";
import { changes, reasons } from "../../../app/static/mix_why.js";

// Six layers at two precisions: 4 bits (a) and 8 bits (b). Layer i loses 1 / (i + 1) when it has 4; each costs 10 more at 8.
const N = 6, gain = (i) => 1 / (i + 1), sum = (from) => Array.from({ length: N }, (_, i) => gain(i)).slice(from).reduce((a, b) => a + b, 0);
const frontier = (column) => ({ base: "w8a8", column, p: `a${N}`, start: [sum(0), 60, 600, 4], moves: Array.from({ length: N }, (_, i) => [[i], [1], sum(i + 1), 60 + 10 * (i + 1), 600 + 100 * (i + 1), 4 + (4 * (i + 1)) / N]) });
const SPACE = {
  layers: Array.from({ length: N }, (_, i) => `layer${i}`), names: ["w4a8", "w8a8"], wide: [[4, 8], [8, 8]], kinds: Array(N).fill("conv"), fixed: Array(N).fill(""), group: Array(N).fill(""),
  options: Array.from({ length: N }, (_, i) => [[0, gain(i), 10, 100], [1, 0, 20, 200]]), frontiers: [frontier("bops"), frontier("size")], fp32: { size_bytes: 1000, bops: 10000 },
};
const CURVE = { enough: true, knots: [[0.1, 0.01, 0, 0.02], [3, 0.3, 0.2, 0.4]], beyond: { slope: 0.1, cap: 1 } };
const doc = (lim, more) => ({ lim, on: SPACE.names, keep: false, judge: "estimate", aim: "size", ...more });

test("a budget takes the moves that fit, the best for their price first", () => {
  const found = solve(SPACE, doc({ size: 0.085 }), CURVE);
  assert.deepEqual(found.p, [1, 1, 0, 0, 0, 0]);
  assert.equal(found.size, 80);
  assert.ok(Math.abs(found.score - sum(2)) < 1e-12);
  assert.equal(solve(SPACE, doc({ size: 0.01 }), CURVE).over, "size");
});

test("more budget never scores worse, and no budget is overrun", () => {
  let last = Infinity;
  for (let size = 0.06; size <= 0.13; size += 0.0035) {
    const found = solve(SPACE, doc({ size, bops: 0.11 }), CURVE);
    assert.ok(found.size <= size * 1000 + 1e-6 && found.bops <= 1100 + 1e-6);
    assert.ok(found.score <= last + 1e-12);
    last = found.score;
  }
});

test("a greatest drop is met as cheaply as the frontier allows, by the estimate or the upper end", () => {
  const by = (judge) => solve(SPACE, doc({ drop: 0.11 }, { judge }), CURVE), [plain, sure] = [by("estimate"), by("bound")];
  assert.ok(plain.reached && sure.reached && sure.size > plain.size);
  const one = walk(SPACE.frontiers[1], { size: plain.size - 10 });
  assert.ok(one.score > plain.score, "one move less misses it");
  assert.equal(solve(SPACE, doc({ drop: 0.0001, size: 0.07 }), CURVE).reached, false);
});

test("a move that does not fit blocks what builds on it, and cheaper ones after it are still taken", () => {
  const f = { base: "b", column: "size", p: "a2", start: [3, 10, 0, 4], moves: [[[0], [1], 2, 40, 0, 5], [[0], [2], 1.5, 42, 0, 6], [[1], [1], 1, 44, 0, 7]] };
  const found = walk(f, { size: 15 });
  assert.deepEqual(found.p, [0, 1]);
  assert.deepEqual([found.size, found.score], [12, 2.5]);
});

test("300 layers at 5 precisions are solved well under a frame", () => {
  const n = 300, moves = [];
  for (let k = 1; k < 5; k += 1) for (let i = 0; i < n; i += 1) moves.push([[i], [k], 1200 - moves.length, 1000 + moves.length, 1000 + moves.length, 4]);
  const f = (column) => ({ base: "b", column, p: `a${n}`, start: [1201, 999, 999, 4], moves }), space = { ...SPACE, frontiers: [f("bops"), f("size"), f("bops"), f("size")] };
  const times = Array.from({ length: 9 }, () => ((t) => (solve(space, doc({ size: 1.8, bops: 0.19 }), CURVE), performance.now() - t))(performance.now())).sort((a, b) => a - b);
  assert.ok(times[4] < 50, `${times[4]} ms`);
});

test("frontier, reach, thresholds and tally", () => {
  const hull = envelope(SPACE, "size");
  assert.ok(hull.every(([c, s], i) => !i || (c > hull[i - 1][0] && s < hull[i - 1][1])));
  assert.deepEqual(reach(SPACE, "size"), [60, 120]);
  assert.deepEqual(thresholds(SPACE, "w8a8", "size", 2), [[0, 60], [1, 90]]);
  assert.deepEqual(tally([0, 1, 1, -1], SPACE.names), [1, 2]);
  assert.deepEqual(absolute(SPACE, doc({ drop: 0.1, bits: 6 })), { bits: 6 });
  assert.deepEqual(unpack(pack([0, 0, 1, -1])), [0, 0, 1, -1]);
});

test("a slider's ends come back, and what lies outside stays inside", () => {
  for (const ends of [[0.0005, 0.2], [2, 6]]) {
    for (const t of [0, 0.3, 1]) assert.ok(Math.abs(onScale(offScale(t, ends), ends) - t) < 1e-9);
    assert.equal(onScale(99, ends), 1);
  }
});

const mark = (id, more) => ({ id, method: "search", kind: "front", size: 80, bops: 800, drop: 0.01, lo: 0.005, hi: 0.02, kl: 0.02, words: "", p: "a6", ...more });
const view = (marks, more) => ({ axis: "size", y: "drop", unit: "pp", scale: 100, fp32: SPACE.fp32, frontier: envelope(SPACE, "size").map(([c, s]) => [c, s * 10]), marks, limit: 0.01, budget: 80, shown: "s", hover: "", ...more });

test("everything of the plot is inside its frame, in both scales", () => {
  const marks = [mark("a"), mark("b", { kind: "tried", drop: 0.9, kl: 3, p: undefined }), mark("c", { kind: "promise" }), mark("d", { method: "amp" }), mark("e", { method: "lite" }), mark("f", { kind: "solution", predicted: true, method: undefined, lo: -0.5, hi: 0.9 })];
  for (const y of ["drop", "kl"])
    for (const [w, h] of [[980, 260], [480, 200]]) {
      const d = view(marks, { y }), g = frame(d, w, h);
      for (const m of marks) {
        const [a, b] = place(d, g, m);
        assert.ok(a >= 0 && a <= w && b >= 0 && b <= h, `${m.id} ${a} ${b}`);
      }
      for (const [tag, at] of picture(d, w, h)) if (tag === "line") for (const v of [at.y1, at.y2]) assert.ok(v >= -1 && v <= h + 1, `${at.class} ${v}`);
    }
});

test("predicted is hollow and measured filled: their classes differ, and the pointer finds marks before the frontier", () => {
  const d = view([mark("a"), mark("s", { kind: "solution", predicted: true, method: undefined })]), shapes = picture(d, 900, 260), g = frame(d, 900, 260);
  assert.ok(shapes.some(([, a]) => a.class === "mk front search") && shapes.some(([, a]) => a.class === "mk solution "));
  assert.equal(hit(d, g, ...place(d, g, d.marks[0])).kind, "front");
  const [c, v] = d.frontier[3];
  assert.deepEqual(hit(view([]), frame(view([]), 900, 260), frame(view([]), 900, 260).x(c / 10), frame(view([]), 900, 260).y(Math.min(v, 99))).kind, "frontier");
  assert.equal(hit(d, g, 2, 2), null);
  assert.ok(Math.abs(costAt(d, g, g.x(8)) - 0.08) < 1e-9, "the cost under the pointer");
});

test("the strip: a column a layer, higher for more bits, ticks where the desk differs", () => {
  const g = columns(300, 900);
  assert.equal(layerAt(g, 0), 0);
  assert.equal(layerAt(g, 899.9), 299);
  assert.equal(moveTo(g, 0, "ArrowLeft"), 0);
  assert.equal(moveTo(g, 0, "End"), 299);
  assert.ok(level(4) < level(8) && level(8) < level(16) && level(16) > 0.99);
  const colors = []; // the colour of every rectangle
  const pen = { set fillStyle(v) { this.v = v; }, fillRect() { colors.push(this.v); }, clearRect() {}, beginPath() {}, moveTo() {}, lineTo() {}, fill() {} };
  paintStrip(pen, columns(2, 100), 100, { p: [0, 1], now: [1, 1], wide: SPACE.wide, fixed: ["", "by hand"], kinds: ["conv", "dw"] }, { ok: "ok", accent: "accent", ghost: "ghost", soft: "soft", conv: "conv", dw: "dw", text3: "text3" }, { at: -1, hover: -1 });
  assert.deepEqual([colors.filter((c) => c === "ok").length, colors.filter((c) => c === "accent").length, colors.filter((c) => c === "ghost").length], [1, 1, 1]);
});

test("why: the options with their scores, the price of the next bits, and from which budget on they come", () => {
  const shown = solve(SPACE, doc({ size: 0.085 }), CURVE), found = reasons(SPACE, shown, "size", 2, [], thresholds);
  assert.deepEqual(found.rows.map((r) => [r.name, r.now, r.from]), [["w4a8", true, 60], ["w8a8", false, 90]]);
  assert.match(found.words, /w8a8 would take 0.333 nats off/);
  assert.match(found.words, /from 9.00 % on/);
  const fixed = reasons({ ...SPACE, fixed: SPACE.fixed.map(() => "set by hand") }, shown, "size", 2, [], thresholds);
  assert.match(fixed.words, /Stays: set by hand/);
});

test("changes against the desk, and a move's figures in words", () => {
  assert.deepEqual(changes(SPACE, { p: [1, 0, 0, 0, 0, 0] }, [0, 0, 0, 0, 0, 1]).map(([i, a, b]) => [i, a, b]).sort(), [[0, 0, 1], [5, 1, 0]]);
  const bytes = (v) => `${v} B`;
  assert.deepEqual(told({ gain: 0.42, size: 100, seconds: null, known: "predicted" }, bytes), { gain: "−42 % KL", size: "+100 B", time: "at once" });
  assert.deepEqual(told({ gain: null, size: 0, seconds: null, known: "unknown" }, bytes), { gain: "not known", size: "no bytes", time: "minutes" });
  assert.deepEqual([told({ gain: 0.5, size: 0, seconds: 9.5, known: "estimate" }, bytes).time, told({ gain: 0.5, size: 0, seconds: 240, known: "estimate" }, bytes).time], ["≈ 10 s", "≈ 4.0 min"]);
});

test("a latency by a table is a cost like the others, in its own unit", () => {
  const slow = (f) => ({ ...f, start: [...f.start, 6000], moves: f.moves.map((m, i) => [...m, 6000 + 2000 * (i + 1)]) });
  const space = { ...SPACE, timed: true, options: SPACE.options.map((list) => list.map((o, k) => [...o, 1000 + 2000 * k])), frontiers: [...SPACE.frontiers.map(slow), slow({ ...frontier("latency") })] };
  const found = solve(space, doc({ latency: 11000 }, { aim: "latency" }), CURVE);
  assert.deepEqual([found.p, found.latency], [[1, 1, 0, 0, 0, 0], 10000]);
  assert.deepEqual(absolute(SPACE, doc({ latency: 5 })), {}, "without a table it is no limit");
  assert.deepEqual(reach(space, "latency"), [6000, 18000]);
  const time = { per: 1e3, unit: "ms" }, d = view([mark("a", { latency: 8000 }), mark("b", { latency: null })], { axis: "latency", time, frontier: envelope(space, "latency"), budget: 11000 }), g = frame(d, 900, 260), shapes = picture(d, 900, 260);
  assert.ok(place(d, g, d.marks[0])[0] > 54 && place(d, g, d.marks[1]) === null, "a point without a latency is not drawn");
  assert.ok(Math.abs(costAt(d, g, g.x(11)) - 11000) < 1e-6, "the budget under the pointer is in microseconds");
  assert.ok(shapes.some(([, , t]) => t === "latency by the table, ms") && !shapes.some(([, , t]) => /%/.test(t ?? "")));
  const told = reasons(space, found, "latency", 2, [], thresholds);
  assert.match(told.words, /w8a8 would take 0.333 nats off for 2000 µs|nats off for 2,000 µs|nats off for 2·10³ µs/);
  assert.match(told.words, /w8a8 from 12,000 µs on/);
});
