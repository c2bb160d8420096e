// One channel strip: head, keys, meter, fader, size. `V` is the view: state S, layout L, fader grid, tokens t, scores, unit.
const q = new URL(import.meta.url).search;
const { Y } = await import(`./rack_layout.js${q}`);
const { byHand, detentOf, effective, effectiveName, raised, rowOf } = await import(`./rack_state.js${q}`);
const { box, font, glyph, kindOf, text } = await import(`./rack_brush.js${q}`);
const { meter } = await import(`./rack_meter.js${q}`);
const { layerBytes } = await import(`./rack_scale.js${q}`);

export function strip(x, V, it) {
  const { S, L, t } = V, x0 = Math.round(it.x), x1 = Math.round(it.x + it.w);
  const solo = it.ids.some((i) => S.solo.has(i)), mute = it.ids.every((i) => S.mute.has(i)), faint = mute || (S.solo.size > 0 && !solo);
  const selected = it.ids.some((i) => S.sel.has(i)), at = { cx: it.x + it.w / 2, solo, mute, faint, selected, alpha: faint ? 0.5 : 1 };
  if (selected || V.hover?.it === it) {
    x.fillStyle = t.select;
    x.globalAlpha = selected ? 1 : 0.55;
    x.fillRect(x0, Y.head - 2, x1 - x0, Y.name - Y.head - 2);
    x.globalAlpha = 1;
  }
  head(x, V, it, at);
  if (L.density !== "overview") keys(x, V, it, at);
  x.globalAlpha = at.alpha;
  meter(x, V, it, at);
  if (L.tiny) tinyFader(x, V, it, at);
  else fader(x, V, it, at);
  x.globalAlpha = 1;
  sizeBar(x, V, it, at.cx);
  if (it.ids.includes(S.cur)) {
    x.strokeStyle = t.accent;
    x.lineWidth = V.focused ? 2 : 1;
    box(x, x0 + 0.5, Y.head - 2.5, Math.max(3, x1 - x0 - 1), Y.name - Y.head - 1, 3);
    x.stroke();
    x.lineWidth = 1;
  }
}

function head(x, V, it, { cx, solo, mute }) {
  const { S, L, t } = V, m = L.tiny ? 0.5 : 2;
  const kinds = it.ids.map((i) => S.layers[i].k), w = (it.w - 2 * m) / kinds.length;
  kinds.forEach((k, n) => {
    x.fillStyle = t[kindOf(k)];
    x.fillRect(it.x + m + n * w, Y.head, Math.max(1, w - (kinds.length > 1 && !L.tiny ? 1 : 0)), L.tiny && !it.group ? 8 : 4);
  });
  if (L.density === "overview" && !L.tiny && (solo || mute)) {
    font(x, 700, 9);
    text(x, solo ? "S" : "M", cx, Y.head + 13, solo ? t.mid : t.accent);
  } else if (it.group) {
    if (it.w > 16) font(x, 600, 10), text(x, "×" + it.ids.length, cx, Y.head + 13, t.text2);
  } else if (!L.tiny) glyph(x, t, kinds[0], cx, Y.head + 13, 4.2);
}

function keys(x, V, it, { cx, solo }) {
  const { S, L, t } = V, muted = it.ids.some((i) => S.mute.has(i)), wide = L.density === "console";
  const w = wide ? Math.min(22, (it.w - 9) / 2) : Math.min(18, it.w - 5);
  const places = wide ? [[cx - w - 1, Y.keys], [cx + 1, Y.keys]] : [[cx - w / 2, Y.keys - 1], [cx - w / 2, Y.keys + 15]];
  const h = wide ? 15 : 14;
  for (const [n, [letter, on, paint, ink]] of [["S", solo, t.mid, t["solo-ink"]], ["M", muted, t.accent, t["accent-ink"]]].entries()) {
    const [kx, ky] = places[n];
    x.fillStyle = on ? paint : t.raised;
    box(x, kx, ky, w, h, 2.5);
    x.fill();
    if (!on) (x.strokeStyle = t.line), x.stroke();
    font(x, 650, 9);
    text(x, letter, kx + w / 2, ky + h / 2 + 0.5, on ? ink : t.text2);
  }
}

function tinyFader(x, V, it, at) {
  const { S, t, grid } = V, all = it.ids.map((i) => S.prec[i]), y = grid.y(Math.min(...all)), w = Math.max(2, it.w - 1);
  x.fillStyle = at.selected ? t.accent : t.text3;
  x.globalAlpha = at.alpha * 0.32;
  x.fillRect(it.x + 0.5, y, w, grid.end + 8 - y);
  x.globalAlpha = at.alpha;
  x.fillStyle = at.selected ? t.accent : it.ids.every((i) => S.prec[i] === S.base) ? t.text2 : t.text;
  x.fillRect(it.x + 0.5, y - 3, w, 6);
  if (all.some((p) => p !== all[0])) x.fillRect(it.x + 0.5, y, w, grid.y(Math.max(...all)) - y + 3);
  if (!it.group && raised(S, it.ids[0])) x.fillRect(it.x + 0.5, effectiveY(V, it.ids[0]), w, 1.5);
}

const effectiveY = (V, i) => V.grid.y(rowOf(V.S, effectiveName(V.S, i)));

