// The LED meters of the strips: level, tone, the other snapshot's ghost, the ladder of all precisions.
const q = new URL(import.meta.url).search;
const { Y } = await import(`./rack_layout.js${q}`);
const { effective, effectiveName, heard } = await import(`./rack_state.js${q}`);
const { scoreAt } = await import(`./rack_predict.js${q}`);
const { font, text } = await import(`./rack_brush.js${q}`);
const M = await import(`./rack_scale.js${q}`);

// The summed score of some layers, those that sound; null where a score is lacking for all of them.
export function scoreOf(V, ids, precision = (i) => effectiveName(V.S, i)) {
  const known = ids.filter((i) => heard(V.S, i)).map((i) => scoreAt(V.scores, V.S.layers[i].n, precision(i)));
  const told = known.filter((s) => s !== null);
  return known.length && !told.length ? null : told.reduce((a, b) => a + b, 0);
}
export function levelAt(V, i, p) {
  const score = scoreAt(V.scores, V.S.layers[i].n, V.S.precisions[p].id);
  return score === null ? null : M.level(score, V.share);
}
export function levelOf(V, it) {
  if (V.unit === "db") {
    const db = it.ids.filter((i) => heard(V.S, i)).map((i) => V.sqnr?.[i]).filter((d) => d != null);
    return db.length ? M.dbLevel(-10 * Math.log10(db.reduce((sum, d) => sum + 10 ** (-d / 10), 0))) : null;
  }
  const score = scoreOf(V, it.ids);
  return score === null ? null : M.level(score, V.share);
}
export const toneOf = (V, v, members) => V.t[V.unit === "db" ? M.dbTone(v) : M.tone(v, members)];
const cutsOf = (V, members) => (V.unit === "db" ? [M.dbLevel(30), M.dbLevel(20)] : M.cuts(members));

export function meter(x, V, it, at) {
  const { S, L, t } = V, H = Y.meterEnd - L.meterTop, wide = L.density === "console";
  const pitch = L.tiny ? 3 : 4, n = Math.floor(H / pitch), v = it.v ?? 0, members = it.ids.length;
  const w = L.tiny ? Math.max(2, it.w - 1) : L.density === "overview" ? it.w - 5 : wide ? 12 : Math.min(10, it.w - 10);
  const mx = L.tiny ? it.x + 0.5 : wide && !it.group ? at.cx - 11 : at.cx - w / 2;
  if (it.known === false) unknown(x, t, mx, Y.meterEnd - n * pitch, w, n * pitch);
  else if (L.tiny) bar(x, V, mx, w, H, v, members);
  else
    for (let k = 0, lit = v > 0 ? Math.max(1, Math.round(v * n)) : 0; k < n; k += 1) {
      x.fillStyle = k < lit ? toneOf(V, (k + 0.5) / n, members) : t.off;
      x.fillRect(mx, Y.meterEnd - (k + 1) * pitch + 1, w, pitch - 1);
    }
  if (!it.group) ghost(x, V, it.ids[0], mx, w, H);
  if (wide && !it.group) ladder(x, V, it, at, mx + w + 8, H);
}

// Nothing is known yet: an empty outline, never an empty meter.
function unknown(x, t, mx, y, w, h) {
  x.strokeStyle = t.tick;
  x.setLineDash([2, 3]);
  x.strokeRect(mx + 0.5, y + 0.5, Math.max(1, w - 1), h - 1);
  x.setLineDash([]);
}

function bar(x, V, mx, w, H, v, members) {
  const [a, b] = cutsOf(V, members);
  x.fillStyle = V.t.soft;
  x.fillRect(mx, V.L.meterTop, w, H);
  for (const [from, to, color] of [[0, a, V.t.ok], [a, b, V.t.mid], [b, 1, V.t.hot]]) {
    if (v <= from) continue;
    x.fillStyle = color;
    x.fillRect(mx, Y.meterEnd - Math.min(v, to) * H, w, (Math.min(v, to) - from) * H);
  }
}

// The other snapshot's level, where its precision differs.
function ghost(x, V, i, mx, w, H) {
  const other = V.S.other?.[i] ?? -1, v = other >= 0 && other !== V.S.prec[i] && V.unit !== "db" ? levelAt(V, i, other) : null;
  if (v === null) return;
  x.fillStyle = V.t.ghost;
  x.fillRect(mx - (V.L.tiny ? 0 : 2), Math.round(Y.meterEnd - v * H) - 1, w + (V.L.tiny ? 0 : 4), V.L.tiny ? 1 : 1.5);
}

// Console: where each legal precision would put the meter; the ring is the present one, hollow dots are estimates.
function ladder(x, V, it, at, lx, H) {
  const { S, t } = V, i = it.ids[0];
  if (V.unit !== "db" && !at.mute)
    for (let p = 0; p < S.precisions.length; p += 1) {
      const v = S.no[i][p] ? null : levelAt(V, i, p);
      if (v === null) continue;
      const now = p === effective(S, i);
      x.beginPath();
      x.arc(lx, Math.max(V.L.meterTop + 2, Math.min(Y.meterEnd - 2, Y.meterEnd - v * H)), now ? 3 : 1.8, 0, 7);
      x.strokeStyle = t.text;
      x.fillStyle = t.text3;
      now ? x.stroke() : x.fill();
    }
  font(x, 500, 9);
  text(x, V.figure(it), at.cx, V.L.meterTop - 6, t.text2);
}

