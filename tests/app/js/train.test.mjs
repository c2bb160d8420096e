import assert from "node:assert/strict";
import { test } from "node:test";
import { curves, epochAt, logTicks, lossScale, nextEpoch, panes, said } from "../../../app/static/curves_draw.js";
import { fromTravel, travel } from "../../../app/static/chain_lines.js";
import { ownIn } from "../../../app/static/train.js";
import { axes, lines, ranked, shownOf, trialAt, trials } from "../../../app/static/trials_draw.js";

const point = (n, more = {}) => ({ n, loss: 2 / n, held: 1.6 / n, score: 90 - 10 / n, said: "600 samples/s", ...more });
const run = (n, more = {}) => ({ theme: "dark", epochs: 8, points: Array.from({ length: n }, (_, i) => point(i + 1)), start: 2.1, startScore: 31, float: 92, metric: "top-1", best: n, live: null, kept: false, words: "", ...more });
const numbers = (shapes) => shapes.flatMap(([, a]) => [a.y, a.y1, a.y2, a.cy].filter((v) => v !== undefined));

test("everything of the curves is inside its frame, from nothing to a hundred epochs", () => {
  for (const d of [run(0, { start: null, startScore: null, float: null, metric: "" }), run(1), run(8), run(100, { epochs: 100 }), run(3, { live: { x: 3.4, loss: 0.7, epoch: 4, said: "" } })])
    for (const [w, h] of [[520, 220], [980, 300]]) for (const y of numbers(curves(d, w, h))) assert.ok(Number.isFinite(y) && y >= 0 && y <= h, `${y}`);
});

test("the start and the float model are marked, the best epoch is ringed, and the flag says when it is kept", () => {
  const shapes = curves(run(4), 980, 300), texts = (list) => list.filter(([t]) => t === "text").map(([, , words]) => words);
  assert.ok(texts(shapes).includes("float 92.0") && texts(shapes).includes("start 31.0") && texts(shapes).includes("best"));
  assert.equal(shapes.filter(([t, a]) => t === "circle" && a.class === "best").length, 2);
  assert.ok(texts(curves(run(4, { kept: true }), 980, 300)).includes("kept"));
  assert.ok(!texts(curves(run(4, { best: 0 }), 980, 300)).includes("best"), "where nothing was better there is no ring");
});

test("a loss that falls goes down, a score that rises goes up", () => {
  const d = run(3), shapes = curves(d, 980, 300), ys = shapes.filter(([t, a]) => t === "circle" && a.class === "held").map(([, a]) => a.cy);
  assert.ok(ys[0] < ys[1] && ys[1] < ys[2], "loss");
  assert.ok(ys[3] > ys[4] && ys[4] > ys[5], "score");
});

test("the running epoch is one hollow dot between the finished one and the next", () => {
  const d = run(2, { live: { x: 2.5, loss: 0.6, epoch: 3, said: "" } }), g = panes(d, 980, 300);
  const dots = curves(d, 980, 300).filter(([t, a]) => t === "circle" && a.class === "live");
  assert.equal(dots.length, 1);
  assert.ok(dots[0][1].cx > g.loss.x(2) && dots[0][1].cx < g.loss.x(3));
});

test("labels of lines that nearly touch stand apart", () => {
  const shapes = curves(run(3, { float: 91, startScore: 90.9 }), 980, 300), at = (words) => shapes.find(([t, , text]) => t === "text" && text === words)[1].y;
  assert.ok(Math.abs(at("float 91.0") - at("start 90.9")) >= 12);
});

test("a place on the page is an epoch, the start, or nothing; arrows stay among them", () => {
  const d = run(3), g = panes(d, 980, 300);
  assert.equal(epochAt(d, g, g.loss.x(2) + 2), 2);
  assert.equal(epochAt(d, g, g.score.x(0)), 0);
  assert.equal(epochAt(d, g, g.loss.x(7)), -1);
  assert.equal(nextEpoch(d, 3, "ArrowRight"), 3);
  assert.equal(nextEpoch(d, 0, "ArrowLeft"), 0);
  assert.equal(nextEpoch(d, 0, "End"), 3);
  assert.match(said(d, 3)[0], /^Epoch 3, the best so far$/);
  assert.match(said(d, 0).join(), /score 31.00 %, float 92.00 %/);
});