function fader(x, V, it, at) {
  const { S, L, t, grid } = V, { cx } = at, all = it.ids.map((i) => S.prec[i]);
  const top = grid.y(Math.min(...all)), bottom = grid.y(Math.max(...all)), mixed = top !== bottom, wide = L.density === "console";
  x.fillStyle = t.lane;
  box(x, cx - 2, grid.y(0) - 8, 4, grid.end - grid.y(0) + 16, 2);
  x.fill();
  for (let p = 0; p < grid.count; p += 1) detent(x, t, cx, grid.y(p), it.ids.every((i) => S.no[i][p]), L.density === "overview" ? 4 : 6, wide);
  const w = Math.min(it.group && L.density !== "overview" ? it.w - 6 : it.w - (L.density === "overview" ? 3 : 2), wide ? 44 : 30);
  if (mixed) {
    x.fillStyle = t.cap2;
    x.globalAlpha = at.alpha * 0.8;
    x.fillRect(cx - 1.5, top, 3, bottom - top);
    for (const p of all) x.fillRect(cx - w / 2 + 2, grid.y(p) - 1, w - 4, 2);
    x.globalAlpha = at.alpha;
  } else if (!it.group && raised(S, it.ids[0])) effectiveMark(x, V, it.ids[0], cx, w, top);
  cap(x, V, it, at, (top + bottom) / 2, w, mixed);
}

function detent(x, t, cx, y, crossed, half, wide) {
  if (!crossed) {
    x.fillStyle = wide ? t.text3 : t.tick;
    x.fillRect(cx - half, y, half - 2, 1);
    x.fillRect(cx + 2, y, half - 2, 1);
    return;
  }
  x.strokeStyle = t.text3;
  x.beginPath();
  for (const s of [-1, 1]) x.moveTo(cx - 3 * s, y - 2.5), x.lineTo(cx + 3 * s, y + 3.5);
  x.stroke();
}

// Asked for one precision, runs at another: a frame where it runs, tied to the cap where it was asked for.
function effectiveMark(x, V, i, cx, w, from) {
  const { t, grid } = V, y = effectiveY(V, i), h = grid.cap - 2;
  x.strokeStyle = t.ghost;
  x.fillStyle = t.chassis;
  x.lineWidth = 1.2;
  box(x, cx - w / 2 + 1, y - h / 2, w - 2, h, 2.5);
  x.fill();
  x.stroke();
  x.beginPath();
  x.moveTo(cx, from);
  x.lineTo(cx, y + (from > y ? h / 2 : -h / 2));
  x.stroke();
  x.lineWidth = 1;
  if (w >= 17 && Math.abs(from - y) > grid.cap - 3) font(x, 600, 8), text(x, V.L.density === "console" ? effectiveName(V.S, i).toUpperCase() : (V.S.precisions[detentOf(V.S, effectiveName(V.S, i))]?.cap ?? "…"), cx, y + 0.5, t.text2);
}

function cap(x, V, it, at, y, w, mixed) {
  const { S, L, t, grid } = V, h = grid.cap, quiet = !mixed && S.prec[it.ids[0]] === S.base, ink = at.selected ? t["accent-ink"] : t.capink;
  x.fillStyle = t.shadow; // a hard shadow is crisper at this size
  box(x, at.cx - w / 2, y - h / 2 + 2, w, h, 3);
  x.fill();
  const fill = x.createLinearGradient(0, y - h / 2, 0, y + h / 2);
  fill.addColorStop(0, at.selected ? t.accent : quiet ? t.base1 : t.cap1);
  fill.addColorStop(1, at.selected ? t.accent : quiet ? t.base2 : t.cap2);
  x.fillStyle = fill;
  box(x, at.cx - w / 2, y - h / 2 + 0.5, w, h, 2.5);
  x.fill();
  const P = S.precisions[S.prec[it.ids[0]]], words = mixed ? "mix" : at.mute ? (L.density === "console" ? "FLOAT" : "32") : L.density === "console" ? P.id.toUpperCase() : P.cap;
  const squeezed = words.length > 3 && w < 24;
  font(x, 650, L.density === "console" ? 9.5 : squeezed ? 8 : 9);
  x.letterSpacing = squeezed ? "-0.4px" : "0px";
  if (w >= 17) text(x, words, at.cx, y + 1, ink);
  else (x.fillStyle = ink), x.fillRect(at.cx - w / 2 + 2.5, y, w - 5, 1);
  x.letterSpacing = "0px";
  if (!it.ids.some((i) => S.no[i][S.prec[i]] && byHand(S, i) && !S.mute.has(i))) return;
  x.strokeStyle = t.hot; // put by hand at an illegal place; a layer at the base shows where it runs instead
  x.lineWidth = 1.5;
  box(x, at.cx - w / 2, y - h / 2 + 0.5, w, h, 2.5);
  x.stroke();
  x.lineWidth = 1;
}

// Share of the model's size on a square-root scale: outline FP32, fill now.
function sizeBar(x, V, it, cx) {
  const { S, L, t } = V, sum = (f) => it.ids.reduce((total, i) => total + f(i), 0);
  const full = sum((i) => layerBytes(S, i, null)), now = sum((i) => layerBytes(S, i, S.mute.has(i) ? null : Math.min(effective(S, i), S.precisions.length - 1)));
  const w = L.tiny ? Math.max(2, it.w - 1) : L.density === "overview" ? it.w - 5 : L.density === "console" ? 20 : Math.min(12, it.w - 8);
  const bx = L.tiny ? it.x + 0.5 : cx - w / 2, by = Y.size + Y.sizeH, height = (n) => Math.min(Y.sizeH, Math.sqrt(n / V.largest) * Y.sizeH);
  x.fillStyle = t.off;
  x.fillRect(bx, by - Math.max(1.5, height(full)), w, Math.max(1.5, height(full)));
  x.fillStyle = t.text2;
  x.fillRect(bx, by - Math.max(1, height(now)), w, Math.max(1, height(now)));
}

