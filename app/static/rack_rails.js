// What stands beside the strips: the rail with its scales, the master strip, the minimap.
const q = new URL(import.meta.url).search;
const { MAP, MASTER, RAIL, Y } = await import(`./rack_layout.js${q}`);
const { box, font, text } = await import(`./rack_brush.js${q}`);
const { toneOf } = await import(`./rack_meter.js${q}`);
const { onMap } = await import(`./rack_ghosts.js${q}`);
const { byHand } = await import(`./rack_state.js${q}`);
const M = await import(`./rack_scale.js${q}`);

const REACH = 2.5; // the master's meter ends at so many budgets
const TICKS = [[0.1, "0.1"], [1, "fair"], [10, "10"]]; // in fair shares

function clear(x, V, w, h) {
  x.setTransform(V.dpr, 0, 0, V.dpr, 0, 0);
  x.fillStyle = V.t.surface;
  x.fillRect(0, 0, w, h);
  x.textBaseline = "middle";
}

export function rail(x, V) {
  const { S, L, t, grid } = V, R = RAIL - 6;
  clear(x, V, RAIL, Y.H);
  const label = (words, y, color = t.text3, weight = 500, size = 10, style = "") => (font(x, weight, size, style), text(x, words, R, y, color, "right"));
  label(L.prefix ? (L.prefix.length > 10 ? "…" + L.prefix.slice(-9) : L.prefix) : "block", Y.bracket + 6.5);
  label("op", Y.head + (L.tiny ? 4 : 12));
  if (L.density !== "overview") label(L.density === "console" ? "solo mute" : "solo", Y.keys + 7.5);
  if (L.density === "compact") label("mute", Y.keys + 22);
  scaleLabels(x, V, label);
  for (let p = 0; p < grid.count; p += 1) {
    const base = p === S.base;
    label(S.precisions[p].id.toUpperCase(), grid.y(p) + 1, base ? t.text : t.text2, base ? 650 : 500);
    x.fillStyle = t.line;
    x.fillRect(R + 2, grid.y(p), 4, 1);
  }
  label("size", Y.size + 10);
  label("√ scale", Y.size + 20, t.text3, 450, 8.5);
  if (S.links.length) label("linked", Y.link + 0.5, t.text3, 450, 8.5);
}

function scaleLabels(x, V, label) {
  const { L, t } = V, H = Y.meterEnd - L.meterTop, db = V.unit === "db";
  x.save();
  x.translate(9, L.meterTop + H / 2);
  x.rotate(-Math.PI / 2);
  font(x, 600, 9.5);
  text(x, db ? "SQNR, DB" : V.pointsOf ? "LOSS, PP" : "LOSS, KL", 0, 0, t.text3);
  x.restore();
  const ticks = db ? [70, 50, 30, 10].map((v) => [M.dbLevel(v), `${v}`]) : TICKS.map(([k, words]) => [M.level(k, 1), words === "fair" ? words : tickWords(V, k)]);
  for (const [v, words] of ticks) {
    const y = Math.round(Y.meterEnd - v * H);
    words === "fair" ? label(words, y, t.text3, 500, 9, "italic") : label(words, Math.max(L.meterTop + 3, Math.min(Y.meterEnd - 2, y)));
    V.t && ((x.fillStyle = t.line), x.fillRect(RAIL - 4, y, 4, 1));
  }
}
// A tick in predicted points where the curve is known, else in fair shares.
const tickWords = (V, shares) => (V.pointsOf ? M.points(V.pointsOf(shares * V.share)) : `${shares}×`);

export function master(x, V) {
  const { S, t, grid } = V, cx = 40, top = 46, H = Y.meterEnd - top, stay = S.prec.filter((_, i) => byHand(S, i)).length;
  clear(x, V, MASTER, Y.H);
  x.fillStyle = t.line;
  x.fillRect(0, 0, 1, Y.H);
  x.fillStyle = t.chassis;
  box(x, 7, Y.head - 2, 64, Y.name - Y.head - 2, 4);
  x.fill();
  font(x, 650, 10);
  text(x, "MASTER", 39, Y.bracket + 6.5, t.text);
  font(x, 500, 9.5);
  text(x, S.solo.size ? `solo ${S.solo.size}` : stay ? `${stay} by hand` : "all layers", 39, Y.head + 9, S.solo.size ? t.mid : t.text3);
  masterMeter(x, V, top, H);
  x.fillStyle = t.lane;
  box(x, cx - 8, grid.y(0) - 8, 5, grid.end - grid.y(0) + 16, 2);
  x.fill();
  font(x, 500, 9);
  for (let p = 0; p < grid.count; p += 1) {
    const n = S.prec.filter((v) => v === p).length;
    x.fillStyle = t.text3;
    x.fillRect(cx - 15, grid.y(p), 20, 1);
    if (n) text(x, n, 71, grid.y(p) + 1, t.text2, "right");
  }
  masterCap(x, V, cx);
  const full = S.live.fp32 || 1;
  x.fillStyle = t.off;
  x.fillRect(14, Y.size + 17, 50, 5);
  x.fillStyle = t.text2;
  x.fillRect(14, Y.size + 17, Math.min(50, (50 * V.total.size) / full), 5);
  font(x, 500, 9.5);
  text(x, (full / Math.max(1, V.total.size)).toFixed(2) + "×", 39, Y.size + 8, t.text2);
}

