// Paint of the row of strips: chassis, brackets, detent lines, links, names. `V` is the view, see rack_strip.js.
const q = new URL(import.meta.url).search;
const { Y, bracketText, foldable } = await import(`./rack_layout.js${q}`);
const { box, fitted, font, text } = await import(`./rack_brush.js${q}`);
const { strip } = await import(`./rack_strip.js${q}`);
const { ghosts } = await import(`./rack_ghosts.js${q}`);
const { level } = await import(`./rack_scale.js${q}`);

export function strips(x, V, left, right) {
  const { S, L, t, grid } = V;
  x.textBaseline = "middle";
  for (const b of L.blocks) {
    if (b.x1 < left - 10 || b.x > right + 10) continue;
    x.fillStyle = t.chassis;
    box(x, b.x, Y.head - 2, b.x1 - b.x, Y.name - Y.head - 2, 3);
    x.fill();
  }
  brackets(x, V, left, right);
  for (let p = 0; p < grid.count; p += 1) {
    x.fillStyle = t.line;
    x.globalAlpha = p === S.base ? 1 : 0.45;
    x.fillRect(left, grid.y(p), right - left, 1);
  }
  x.globalAlpha = 1;
  if (V.unit !== "db" && V.scores) dashes(x, t, left, right, Math.round(Y.meterEnd - level(1, 1) * (Y.meterEnd - L.meterTop)));
  for (const it of L.items) if (it.x + it.w >= left && it.x <= right) strip(x, V, it);
  links(x, V, left, right);
  ghosts(x, V, left, right);
  if (V.marquee) marquee(x, V);
  names(x, V, left, right);
}

function dashes(x, t, left, right, y) {
  x.fillStyle = t.text3;
  x.globalAlpha = 0.5;
  for (let a = left - (left % 6); a < right; a += 6) x.fillRect(a, y, 3, 1);
  x.globalAlpha = 1;
}

function brackets(x, V, left, right) {
  const { S, L, t } = V;
  font(x, 500, 10);
  for (const b of L.brackets) {
    if (b.x1 < left - 10 || b.x > right + 10) continue;
    const w = b.x1 - b.x, all = b.ids.every((i) => S.sel.has(i));
    x.fillStyle = all ? t.accent : t.line;
    x.fillRect(b.x, Y.head - 5, w, all ? 2 : 1);
    x.fillRect(b.x, Y.head - 5, 1, 4);
    x.fillRect(b.x + w - 1, Y.head - 5, 1, 4);
    if (foldable(b)) chevron(x, t, b.x + 5, Y.bracket + 6, b.fold);
    text(x, bracketText(L, b, (s) => x.measureText(s).width), b.x + (foldable(b) ? 11 : 2), Y.bracket + 6.5, all ? t.accent : t.text2, "left");
  }
}

function chevron(x, t, cx, cy, fold) {
  x.fillStyle = t.text3;
  x.beginPath();
  for (const [a, b] of fold ? [[-2, -3.5], [2.5, 0], [-2, 3.5]] : [[-3.5, -2], [0, 2.5], [3.5, -2]]) x.lineTo(cx + a, cy + b);
  x.fill();
}

// Strips that share a weight or a tensor: a thread under them with a knot at each.
function links(x, V, left, right) {
  const { S, L, t } = V;
  for (const link of S.links) {
    const at = [...new Set(link.ids.map((i) => L.items[L.itemOf[i]]))].map((it) => it.x + it.w / 2);
    if (at.length < 2 || at.at(-1) < left || at[0] > right) continue;
    const lit = link.ids.includes(S.cur) || link.ids.some((i) => V.hover?.it?.ids.includes(i));
    x.strokeStyle = x.fillStyle = lit ? t.accent : t.text3;
    x.beginPath();
    x.moveTo(at[0], Y.link + 0.5);
    x.lineTo(at.at(-1), Y.link + 0.5);
    x.stroke();
    for (const cx of at) x.beginPath(), x.arc(cx, Y.link + 0.5, L.tiny ? 1.2 : 2.2, 0, 7), x.fill();
  }
}

function marquee(x, V) {
  const a = Math.min(V.marquee.a, V.marquee.b), w = Math.abs(V.marquee.a - V.marquee.b);
  x.fillStyle = V.t.select;
  x.fillRect(a, Y.head - 2, w, Y.name - Y.head);
  x.strokeStyle = V.t.accent;
  x.setLineDash([3, 2]);
  x.strokeRect(a + 0.5, Y.head - 1.5, w, Y.name - Y.head - 1);
  x.setLineDash([]);
}

function names(x, V, left, right) {
  const { S, L, t } = V, put = [];
  const plate = (it, strong) => {
    const words = it.group ? `${it.block.name} (${it.ids.length})` : S.layers[it.ids[0]].n;
    font(x, strong ? 600 : 500, 10.5);
    const w = x.measureText(words).width + 12, cx = Math.max(left + w / 2 + 2, Math.min(right - w / 2 - 2, it.x + it.w / 2));
    if (put.some((o) => Math.abs(o.cx - cx) < (o.w + w) / 2 + 2)) return;
    put.push({ cx, w });
    x.fillStyle = strong ? t.accent : t.raised;
    box(x, cx - w / 2, Y.name, w, 17, 3);
    x.fill();
    text(x, words, cx, Y.name + 9, strong ? t["accent-ink"] : t.text);
  };
  const current = L.items[L.itemOf[S.cur]];
  if (current && current.x + current.w > left && current.x < right) plate(current, true);
  if (V.hover?.it && V.hover.it !== current) plate(V.hover.it, false);
  if (L.density !== "console") return;
  font(x, 450, 9.5);
  for (const it of L.items) {
    const cx = it.x + it.w / 2;
    if (it.x + it.w < left || it.x > right || put.some((o) => Math.abs(o.cx - cx) < (o.w + it.w) / 2 - 4)) continue;
    text(x, fitted(x, shortName(S, it), it.w - 3), cx, Y.name + 9, t.text2);
  }
}

function shortName(S, it) {
  if (it.group) return it.block.name.split(".").at(-1);
  const name = S.layers[it.ids[0]].n, inside = it.block.n > 1 && name.startsWith(it.block.name + ".");
  const words = inside ? name.slice(it.block.name.length + 1) : name;
  return words.replace(/\.(conv|weight|proj|linear)$/, "");
}

