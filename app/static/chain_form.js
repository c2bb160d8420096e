// The form of one step, made from the fields of its config: a row a field, with its doc line below.
export function form(fields, options, change, lib) {
  const { el } = lib;
  if (!fields.length) return el("div", "st-none", "There is nothing to set: the step is exact.");
  return el("div", "st-form", ...fields.map((f) => row(f, options, change, lib)));
}

function row(f, options, change, lib) {
  const { el, human, valueOf, withOption, shown } = lib, own = f.name in options;
  const set = (value) => change(withOption(options, f, value));
  const name = el("span", "fl", human(f.name)), control = pick(f)(f, valueOf(options, f), set, lib);
  const reset = lib.button("reset", `Back to the default, ${shown(f.default)}`, () => set(null), lib.icon("undo", 12));
  reset.disabled = !own;
  const r = el("div", "fr" + (own ? " own" : ""), name, control, reset, el("p", "fd", f.doc));
  r.dataset.f = f.name;
  return r;
}

const pick = (f) => (f.choices ? choice : f.type === "bool" ? flag : f.type === "text" ? typed : f.minimum !== null && f.maximum !== null ? slider : typed);

function flag(f, value, set, { el, human }) {
  const b = el("button", "switch", el("i"));
  b.type = "button";
  b.setAttribute("role", "switch");
  b.setAttribute("aria-checked", value);
  b.setAttribute("aria-label", human(f.name));
  b.onclick = () => set(!value);
  return el("span", "fc", b, el("span", "fv", value ? "on" : "off"));
}

function choice(f, value, set, { el, human, select, options }) {
  const text = (c) => human(`${c}`);
  if (f.choices.length <= 3 && f.choices.map(text).join("").length < 26) {
    const seg = el("span", "seg", ...f.choices.map((c) => {
      const b = el("button", "", text(c));
      b.type = "button";
      b.setAttribute("aria-pressed", c === value);
      b.onclick = () => set(c);
      return b;
    }));
    seg.setAttribute("role", "group");
    seg.setAttribute("aria-label", human(f.name));
    return el("span", "fc", seg);
  }
  const s = select(human(f.name), (k) => set(f.choices[+k]));
  options(s, f.choices.map((c, k) => [`${k}`, text(c)]), `${f.choices.indexOf(value)}`);
  return el("span", "fc", s);
}

// A number to type; what cannot be one is said at once and not taken.
function box(f, value, set, { el, human, parsed, shown }) {
  const input = Object.assign(el("input", "num" + (f.type === "text" ? " wide" : "")), { type: "text", value: shown(value), spellcheck: false });
  input.setAttribute("aria-label", human(f.name));
  input.inputMode = f.type === "text" ? "text" : "decimal";
  const look = () => {
    const { value: v, why } = parsed(f, input.value);
    input.setCustomValidity(why || "");
    input.title = why || "";
    input.setAttribute("aria-invalid", !!why);
    return v;
  };
  input.oninput = look;
  input.onchange = () => {
    const v = look();
    v === null ? ((input.value = shown(value)), look()) : set(v);
  };
  return input;
}

const typed = (f, value, set, lib) => lib.el("span", "fc", box(f, value, set, lib), lib.el("span", "fv", bounds(f)));

function slider(f, value, set, lib) {
  const { el, travel, fromTravel, shown, human } = lib, number = box(f, value, set, lib);
  const range = Object.assign(el("input", "range"), { type: "range", min: 0, max: 1, step: f.type === "int" && !lib.bent(f) ? 1 / (f.maximum - f.minimum || 1) : 0.005 });
  range.value = travel(f, value);
  range.setAttribute("aria-label", human(f.name));
  range.setAttribute("aria-valuetext", shown(value));
  range.style.setProperty("--t", travel(f, value));
  range.oninput = () => {
    number.value = shown(fromTravel(f, +range.value));
    range.style.setProperty("--t", range.value);
  };
  range.onchange = () => set(fromTravel(f, +range.value));
  range.title = bounds(f);
  return el("span", "fc", range, number);
}

function bounds(f) {
  if (f.minimum === null && f.maximum === null) return "";
  return f.maximum === null ? `from ${f.minimum}` : f.minimum === null ? `up to ${f.maximum}` : `${f.minimum} to ${f.maximum}`;
}