function masterMeter(x, V, top, H) {
  const { t } = V, score = V.total.score, share = score === null ? 0 : Math.min(1, score / (REACH * V.budget)), mark = 1 / REACH, n = Math.floor(H / 4);
  for (let k = 0, lit = score > 0 ? Math.max(1, Math.round(share * n)) : 0; k < n; k += 1) {
    const at = (k + 0.5) / n;
    x.fillStyle = k < lit ? (at > mark ? t.hot : at > mark * 0.6 ? t.mid : t.ok) : t.off;
    x.fillRect(20, Y.meterEnd - (k + 1) * 4 + 1, 15, 3);
  }
  const by = Math.round(Y.meterEnd - mark * H);
  x.fillStyle = t.text;
  x.fillRect(17, by, 21, 1.5);
  font(x, 500, 9);
  text(x, "budget", 40, by - 5, t.text2, "left");
  text(x, V.budgetWords, 40, by + 6, t.text2, "left");
  if (score === null) return;
  const y = Y.meterEnd - share * H, clear = y > by + 16 || y < by - 16;
  font(x, 650, 10.5);
  text(x, V.totalWords, 38, clear ? Math.max(top + 5, Math.min(Y.meterEnd - 4, y + 1)) : Y.meterEnd - 4, score > V.budget ? t.hot : t.text, "left");
}

function masterCap(x, V, cx) {
  const { S, t, grid } = V, y = grid.y(S.base), fill = x.createLinearGradient(0, y - 9, 0, y + 9);
  fill.addColorStop(0, t.cap1);
  fill.addColorStop(1, t.cap2);
  x.fillStyle = t.shadow;
  box(x, cx - 22, y - 7, 32, 18, 3);
  x.fill();
  x.fillStyle = fill;
  box(x, cx - 22, y - 9, 32, 18, 3);
  x.fill();
  font(x, 650, 10);
  text(x, S.precisions[S.base]?.cap ?? "", cx - 6, y + 1, t.capink);
}

export function minimap(map, left, right, V) {
  const { L, S, t } = V, seen = Math.min(1, L.W / L.total), k = L.W / L.total;
  clear(map, V, L.W, MAP);
  for (const [x, w] of [[left, RAIL], [right, MASTER]]) {
    clear(x, V, w, MAP);
    x.fillStyle = t.soft;
    x.fillRect(0, MAP - 1, w, 1);
    font(x, 500, 10);
  }
  text(left, "map", RAIL - 6, 19, t.text3, "right");
  right.fillStyle = t.line;
  right.fillRect(0, 0, 1, MAP);
  text(right, seen > 0.999 ? "all in view" : Math.round(seen * 100) + " % in view", 39, 19, t.text3);
  for (const it of L.items) mapStrip(map, V, it, it.x * k, Math.max(1, it.w * k - 1));
  onMap(map, V, k);
  map.fillStyle = t.soft;
  map.fillRect(0, MAP - 1, L.W, 1);
  if (seen < 0.999) mapWindow(map, V, V.left * k, L.W * k);
}

function mapStrip(x, V, it, a, w) {
  const { S, t, grid } = V, v = it.v ?? 0, h = Math.max(1, v * 17);
  if (it.ids.some((i) => S.sel.has(i))) (x.fillStyle = t.select), x.fillRect(a, 0, w + 1, MAP - 1);
  x.fillStyle = v > 0 ? toneOf(V, v, it.ids.length) : t.off;
  x.fillRect(a, 21 - h, w, h);
  const place = it.ids.reduce((sum, i) => sum + (S.mute.has(i) ? -0.6 : S.prec[i]), 0) / it.ids.length;
  x.fillStyle = t.text3;
  x.fillRect(a, 25 + (place * 9) / Math.max(1, grid.count - 1), w, 2);
}

function mapWindow(x, V, a, w) {
  const { t, L } = V;
  x.fillStyle = t.bg;
  x.globalAlpha = 0.55;
  x.fillRect(0, 0, a, MAP - 1);
  x.fillRect(a + w, 0, L.W - a - w, MAP - 1);
  x.globalAlpha = 1;
  x.strokeStyle = t.accent;
  x.lineWidth = 1.5;
  box(x, a + 1, 1, w - 2, MAP - 3, 3);
  x.stroke();
  x.lineWidth = 1;
  x.fillStyle = t.accent;
  x.fillRect(a + w / 2 - 6, MAP - 4, 12, 2);
}
