import assert from "node:assert/strict";
import { test } from "node:test";
import { level, cuts, tone, costs, layerBytes, points } from "../../../app/static/rack_scale.js";
import * as Predict from "../../../app/static/rack_predict.js";
import { predicted } from "../../../app/static/predict.js";
import { levelOf, scoreOf } from "../../../app/static/rack_meter.js";
import * as State from "../../../app/static/rack_state.js";
import * as Words from "../../../app/static/rack_words.js";
import { curve, rack, rules, scores } from "./rack.fixture.mjs";

const view = (S, s) => ({ S, scores: s, unit: "kl", ...Predict.view(s, S.n, { score: 0.03 }) });

test("the meter spans three decades around the fair share, amber above twice, red above six times", () => {
  assert.equal(level(0, 1), 0);
  assert.equal(level(1e9, 1), 1);
  assert.ok(Math.abs(level(10, 1) - level(1, 1) - 1 / 3) < 1e-9, "a decade is a third");
  assert.deepEqual([1.9, 2.1, 5.9, 6.1].map((k) => tone(level(k, 1))), ["ok", "mid", "mid", "hot"]);
  assert.equal(tone(level(6.1, 1), 3), "mid", "a block's marks are those of its members together");
  assert.ok(cuts(2)[0] > cuts(1)[0]);
});

test("the sum is that of Python's formula, over what runs", () => {
  const S = rack({ prec: "d2c5", eff: "_c_5", mute: "6" }), s = scores(curve), now = Predict.precisionsOf(S);
  assert.deepEqual([now["a.0.expand"], now["a.0.depthwise"], now.head, now["*"]], ["w4a8", "w8a8", "fp32", "w8a8"]);
  const whole = Predict.sum(S, s), told = predicted({ ...curve, scores: s.scores, noise: { rows: {}, per_score: null } }, now);
  assert.equal(whole.score, told.sum);
  assert.equal(Predict.headline(s, whole).drop, told.value);
  assert.equal(whole.missing, 0);
});

test("a solo leaves all else in float, the rest of the graph too", () => {
  const S = rack({ solo: "3" });
  assert.equal(Predict.sum(S, scores()).score, 0.004);
});

test("without a score nothing is predicted, and the meter says that it does not know", () => {
  const S = rack({ prec: "dc6" }), s = scores(curve);
  delete s.scores["a.0.expand"].w4a8;
  assert.equal(Predict.sum(S, s).missing, 1);
  assert.deepEqual(Predict.headline(s, Predict.sum(S, s)), {});
  assert.equal(levelOf(view(S, s), { ids: [0] }), null);
  assert.equal(scoreOf(view(S, null), [0]), null);
});

test("bytes and bit operations follow the hand from Python's totals", () => {
  const S = rack();
  assert.deepEqual(costs(S), { size: 2800, bops: 448000 });
  State.setTo(S, [2], 3);
  assert.deepEqual(costs(S), { size: 2800 - 300 / 2, bops: 448000 - 1000 * 32 });
  State.toggle(S, "mute", [0]);
  assert.equal(costs(S).size, 2800 - 150 + 100 * 3);
  assert.equal(layerBytes(S, 0, null), 440);
});

test("words: figures, the card over a detent, and what a screen reader hears", () => {
  assert.deepEqual([points(0), points(0.00004), points(0.0421), points(0.5), points(2.345)], ["0", "~0", "0.042", "0.50", "2.3"]);
  const S = rack({ prec: "cdc5", eff: "_c_5", why: { 1: "INT4 is not there" } }), V = view(S, scores(curve)), it = { ids: [1], group: false };
  assert.match(Words.speech(V, it), /^w4a8, runs at w8a8, predicted loss .* points, not legal on this target$/);
  const card = Words.card(V, { it, zone: "fader", p: 3 }, false);
  assert.equal(card.no, rules.reasons[1]);
  const here = Words.card(V, { it, zone: "strip", p: 0 }, false);
  assert.deepEqual(here.rows.slice(0, 2), [["asked", "w4a8"], ["runs at", "w8a8"]]);
  assert.equal(here.why, "INT4 is not there");
  assert.equal(Words.card(V, { it: { ids: [0], group: false }, zone: "fader", p: 3 }, false).rows[0].join(), "would be,w4a8");
});

test("the master says what follows it, and over a detent what would", () => {
  const S = rack({ prec: "dcbc4" }), V = view(S, null);
  assert.equal(Words.masterSpeech(S), "w8a8, 5 layers at the base, 2 set by hand");
  const card = Words.masterCard(V, 3);
  assert.deepEqual(card.rows, [["would be", "w4a8"], ["would follow", "5 layers"], ["set by hand", "2 layers"]]);
  assert.equal(card.why, "Layers set by hand stay where they are. 1 of them says w4a8 already and will follow the base from then on.");
  assert.equal(Words.masterSpeech(rack()), "w8a8, 7 layers at the base");
  assert.equal(Words.masterCard(view(rack(), null), null).why, "");
});

test("bytes follow the base, and what the target raises is counted as raised", () => {
  const S = rack();
  State.setBase(S, 3);
  assert.equal(costs(S).size, 2800 - (2800 - 200 - 500) / 2, "the two depthwise layers keep eight bits");
});
