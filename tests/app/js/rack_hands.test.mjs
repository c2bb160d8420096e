import assert from "node:assert/strict";
import { test } from "node:test";
import * as Input from "../../../app/static/rack_input.js";
import * as Keys from "../../../app/static/rack_keys.js";
import * as Layout from "../../../app/static/rack_layout.js";
import { event, hands, rack } from "./rack.fixture.mjs";

const grid = Layout.faderGrid(4);
function open(density = "compact", more = {}) {
  const S = rack(more), L = Layout.layout(S, 800, density, new Set());
  return hands(S, L, grid, density);
}
const at = (R, i, y) => Layout.hit(R.S, R.L, R.grid, R.L.items[i].x + R.L.items[i].w / 2, y);
const drag = (R, from, to, e = event()) => (Input.down(R, from, e), Input.move(R, to, e), Input.up(R));

test("a cap drags all selected faders; nothing is sent before the hand lets go", () => {
  const R = open("compact", { sel: "0-2" });
  Input.down(R, at(R, 2, grid.y(2)), event());
  Input.move(R, at(R, 2, grid.y(3)), event());
  assert.deepEqual(R.S.prec.slice(0, 4), [3, 2, 3, 2], "the depthwise layer stays where it is legal");
  assert.ok(R.said.includes("moved") && !R.said.some((s) => s.startsWith("commit")));
  Input.up(R);
  assert.equal(R.said.filter((s) => s.startsWith("commit")).length, 1);
});

test("a drag that ends where it began commits nothing", () => {
  const R = open();
  Input.down(R, at(R, 0, grid.y(2)), event());
  Input.move(R, at(R, 0, grid.y(3)), event());
  Input.move(R, at(R, 0, grid.y(2)), event());
  Input.up(R);
  assert.ok(!R.said.some((s) => s.startsWith("commit")) && R.said.includes("rest"));
});

test("alt drags relatively, a click on a detent jumps there, a double click goes back to the base", () => {
  const R = open("compact", { prec: "abc5", sel: "0-2" });
  drag(R, at(R, 1, grid.y(1)), at(R, 1, grid.y(2)), event({ altKey: true }));
  assert.deepEqual(R.S.prec.slice(0, 3), [1, 2, 3]);
  const click = open();
  Input.down(click, at(click, 4, grid.y(0)), event());
  Input.up(click);
  assert.equal(click.S.prec[4], 0);
  Input.doubled(click, at(click, 4, grid.y(0)));
  assert.equal(click.S.prec[4], 2);
});

test("Escape in a drag puts everything back", () => {
  const R = open("compact", { sel: "5", cur: 5 });
  Input.down(R, at(R, 0, grid.y(2)), event());
  Input.move(R, at(R, 0, grid.y(0)), event());
  Input.cancel(R);
  assert.deepEqual([R.S.prec[0], [...R.S.sel], R.S.cur, R.drag], [2, [5], 5, null]);
});

test("Overview paints along the lanes, and with a selection it is a fader again", () => {
  const R = open("overview");
  drag(R, at(R, 2, grid.y(3)), at(R, 6, grid.y(3)));
  assert.deepEqual(R.S.prec, [2, 2, 3, 3, 2, 3, 3]);
  const many = open("overview", { sel: "2-3" });
  drag(many, at(many, 2, grid.y(2)), at(many, 6, grid.y(3)));
  assert.deepEqual(many.S.prec, [2, 2, 3, 3, 2, 2, 2]);
});

test("marquee over meters; Ctrl adds; a plain click picks", () => {
  const R = open();
  drag(R, at(R, 1, 130), at(R, 4, 150));
  assert.deepEqual([...R.S.sel], [1, 2, 3, 4]);
  drag(R, at(R, 6, 130), at(R, 6, 130), event({ ctrlKey: true }));
  assert.ok(R.S.sel.has(6) && R.S.sel.has(1));
  drag(R, at(R, 0, 130), at(R, 0, 130));
  assert.deepEqual([...R.S.sel], [0]);
});

test("keys of a strip act on the selection it belongs to; brackets select and fold", () => {
  const R = open("compact", { sel: "0-2" });
  Input.down(R, at(R, 1, Layout.Y.keys + 20), event());
  assert.deepEqual([...R.S.mute], [0, 1, 2]);
  Input.down(R, { ...at(R, 4, 8), x: R.L.blocks[1].x + 30 }, event());
  assert.deepEqual([...R.S.sel], [3, 4, 5]);
  Input.down(R, { ...at(R, 4, 8), x: R.L.blocks[1].x + 4 }, event());
  assert.ok(R.said.includes("fold a.1 true"));
});

test("the master drags the base past a layer set by hand; Escape puts the base back", () => {
  const R = open("compact", { prec: "bc6" });
  assert.equal(Input.masterDown(R, 100), false);
  assert.equal(Input.masterDown(R, grid.y(1)), true, "over the hand-set one");
  Input.move(R, { p: 3 }, event());
  assert.deepEqual([R.S.base, ...R.S.prec], [3, 1, 3, 3, 3, 3, 3, 3], "what stood elsewhere when the hand came stays there");
  Input.cancel(R);
  assert.deepEqual([R.S.base, ...R.S.prec], [2, 1, 2, 2, 2, 2, 2, 2]);
  Input.masterDown(R, grid.y(3));
  Input.up(R);
  assert.deepEqual(R.said.filter((s) => s.startsWith("commit")), ["commit master"]);
  Input.masterDown(R, grid.y(3));
  Input.up(R);
  assert.equal(R.said.filter((s) => s.startsWith("commit")).length, 1, "a press where it stands is no edit");
});

test("the master by keys: up is more bits, Home the fewest, digits straight to a detent", () => {
  const R = open(), press = (key, more) => Keys.masterKey(R, event({ key, ...more }));
  const at = [];
  for (const key of ["ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight", "Home", "ArrowDown", "End", "PageDown", "3"]) press(key), at.push(R.S.base);
  assert.deepEqual(at, [1, 2, 3, 2, 3, 3, 0, 1, 2]);
  assert.equal(R.said.filter((s) => s === "commit master").length, 8);
  assert.equal(press("z", { ctrlKey: true }), false);
  assert.equal(press("Tab"), false);
});

test("the keyboard grammar", () => {
  const R = open(), press = (key, more) => Keys.key(R, event({ key, ...more }));
  press("ArrowRight");
  press("ArrowRight", { shiftKey: true });
  assert.deepEqual([...R.S.sel], [1, 2]);
  press("End");
  press("Home");
  assert.equal(R.S.cur, 0);
  press("PageDown");
  assert.equal(R.S.cur, 3);
  press("4");
  assert.equal(R.S.prec[3], 3);
  press("ArrowUp");
  assert.equal(R.S.prec[3], 2);
  press("s");
  press("m");
  assert.deepEqual([[...R.S.solo], [...R.S.mute]], [[3], [3]]);
  press("Escape");
  assert.equal(R.S.solo.size, 0);
  press("a", { ctrlKey: true });
  assert.equal(R.S.sel.size, 7);
  press("1");
  press("Backspace");
  assert.deepEqual(R.S.prec, [2, 2, 2, 2, 2, 2, 2]);
  press("d");
  press("x");
  press("g");
  assert.deepEqual(R.said.filter((s) => /^(density|flip|fold)/.test(s)), ["density overview", "flip", "fold a.1 true"]);
  assert.equal(press("z", { ctrlKey: true }), false, "undo belongs to the window");
  assert.equal(press("Tab"), false);
});
