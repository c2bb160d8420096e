import assert from "node:assert/strict";
import { test } from "node:test";
import { areas, falls, span } from "../../../app/static/falls_draw.js";
import * as layout from "../../../app/static/gains_layout.js";
import { gainsPaint } from "../../../app/static/gains_paint.js";
import { mirror, spans } from "../../../app/static/plots_mirror.js";

const stage = (kind, v, more = {}) => ({ kind, v, from: v - 1, lo: v - 0.2, hi: v + 0.2, label: kind, sub: "", text: "x", tone: "ok", sqnr: v / 3, sqnrText: "1", hover: "h", place: 0, ...more });
const chain = (...stages) => ({ theme: "dark", unit: "%", points: "pp", stages, float: 92, floatText: "float 92.00", words: "" });
const ys = (shapes) => shapes.flatMap(([, a]) => [a.y, a.y1, a.y2, a.cy, a.y !== undefined && a.height ? a.y + a.height : undefined].filter((v) => v !== undefined));

test("everything of the waterfall is inside its frame, for one step and for twelve", () => {
  for (const n of [1, 2, 5, 12])
    for (const w of [520, 980]) {
      const d = chain(stage("start", 30), ...Array.from({ length: n }, (_, i) => stage("step", 31 + i * 4, { harm: i === 1, tone: i === 1 ? "hot" : "ok" })), stage("end", 31 + n * 4));
      const shapes = falls(d, w, 308), g = areas(d, w, 308);
      for (const y of ys(shapes)) assert.ok(y >= 0 && y <= 308, `${y}`);
      for (let i = 0; i < d.stages.length; i++) assert.ok(g.x(i) - g.bar / 2 > 50 && g.x(i) + g.bar / 2 < w - 60);
    }
});

test("a bar goes from the value before to the value after, upwards for a gain", () => {
  const d = chain(stage("start", 80), stage("step", 84, { from: 80 }), stage("step", 82, { from: 84, tone: "hot", harm: true }));
  const shapes = falls(d, 900, 308), bars = shapes.filter(([t, a]) => t === "rect" && a.class.startsWith("bar"));
  const [up, down] = bars.map(([, a]) => a);
  assert.ok(Math.abs(up.y - down.y) < 1e-9, "both begin or end at the same level");
  assert.ok(down.height < up.height && down.class.includes("hot"));
  assert.ok(shapes.some(([t, , text]) => t === "text" && text.startsWith("▼ ")), "harm is said by form too");
});

test("the scale holds the float line and the whiskers, and is never narrower than half a point", () => {
  const d = chain(stage("start", 91.99, { lo: 91.98, hi: 92, from: null }));
  const [a, b] = span(d);
  assert.ok(a < 91.98 && b > 92 && b - a >= 0.5);
  assert.deepEqual(span({ ...chain(), float: null }), [0, 1]);
});

test("steps that are not measured are places without numbers, and fill while they run", () => {
  const ghost = { kind: "ghost", label: "gptq", sub: "runs now", now: true, share: 0.5, hover: "", text: "" };
  const shapes = falls({ ...chain(ghost), float: null }, 900, 308);
  assert.ok(shapes.some(([, a]) => a.class === "filling") && shapes.some(([, , t]) => t === "50 %"));
  assert.ok(!shapes.some(([, a]) => a.class === "grid"), "no scale where nothing is known");
});

const layers = (n) => ({ layers: Array.from({ length: n }, (_, i) => `b${Math.floor(i / 3)}.conv${i}`), labels: Array.from({ length: n }, (_, i) => `b${Math.floor(i / 3)}.c${i}`), before: Array.from({ length: n }, (_, i) => 10 + (i % 7)), after: Array.from({ length: n }, (_, i) => (i % 5 ? 14 + (i % 3) : null)), notes: [], selected: 2 });

test("layers: a point finds its layer, levels stay inside, many layers fit", () => {
  for (const n of [1, 9, 21, 300]) {
    const d = layers(n), g = layout.place(d, 560, 260);
    for (let i = 0; i < n; i++) assert.equal(layout.layerAt(g, layout.xOf(g, i), 30), i);
    assert.equal(layout.layerAt(g, 5, 30), -1);
    assert.equal(layout.layerAt(g, 559.9, 30), -1);
    for (const v of layout.levels(g)) assert.ok(layout.yOf(g, v) >= g.top - 1e-9 && layout.yOf(g, v) <= g.bottom + 1e-9);
    assert.ok(layout.levels(g).length <= 6);
    assert.equal(layout.next(g, 0, "End"), n - 1);
    assert.equal(layout.next(g, n - 1, "ArrowRight"), n - 1);
    assert.equal(layout.next(g, -1, "Home"), 0);
  }
});

test("a tenth of a decibel is nothing; what is not known is neither", () => {
  assert.equal(layout.tone(10, 10.05), "same");
  assert.equal(layout.tone(10, 11), "better");
  assert.equal(layout.tone(10, 9), "worse");
  assert.equal(layout.tone(null, 9), "none");
});

test("painting: a layer that got worse ends in a triangle of the colour of harm", () => {
  const calls = [], ctx = new Proxy({}, { get: (t, k) => t[k] ?? ((...a) => calls.push([k, t.fillStyle, ...a])), set: (t, k, v) => ((t[k] = v), true) });
  const d = { ...layers(3), before: [10, 10, 10], after: [12, 7, 10.01] }, g = layout.place(d, 560, 260);
  const c = { surface: "S", soft: "s", line: "l", text: "t", text2: "t2", text3: "t3", accent: "A", select: "sel", ok: "OK", hot: "HOT" };
  gainsPaint(ctx, g, d, c, { hover: -1, at: -1, focus: false }, layout);
  assert.ok(calls.some(([k, fill]) => k === "fill" && fill === "HOT") && calls.some(([k, fill]) => k === "fill" && fill === "OK"));
  assert.equal(calls.filter(([k]) => k === "fillText").length, 3 + layout.levels(g).length);
});

test("back to back: before above the middle line, after below it, on one axis", () => {
  const side = (counts) => ({ edges: [-1, 0, 1], counts, clip: [-0.4, 0.9] });
  const shapes = mirror({ before: side([5, 9]), after: side([0, 12]), title: "weight value" }, 400, 160);
  const bars = shapes.filter(([t, a]) => t === "rect" && a.class.startsWith("bar")).map(([, a]) => a), mid = (4 + 128) / 2;
  assert.equal(bars.length, 3, "an empty bin has no bar");
  assert.ok(bars[0].y + bars[0].height <= mid + 1e-9 && bars[1].y + bars[1].height <= mid + 1e-9 && Math.abs(bars[2].y - mid) < 1e-9);
  assert.ok(bars[0].class.includes("hot"), "outside the clip line");
  assert.equal(bars[1].x, bars[2].x);
});

test("channels: an outline for before over the bar for after", () => {
  const shapes = spans({ before: { low: [-1, -2], high: [1, 2] }, after: { low: [-1, -1], high: [1, 1] }, title: "channel" }, 400, 100);
  assert.equal(shapes.filter(([, a]) => a.class === "outline").length, 2);
  const many = { low: Array(300).fill(-1), high: Array(300).fill(1) };
  assert.ok(spans({ before: many, after: many, title: "" }, 300, 100).every(([, a]) => a.class !== "outline"), "too narrow for outlines");
});
