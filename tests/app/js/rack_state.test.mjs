import assert from "node:assert/strict";
import { test } from "node:test";
import * as State from "../../../app/static/rack_state.js";
import { live, rack } from "./rack.fixture.mjs";

test("states travel as letters with runs counted, sets as ranges", () => {
  assert.equal(State.pack([2, 2, 2, 3, -1, -1]), "c3d_2");
  assert.deepEqual(State.unpack("c3d_2"), [2, 2, 2, 3, -1, -1]);
  assert.equal(State.packSet([7, 0, 1, 2, 4]), "0-2,4,7");
  assert.deepEqual([...State.unpackSet("0-2,4")], [0, 1, 2, 4]);
  assert.deepEqual([...State.unpackSet("")], []);
});

test("layers fall into blocks in execution order", () => {
  assert.deepEqual(rack().blocks, [{ name: "a.0", i0: 0, n: 3 }, { name: "a.1", i0: 3, n: 3 }, { name: "head", i0: 6, n: 1 }]);
});

test("an older answer never overwrites a newer hand", () => {
  const S = rack();
  State.setTo(S, [0], 3);
  S.seq = 2;
  assert.equal(State.adopt(S, live({ ack: 1 })), "");
  assert.equal(S.prec[0], 3, "the hand is ahead of the answer");
  State.adopt(S, live({ ack: 2, prec: "dc6", token: "2" }));
  assert.equal(S.prec[0], 3);
  assert.equal(S.token, "2");
  State.adopt(S, live({ ack: 2 }));
  assert.equal(S.prec[0], 2, "an undo elsewhere is taken over: nothing newer is on its way");
});

test("a server that was restarted counts anew, and is believed", () => {
  const S = rack();
  S.seq = 9;
  assert.equal(State.adopt(S, live({ ack: 0 })), "");
  State.adopt(S, live({ ack: 0, memory: "n", prec: "dc6" }));
  assert.deepEqual([S.seq, S.prec[0]], [0, 3]);
});

test("an illegal detent gives way to the nearest legal one, and by keys only in their direction", () => {
  const S = rack();
  State.setTo(S, [0, 1], 3);
  assert.deepEqual(S.prec.slice(0, 2), [3, 2]);
  assert.equal(State.nudge(S, [1], 1), false, "there is nothing legal below");
  assert.equal(State.nudge(S, [1], -1), true);
  assert.equal(S.prec[1], 1);
});

test("alt drag moves each by the same number of detents", () => {
  const S = rack({ prec: "abc5" });
  State.shift(S, [0, 1, 2], [...S.prec], 1);
  assert.deepEqual(S.prec.slice(0, 3), [1, 2, 3]);
});

test("selection: alone, extended from the anchor, toggled; never empty", () => {
  const S = rack();
  State.pick(S, [2]);
  State.pick(S, [5], { extend: true });
  assert.deepEqual([...S.sel], [2, 3, 4, 5]);
  State.pick(S, [3], { add: true });
  assert.deepEqual([...S.sel], [2, 4, 5]);
  State.pick(S, [6]);
  State.pick(S, [6], { add: true });
  assert.deepEqual([...S.sel], [6]);
});

test("what runs is what the graph made of a request, until the hand moves it", () => {
  const S = rack({ prec: "dc6", eff: "c_6" });
  assert.ok(State.raised(S, 0));
  assert.equal(State.effectiveName(S, 0), "w8a8");
  State.setTo(S, [0], 1);
  assert.equal(State.effectiveName(S, 0), "w8a16");
  const odd = rack({ prec: "dc6", eff: "e_6", extra: ["w8a12"] });
  assert.equal(State.effectiveName(odd, 0), "w8a12", "a precision that is no detent is named all the same");
});

test("a document carries the whole state and where it came from", () => {
  const S = rack();
  State.toggle(S, "mute", [1, 2]);
  S.seq = 4;
  assert.deepEqual(State.doc(S, "g", "mute"), { seq: 4, graph: "g", from: "1", why: "mute", prec: "c7", base: 2, mute: "1-2", solo: "", sel: "0", cur: 0 });
});

test("solo: only the soloed sound, muted ones never", () => {
  const S = rack({ solo: "1,2", mute: "2" });
  assert.deepEqual([0, 1, 2].map((i) => State.heard(S, i)), [false, true, false]);
});

test("the master moves the base: layers at it follow, those set by hand stay, and one that the target refuses runs with more bits", () => {
  const S = rack({ prec: "cbc5", stay: "6" });
  assert.equal(State.setBase(S, 3), true);
  assert.deepEqual([S.base, ...S.prec], [3, 3, 1, 3, 3, 3, 3, 2]);
  assert.equal(State.effectiveName(S, 4), "w8a8", "depthwise refuses four bits: more bits are what it will get");
  assert.deepEqual([1, 6, 0].map((i) => State.byHand(S, i)), [true, true, false]);
  assert.equal(State.setBase(S, 3), false);
  assert.equal(State.doc(S, "g", "master").base, 3);
});
