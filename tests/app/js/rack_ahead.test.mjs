import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import * as Ahead from "../../../app/static/rack_ahead.js";
import * as Keys from "../../../app/static/rack_keys.js";
import * as Layout from "../../../app/static/rack_layout.js";
import * as Predict from "../../../app/static/rack_predict.js";
import * as State from "../../../app/static/rack_state.js";
import { curve, event, hands, rack, scores } from "./rack.fixture.mjs";

const data = JSON.parse(readFileSync(new URL("./rack.foresight.json", import.meta.url)));
const WIDE = 1, BASE = 2, FEW = 3; // detents: w8a16, w8a8, w4a8
function open(more) {
  const S = rack(more);
  Ahead.setData(S, data);
  Ahead.update(S);
  return S;
}
const to = (S, ids, p) => Ahead.between(S, Ahead.hand(S), Ahead.after(S, (other) => State.setTo(other, ids, p)));

test("a reader of the same tensor follows, and nothing is edited by looking", () => {
  const S = open(), A = to(S, [3], WIDE);
  assert.deepEqual(A.follows.map((f) => [f.i, f.from, f.to, f.up]), [[5, "w8a8", "w8a16", true]]);
  assert.deepEqual(A.moved.map((m) => [m.i, m.to, m.runs]), [[3, "w8a16", "w8a16"]]);
  assert.ok(A.boundaries > 0 && A.bops > 0 && A.size === 0);
  assert.deepEqual([S.prec, S.base], [[2, 2, 2, 2, 2, 2, 2], BASE]);
});

test("what was promised is what happens once it is made", () => {
  const S = open(), before = S.now, A = to(S, [3], WIDE);
  State.setTo(S, [3], WIDE);
  const now = Ahead.update(S);
  assert.deepEqual(now.names, A.names);
  assert.deepEqual([now.boundaries - before.boundaries, now.size - before.size, now.bops - before.bops], [A.boundaries, A.size, A.bops]);
  assert.equal(State.effectiveName(S, 5), "w8a16", "and the strips say so at once");
  assert.ok(State.raised(S, 5) && !State.raised(S, 3));
});

test("a weight is raised beside a wide tensor: the follower says why, and strict would refuse it", () => {
  const S = open({ prec: "c5dc" }), A = to(S, [3], WIDE);
  assert.deepEqual(A.follows.map((f) => [f.i, f.from, f.to]), [[5, "w4a8", "w8a16"]]);
  assert.ok(A.strict && A.size > 0 && /raised/.test(A.follows[0].why));
  assert.match(Ahead.words(S, null, A), /^w8a16: 1 neighbour follows \(a\.1\.project → w8a16: its weight is raised.*\), \+\d boundar.*, \+32 B, BOPs \+.*, strict would refuse it$/);
});

test("a selection moves as a whole; an illegal detent leads to the nearest legal one; where nothing changes nothing is said", () => {
  const S = open(), A = to(S, [0, 1, 2], FEW);
  assert.deepEqual(A.moved.map((m) => m.i), [0, 2], "the depthwise layer stays");
  assert.match(Ahead.words(S, null, A), /^2 layers to w4a8: no other layer changes, −64 B/);
  assert.equal(to(S, [1], FEW), null);
  assert.equal(to(S, [4], BASE), null);
});

test("the master says it for all that stand at the base", () => {
  const S = open({ prec: "bc6" }), A = Ahead.between(S, Ahead.hand(S), Ahead.after(S, (other) => State.setBase(other, FEW)));
  assert.deepEqual([A.base, A.moved.length], [FEW, 6]);
  const words = Ahead.words(S, null, A);
  assert.match(words, /^base w4a8, 6 layers at it: −136 B, BOPs −/);
  const only = State.range(1, 6), by = Ahead.between(S, Ahead.hand(S), { ...Ahead.hand(S), prec: S.prec.map((p, i) => (only.includes(i) ? FEW : p)) });
  assert.deepEqual([A.names, A.size, A.bops], [by.names, by.size, by.bops], "the same layers moved one by one come to the same");
});

test("muting a layer and moving a muted one are told as what they are", () => {
  const S = open({ mute: "6" });
  const silent = Ahead.between(S, Ahead.hand(S), { ...Ahead.hand(S), mute: new Set([0, 6]) });
  assert.match(Ahead.words(S, null, silent), /^float: no other layer changes, /);
  const still = to(S, [6], FEW);
  assert.deepEqual([still.moved[0].to, still.names[6], still.follows.length, still.bops], ["w4a8", "fp32", 0, 0], "it stays in float");
});

test("the predicted drop is that of the whole recipe after the move, followers too", () => {
  const S = open(), known = scores(curve), A = to(S, [3], WIDE), told = Ahead.predicted(S, known, A);
  const after = open({ prec: "c3bc3" });
  const found = Predict.headline(known, Predict.sum(after, known)), figure = (x) => (100 * x).toFixed(2).replace("-", "−");
  assert.equal(told, `predicted drop ${figure(found.drop)} [${figure(found.low)}, ${figure(found.high)}] pp`);
  assert.match(Ahead.predicted(S, scores(), A), /^estimate score .* nats$/);
  const lacking = scores(curve);
  delete lacking.scores["a.1.project"].w8a16;
  assert.equal(Ahead.predicted(S, lacking, A), "drop not predicted: no score of a.1.project at w8a16");
});

test("without the rules, or with a detent that they do not know, nothing is foreseen and the rack works as before", () => {
  const S = rack();
  assert.equal(to(S, [3], WIDE), null);
  Ahead.setData(S, { ...data, types: data.types.map((t) => (t === "int4" ? "int5" : t)) });
  assert.equal(S.F, null);
  assert.equal(Ahead.update(S), null);
  assert.equal(State.effectiveName(S, 3), "w8a8");
});

test("Shift with arrows looks ahead from where it looked, Enter takes it, anything else leaves it", () => {
  const S = open({ sel: "2-3", cur: 3 }), R = hands(S, Layout.layout(S, 800, "compact", new Set()), Layout.faderGrid(4));
  R.look = (looking) => (R.looking = looking);
  const press = (key, more) => Keys.key(R, event({ key, ...more }));
  press("ArrowUp", { shiftKey: true });
  press("ArrowUp", { shiftKey: true });
  assert.deepEqual([R.looking.prec.slice(2, 4), S.prec.slice(2, 4)], [[0, 0], [2, 2]]);
  assert.ok(!R.said.some((s) => s.startsWith("commit")));
  press("Enter");
  assert.deepEqual([S.prec.slice(2, 4), R.said.at(-1)], [[0, 0], "commit key"]);
  R.looking = null;
  press("Enter");
  assert.equal(R.said.filter((s) => s === "commit key").length, 1, "Enter alone is no edit");
  Keys.masterKey(R, event({ key: "ArrowDown", shiftKey: true }));
  assert.deepEqual([R.looking.base, S.base], [FEW, BASE]);
  Keys.masterKey(R, event({ key: "Enter" }));
  assert.deepEqual([S.base, R.said.at(-1)], [FEW, "commit master"]);
});
