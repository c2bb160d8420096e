// A small rack as Python sends it: blocks of three, one depthwise layer that refuses four bits, two layers of one group.
import * as State from "../../../app/static/rack_state.js";

export const layers = ["a.0.expand", "a.0.depthwise", "a.0.project", "a.1.expand", "a.1.depthwise", "a.1.project", "head"].map((n, i) => ({
  n, b: n === "head" ? "head" : n.slice(0, 3), k: n.endsWith("depthwise") ? "dw" : n === "head" ? "gemm" : "pw", o: "Conv", t: "Conv, 8 to 8 channels", v: 100 * (i + 1), f: 40, c: 1000,
}));
export const precisions = [["fp16", "16", 16, 16], ["w8a16", "8/16", 8, 16], ["w8a8", "8/8", 8, 8], ["w4a8", "4/8", 4, 8]].map(([id, cap, w, a]) => ({ id, cap, w, a }));
export const rules = { precisions, reasons: ["", "no INT4 for depthwise"], no: layers.map((l) => (l.k === "dw" ? "___a" : "____")), links: [{ ids: "3,5", why: "read one tensor" }] };
export const live = (more = {}) => ({ ack: 0, memory: "m", token: "1", base: 2, prec: "c7", eff: "_7", extra: [], why: {}, mute: "", stay: "", solo: "", sel: "0", cur: 0, size: 2800, fp32: 11480, bops: 448000, fp32bops: 7168000, exact: true, note: "", ...more });

export function rack(more) {
  const S = State.create();
  State.setGraph(S, { layers });
  State.setRules(S, rules);
  State.adopt(S, live(more));
  return S;
}
// Scores: w4a8 costs ten times what w8a8 does, and later layers more.
export const scores = (curve = null) => ({ kind: "estimate", scores: { "*": { w8a8: 0.0001, w4a8: 0.0001 }, ...Object.fromEntries(layers.map((l, i) => [l.n, { fp16: 0, w8a16: 0.0001 * (i + 1), w8a8: 0.001 * (i + 1), w4a8: 0.01 * (i + 1) }])) }, curve, fp32: 0.9, unit: "%", budget: 0.05, fitted: false, drop: 0.02 });
export const curve = { enough: true, knots: [[0, 0, -0.001, 0.001], [0.05, 0.02, 0.01, 0.03], [0.5, 0.2, 0.15, 0.25]], beyond: { slope: 1, cap: 0.9 } };

// A rack without a screen: what the gestures and keys need of it, and what they asked for.
export function hands(S, L, grid, density = "compact") {
  const said = [], R = { S, L, grid, density, drag: null, said };
  for (const name of ["commit", "chooses", "moved", "rest", "ask", "focus", "show", "flip"]) R[name] = (v) => said.push(v === undefined ? name : `${name} ${v}`);
  R.fold = (blocks, on) => said.push(`fold ${blocks.map((b) => b.name)} ${on}`);
  R.setDensity = (d) => ((R.density = d), said.push(`density ${d}`));
  R.cancel = () => said.push("cancel");
  return R;
}
export const event = (more = {}) => ({ shiftKey: false, ctrlKey: false, metaKey: false, altKey: false, key: "", ...more });
