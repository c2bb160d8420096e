// What a move would bring, painted before it is made: dashed chips where strips would run, a wedge at those that would follow.
const q = new URL(import.meta.url).search;
const { Y } = await import(`./rack_layout.js${q}`);
const { box, font, text } = await import(`./rack_brush.js${q}`);
const { detentOf, effectiveName, rowOf } = await import(`./rack_state.js${q}`);

// By strip: what would follow there, and what would move (in a drag the caps show that themselves).
function marks(V) {
  const found = new Map(), at = (i) => V.L.items[V.L.itemOf[i]], put = (it, key, m) => (found.get(it) ?? found.set(it, { follows: [], moved: [] }).get(it))[key].push(m);
  for (const f of V.ahead.follows) put(at(f.i), "follows", f);
  if (!V.dragging) for (const m of V.ahead.moved.filter((m) => !V.S.mute.has(m.i))) put(at(m.i), "moved", { ...m, to: m.runs });
  return found;
}

export function ghosts(x, V, left, right) {
  if (!V.ahead) return;
  for (const [it, { follows, moved }] of marks(V)) {
    if (it.x + it.w < left || it.x > right) continue;
    const first = follows[0] ?? moved[0], y = V.grid.y(rowOf(V.S, first.to)), color = first.illegal ? V.t.hot : V.t.accent;
    x.strokeStyle = x.fillStyle = color;
    V.L.tiny ? tiny(x, it, y) : chip(x, V, it, y, first, follows.length + moved.length);
    x.fillStyle = color;
    if (follows.length) wedge(x, it.x + it.w / 2, Y.head + (V.L.tiny ? 13 : -4), first.up, V.L.tiny ? Math.min(3, it.w / 2) : 4);
  }
}

function tiny(x, it, y) {
  x.lineWidth = 1.5;
  x.strokeRect(it.x + 0.5, y - 4, Math.max(2, it.w - 1), 8);
  x.lineWidth = 1;
}

function chip(x, V, it, y, first, count) {
  const { S, L, t, grid } = V, cx = it.x + it.w / 2, h = grid.cap, wide = L.density === "console", w = Math.min(it.w - 2, wide ? 44 : 30);
  const from = grid.y(rowOf(S, effectiveName(S, first.i)));
  x.setLineDash([3, 2]);
  x.lineWidth = 1.5;
  if (Math.abs(from - y) > h) {
    x.beginPath();
    x.moveTo(cx, from + Math.sign(y - from) * (h / 2));
    x.lineTo(cx, y - Math.sign(y - from) * (h / 2));
    x.stroke();
  }
  box(x, cx - w / 2 + 0.75, y - h / 2 + 0.75, w - 1.5, h - 1.5, 2.5);
  x.fillStyle = t.surface;
  x.fill();
  x.stroke();
  x.setLineDash([]);
  x.lineWidth = 1;
  const words = it.group && count > 1 ? `×${count}` : wide ? first.to.toUpperCase() : (S.precisions[detentOf(S, first.to)]?.cap ?? "…");
  if (w >= 17) font(x, 650, words.length > 3 && w < 24 ? 8 : 9), text(x, words, cx, y + 1, t.text);
}

// Up for more bits, down for fewer: a shape, so that colour is never the only sign.
function wedge(x, cx, y, up, r) {
  x.beginPath();
  for (const [a, b] of up ? [[-r, r], [0, -r], [r, r]] : [[-r, -r], [0, r], [r, -r]]) x.lineTo(cx + a, y + b);
  x.fill();
}

// On the minimap, for followers that are out of view.
export function onMap(x, V, k) {
  if (!V.ahead) return;
  for (const [it, { follows }] of marks(V)) {
    if (!follows.length) continue;
    x.fillStyle = follows[0].illegal ? V.t.hot : V.t.accent;
    wedge(x, it.x * k + Math.max(1, (it.w * k) / 2), 4, follows[0].up, 3);
  }
}