test("ticks of a log scale lie within it and are few", () => {
  for (const [a, b] of [[0.05, 3], [0.001, 900], [0.4, 0.6]]) {
    const found = logTicks(a, b, 6);
    assert.ok(found.length <= 6 && found.every((v) => v >= a && v <= b), `${found}`);
  }
  assert.equal(lossScale(run(0, { start: null }), panes(run(0), 900, 300).loss), null);
});

const trial = (number, loss, state = "complete") => ({ number, state, loss, settings: { learning_rate: 10 ** (-4 + number / 3), ranges: number % 2 ? "lsq" : "pact" }, seconds: 9, epochs: 4 });
const search = (list) => ({ trials: list, axes: [{ name: "learning_rate", title: "learning rate", log: true, kinds: null }, { name: "ranges", title: "ranges", log: false, kinds: ["lsq", "pact"] }], best: 2, chosen: 2 });

test("the least loss stands highest, and every line stays within the plot", () => {
  const d = search([trial(0, 0.9), trial(1, 0.4), trial(2, 0.1), trial(3, 0.5, "pruned"), trial(4, null, "failed")]), all = axes(d, 480, 140);
  const ends = Object.fromEntries(lines(d, all).map((l) => [l.number, l.points.at(-1)[1]]));
  assert.ok(ends[2] < ends[1] && ends[1] < ends[0] && !(4 in ends));
  for (const l of lines(d, all)) for (const [x, y] of l.points) assert.ok(x >= 0 && x <= 480 && y >= 0 && y <= 140);
  assert.equal(shownOf(d).at(-1).number, 2, "the best lies on top");
  const shapes = trials(d, 480, 140);
  assert.ok(shapes.some(([t, a]) => t === "path" && a.class.includes("best") && a.class.includes("chosen")));
  assert.ok(shapes.slice(-1)[0][0] === "text", "words lie over the lines");
});

test("one trial alone, and settings that are all alike, can be drawn", () => {
  for (const d of [search([trial(2, 0.3)]), { ...search([trial(2, 0.3), trial(2, 0.3)]), axes: [] }]) for (const y of numbers(trials(d, 300, 120))) assert.ok(Number.isFinite(y));
});

test("a click finds the line under it, and nothing far from all", () => {
  const d = search([trial(0, 0.9), trial(2, 0.1)]), all = axes(d, 480, 140), best = lines(d, all).find((l) => l.number === 2);
  assert.equal(trialAt(d, all, best.points.at(-1)[0], best.points.at(-1)[1]), 2);
  assert.equal(trialAt(d, all, best.points.at(-1)[0], 75, 4), -1);
});

test("the table begins with the best and ends with what failed", () => {
  const d = search([trial(0, null, "failed"), trial(1, 0.4), trial(2, 0.1), trial(3, 0.05, "pruned"), trial(4, null, "running")]);
  assert.deepEqual(ranked(d).map((t) => t.number), [2, 1, 3, 4, 0]);
});

test("a folded group says how many of its settings are set", () => {
  assert.equal(ownIn({ fields: [{ name: "a" }, { name: "b" }] }, { b: 1, c: 2 }), 1);
});

test("the slider of a step size has room where step sizes are, and 0 at its end", () => {
  for (const f of [{ type: "float", minimum: 0, maximum: 10, default: 0.001 }, { type: "float", minimum: 0, maximum: 1e6, default: 1 }, { type: "int", minimum: 0, maximum: 256, default: 2 }]) {
    assert.deepEqual([fromTravel(f, 0), fromTravel(f, 1), travel(f, 0), travel(f, f.maximum)], [0, f.maximum, 0, 1]);
    assert.ok(travel(f, f.default) > 0.2 && travel(f, f.default) < 0.6, `${travel(f, f.default)}`);
    assert.equal(fromTravel(f, travel(f, f.default)), f.default);
    const way = Array.from({ length: 101 }, (_, i) => fromTravel(f, i / 100));
    assert.ok(way.every((v, i) => !i || v >= way[i - 1]), "it only rises");
    for (const v of way) assert.equal(fromTravel(f, travel(f, v)), v);
  }
});
