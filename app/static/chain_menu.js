// The menu 'Add a step': what there is, in a sentence each, with what it costs and what it promises.
const COST = { instant: [1, "at once"], seconds: [2, "seconds"], minutes: [3, "minutes"] };
const LOOKS = { graph: "the weights alone", data: "weights and calibration data", precision: "weights, data and the bits in use" };

export function cost(kind, { el }) {
  const [n, words] = COST[kind] || COST.minutes;
  const e = el("span", "cost", ...[1, 2, 3].map((k) => el("i", k <= n ? "on" : "")), el("span", "", words));
  e.title = `What it takes on a model like MobileNetV2: ${words}`;
  return e;
}

export function menu(catalog, lines, add, close, lib) {
  const { el, button } = lib, there = new Set(lines.map((l) => l.n));
  const head = el("div", "mn-head", el("b", "", "Add a step"), el("span", "grow"), button("tiny", "Close (Esc)", close, "Close"));
  const list = el("div", "mn-list", ...catalog.map((t) => item(t, there.has(t.name), add, lib)), !catalog.length && el("p", "st-none", "The worker is starting: it tells in a moment which techniques there are."));
  const panel = el("div", "mn", head, list);
  panel.setAttribute("role", "dialog");
  panel.setAttribute("aria-label", "Add a step");
  panel.addEventListener("keydown", (e) => {
    if (e.key === "Escape") close();
    else if (e.key === "ArrowDown" || e.key === "ArrowUp") {
      const all = [...list.children], at = all.indexOf(panel.getRootNode().activeElement);
      all[Math.max(0, Math.min(all.length - 1, at + (e.key === "ArrowDown" ? 1 : -1)))]?.focus();
    } else return;
    e.preventDefault();
    e.stopPropagation();
  });
  return panel;
}

function item(t, there, add, lib) {
  const { el } = lib;
  const b = el("button", "mn-item", el("span", "r", el("b", "", t.title), el("code", "", t.name), there && el("em", "", "in the chain")),
    el("span", "s", t.sentence), el("span", "r f", cost(t.cost, lib), el("span", "promise", t.promise)));
  b.type = "button";
  b.dataset.step = t.name;
  b.title = `Looks at ${LOOKS[t.looks_at] || LOOKS.precision}. ${t.source}`;
  b.onclick = () => add(t.name);
  return b;
}
