// Set … to …: what is meant is counted with every key; one click writes one line of the recipe. The lines that are there stand below.
const I = new WeakMap();
const WHAT = [["pattern", "Names like"], ["type", "Ops of type"], ["module", "Module"], ["layer", "Layer"], ["input", "Model input"], ["output", "Model output"]];
const HELP = { pattern: "* any letters, ? one, [ab] one of these; names and modules are tried", type: "every op of this type, those without weights too", module: "all layers inside it", layer: "this one alone", input: "the type in which it enters", output: "the type in which it leaves" };

// A pattern as Python's fnmatchcase reads it.
export function glob(text) {
  const plain = (body) => body.replace(/[\\\]^]/g, "\\$&"), set = (body) => `[${body[0] === "!" ? `^${plain(body.slice(1))}` : plain(body)}]`;
  let out = "";
  for (let i = 0; i < text.length; i += 1) {
    const c = text[i], end = c === "[" ? text.indexOf("]", text[i + 1] === "!" ? i + 3 : i + 2) : -1;
    if (c === "*") out += "[^]*";
    else if (c === "?") out += "[^]";
    else if (end > 0) [out, i] = [out + set(text.slice(i + 1, end)), end];
    else out += c.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&");
  }
  try {
    return new RegExp(`^${out}$`);
  } catch {
    return /^(?!)/;
  }
}

// The places of the layers that are meant. `layers`: [name, module, op type].
export function met(layers, what, which) {
  const re = what === "pattern" ? glob(which) : null;
  const is = { layer: (l) => l[0] === which, module: (l) => `${l[1]}.`.startsWith(`${which}.`), type: (l) => l[2] === which, pattern: (l) => re.test(l[0]) || re.test(l[1]) }[what];
  return is && which ? layers.flatMap((l, i) => (is(l) ? [i] : [])) : [];
}

export function told(d, what, which) {
  if (what === "input" || what === "output") return which ? `The tensor ${which}; what its readers ask for gives way.` : `This model has no ${what} in float.`;
  const found = met(d.layers, what, which), first = found.slice(0, 3).map((i) => d.layers[i][0]).join(", ");
  if (found.length) return `${found.length} of ${d.layers.length} layers: ${first}${found.length > 3 ? ", …" : ""}`;
  return what === "type" && which ? "No layer with a weight; the ops themselves ask for it." : which ? "No layer is met." : "Type a name; * stands for any letters.";
}

export default function ({ data, parentElement, setTriggerValue }, lib) {
  const root = parentElement.querySelector(".setterroot");
  let S = I.get(root);
  if (!S) I.set(root, (S = build(root, lib)));
  S.act = (a, v) => setTriggerValue("act", { a, v, t: Date.now() });
  S.d = data;
  root.dataset.theme = data.theme;
  paint(S);
  window.__setter = S;
}

function build(root, lib) {
  const { el, select, button } = lib, S = { lib, what: "pattern", typed: "", picked: {}, to: "" };
  S.whats = select("What to set", (v) => ((S.what = v), paint(S)));
  S.which = select("Which", (v) => ((S.picked[S.what] = v), paint(S)));
  S.text = Object.assign(el("input", "st-text"), { type: "text", spellcheck: false, maxLength: 200, placeholder: "features.*.conv" });
  S.text.setAttribute("aria-label", "Names like");
  S.text.oninput = () => ((S.typed = S.text.value), paint(S));
  S.text.onkeydown = (e) => e.key === "Enter" && !S.go.disabled && S.go.click();
  S.tos = select("To", (v) => ((S.to = v), paint(S)));
  S.strict = Object.assign(el("input"), { type: "checkbox" });
  S.go = button("primary", "Set", () => S.act("set", { what: S.what, which: which(S), to: S.tos.value, strict: S.strict.checked }), "Set");
  S.count = el("output", "st-count");
  S.count.setAttribute("aria-live", "polite");
  S.list = el("ul", "st-lines");
  S.head = el("div", "lab", "Lines of this recipe");
  const strict = el("label", "st-strict", S.strict, el("span", "", "Strict"));
  strict.title = "Refuse what the target does not run just as asked, naming both layers. Otherwise a tensor that several layers read gets the most bits that one asks for, and weights go up to what is legal beside them";
  root.append(el("div", "st-row", S.whats, S.which, S.text, el("span", "st-to", "to"), S.tos, S.go), el("div", "st-row", S.count, el("span", "grow"), strict), S.head, S.list);
  return S;
}

const which = (S) => (S.what === "pattern" ? S.typed.trim() : S.which.value);

function paint(S) {
  const { d, lib } = S, ends = S.what === "input" || S.what === "output";
  const lists = { layer: d.layers.map((l) => l[0]), module: d.modules, type: d.types, input: d.inputs, output: d.outputs };
  lib.options(S.whats, WHAT, S.what);
  S.whats.title = HELP[S.what];
  S.which.hidden = S.what === "pattern";
  S.text.hidden = !S.which.hidden;
  if (lists[S.what]) {
    const list = lists[S.what], now = S.picked[S.what] ?? (S.what === "layer" ? d.here : list[0]);
    lib.options(S.which, list.map((v) => [v, S.what === "module" || S.what === "type" ? `${v} · ${met(d.layers, S.what, v).length}` : v]), list.includes(now) ? now : list[0]);
  }
  const tos = ends ? [...d.kinds.map((k) => [k, k]), ["base", "what readers ask"]] : [...d.precisions.map((p) => [p, p]), ["base", "the base"], ["float", "float (mute)"]];
  lib.options(S.tos, tos, tos.some(([v]) => v === S.to) ? S.to : tos[0][0]);
  S.count.textContent = told(d, S.what, which(S));
  S.go.disabled = !which(S) || (!ends && !met(d.layers, S.what, which(S)).length && !(S.what === "type" && !["base", "float"].includes(S.tos.value)));
  lines(S);
}

function lines(S) {
  const { d, lib: { el, button } } = S, key = JSON.stringify([d.lines, d.single]);
  if (S.list.dataset.key === key) return;
  S.list.dataset.key = key;
  const rows = d.lines.map(([section, name, says, words]) => el("li", "", el("b", "", name), el("span", "st-says", says), el("span", "st-words", words), button("tiny", `Remove the line of ${name}`, () => S.act("drop", { section, key: name }), "Remove")));
  const single = d.single ? `${d.single} layer${d.single === 1 ? " has a line" : "s have lines"} in all; those of single layers are on the faders.` : "Everything follows the base.";
  S.list.replaceChildren(...rows, el("li", "st-none", d.lines.length ? single : `No line is about more than one layer. ${single}`));
}
