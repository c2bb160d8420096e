// The draft as plain lines {n, o, on} (name, options that differ from the defaults, takes part). Pure functions, no DOM.

// The list with one line at another place; places outside are brought inside.
export const movedLine = (lines, from, to) => {
  const out = lines.slice(), [line] = out.splice(from, 1);
  out.splice(Math.max(0, Math.min(out.length, to)), 0, line);
  return out;
};

// Where a selection stands after such a move.
export const movedPlace = (place, from, to) => {
  if (place === from) return to;
  if (from < place && to >= place) return place - 1;
  return from > place && to <= place ? place + 1 : place;
};

export const withLine = (lines, i, change) => lines.map((l, k) => (k === i ? { ...l, ...change } : l));

// A new line goes where it makes sense: before the first line that comes later in the catalog, else to the end.
export const placeFor = (lines, name, catalog) => {
  const rank = (n) => catalog.findIndex((t) => t.name === n), own = rank(name);
  const at = lines.findIndex((l) => rank(l.n) > own);
  return at < 0 ? lines.length : at;
};

// The options with one value set; the default needs no entry.
export const withOption = (options, field, value) => {
  const { [field.name]: _, ...rest } = options;
  return value === null || value === field.default ? rest : { ...rest, [field.name]: value };
};

export const valueOf = (options, field) => (field.name in options ? options[field.name] : field.default);

// What a person has typed, as a value of the field: null where it cannot be one, with the reason in words.
export const parsed = (field, text) => {
  if (field.type === "text") return { value: text.trim() };
  const value = Number(String(text).trim().replace(",", ".").replace("−", "-"));
  if (!String(text).trim() || !Number.isFinite(value)) return { value: null, why: "expected a number" };
  if (field.type === "int" && !Number.isInteger(value)) return { value: null, why: "expected a whole number" };
  if (field.minimum !== null && value < field.minimum) return { value: null, why: `at least ${field.minimum}` };
  if (field.maximum !== null && value > field.maximum) return { value: null, why: `at most ${field.maximum}` };
  return { value };
};

// A slider's travel 0..1 for fields with both ends: by powers of ten where the ends are far apart, else evenly. A field that begins
// at 0 and whose default lies near it has 0 at the very end, and powers of ten from a thousandth of the default on.
const steep = (f) => f.minimum === 0 && f.default > 0 && f.maximum / f.default >= 50;
const least = (f) => (steep(f) ? (f.type === "int" ? 0.5 : f.default / 1000) : f.minimum);
export const wide = (f) => f.minimum > 0 && f.maximum / f.minimum >= 50;
export const bent = (f) => wide(f) || steep(f);
export const travel = (f, value) => {
  if (steep(f) && value <= least(f)) return 0;
  const [a, b, v] = bent(f) ? [least(f), f.maximum, value].map(Math.log) : [f.minimum, f.maximum, value];
  return b > a ? Math.max(0, Math.min(1, (v - a) / (b - a))) : 0;
};
export const fromTravel = (f, t) => {
  if (steep(f) && t <= 0) return 0;
  const low = least(f), v = bent(f) ? Math.exp(Math.log(low) + t * (Math.log(f.maximum) - Math.log(low))) : f.minimum + t * (f.maximum - f.minimum);
  const near = f.type === "int" ? Math.round(v) : +v.toPrecision(2);
  const rounded = f.type === "int" && near >= 100 ? +near.toPrecision(2) : near;
  return Math.max(f.minimum, Math.min(f.maximum, rounded));
};

export const human = (name) => name.replaceAll("_", " ");
export const shown = (v) => (typeof v === "number" ? `${+v.toPrecision(6)}`.replace("-", "−") : `${v}`);
