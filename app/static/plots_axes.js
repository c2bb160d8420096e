// Scales and ticks of the inspector's plots. Pure functions.
export const linear = (a, b, from, to) => (v) => from + ((v - a) / (b - a || 1)) * (to - from);
export const log = (a, b, from, to) => ((l) => (v) => l(Math.log10(Math.max(v, 1e-30))))(linear(Math.log10(a), Math.log10(b), from, to));

// Round steps of 1, 2 or 5 times a power of ten, about `count` of them.
export function ticks(a, b, count) {
  const raw = (b - a) / Math.max(1, count), power = 10 ** Math.floor(Math.log10(raw || 1));
  const step = power * ([1, 2, 5, 10].find((k) => k * power >= raw) ?? 10), out = [];
  for (let k = Math.ceil(a / step - 1e-9); k * step <= b + step * 1e-9; k += 1) out.push(+(k * step).toPrecision(12));
  return out;
}
// Powers of ten, every second or third where there are many.
export function decades(a, b, most) {
  const first = Math.ceil(Math.log10(a) - 1e-9), last = Math.floor(Math.log10(b) + 1e-9), every = Math.max(1, Math.ceil((last - first + 1) / most));
  const out = [];
  for (let k = last; k >= first; k -= every) out.unshift(10 ** k);
  return out;
}
const SUPER = "⁰¹²³⁴⁵⁶⁷⁸⁹";
export function words(v) {
  if (v === 0) return "0";
  const size = Math.abs(v);
  if (size >= 1e5 || size < 1e-3) {
    const power = Math.floor(Math.log10(size) + 1e-9), lead = +(v / 10 ** power).toPrecision(2);
    return (lead === 1 ? "10" : `${lead}·10`).replace("-", "−") + (power < 0 ? "⁻" : "") + [...`${Math.abs(power)}`].map((d) => SUPER[d]).join("");
  }
  return `${+v.toPrecision(3)}`.replace("-", "−");
}
