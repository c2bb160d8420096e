// The live loss of the step that runs: a curve a layer, the newest bright; kept here, because Python tells only the last value.
const MOST = 240;

// The traces with one more point; a new layer begins a new one, another job begins anew. Pure.
export function traced(traces, job, layer, loss) {
  const kept = traces && traces.job === job ? traces : { job, runs: [] };
  if (!(loss > 0) || !Number.isFinite(loss)) return kept;
  const last = kept.runs.at(-1);
  if (last && last.layer === layer) {
    if (last.points.at(-1) === loss) return kept;
    return { job, runs: [...kept.runs.slice(0, -1), { layer, points: [...last.points, loss].slice(-MOST) }] };
  }
  return { job, runs: [...kept.runs, { layer, points: [loss] }].slice(-60) };
}

// The curve as the shapes of a small picture: single values become a line over the layers, long ones a line each. Pure.
export function curve(traces, w, h) {
  const all = traces.runs.flatMap((r) => r.points);
  if (all.length < 2) return [];
  const [a, b] = [Math.log(Math.min(...all)), Math.log(Math.max(...all))], y = (v) => 3 + (h - 6) * (b > a ? (b - Math.log(v)) / (b - a) : 0.5);
  const path = (points, from, to) => points.map((v, i) => `${i ? "L" : "M"}${(from + ((to - from) * i) / Math.max(1, points.length - 1)).toFixed(1)} ${y(v).toFixed(1)}`).join("");
  const long = traces.runs.some((r) => r.points.length > 2);
  if (!long) return [["path", { d: path(traces.runs.map((r) => r.points.at(-1)), 2, w - 2), class: "now" }]];
  const step = (w - 4) / traces.runs.length;
  return traces.runs.map((r, i) => ["path", { d: path(r.points.length > 1 ? r.points : [r.points[0], r.points[0]], 2 + i * step, 2 + (i + 0.92) * step), class: i === traces.runs.length - 1 ? "now" : "past" }]);
}
