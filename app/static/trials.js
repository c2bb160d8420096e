// The search for settings: what is tried, its button, the trials over parallel axes and in a table; a click chooses one.
const I = new WeakMap(), SVG = "http://www.w3.org/2000/svg", STATES = { complete: "", pruned: "ended early", running: "runs", failed: "failed" };

export default function ({ data, parentElement, setTriggerValue }, lib) {
  const root = parentElement.querySelector(".trialsroot");
  let S = I.get(root);
  if (!S) I.set(root, (S = build(root, lib)));
  S.act = (a, v) => setTriggerValue("act", { a, v: v ?? null, t: Date.now() });
  root.dataset.theme = data.theme;
  root.dataset.trials = data.trials.length;
  S.d = data;
  S.watch.observe(S.plot);
  draw(S);
  window.__trials = S;
  return () => S.watch.disconnect();
}

function build(root, lib) {
  const { el, button } = lib, S = { root, lib, key: "", rows: "", hover: -1 };
  const count = Object.assign(el("input", "num"), { type: "text", inputMode: "numeric", spellcheck: false });
  count.setAttribute("aria-label", "How many trainings");
  const read = () => {
    const v = Number(count.value), bad = !Number.isInteger(v) || v < 1 || v > S.d.most;
    count.setAttribute("aria-invalid", bad);
    count.title = bad ? `A whole number from 1 to ${S.d.most}` : "How many trainings in all, those of earlier searches included";
    return bad ? null : v;
  };
  count.oninput = read;
  count.onchange = () => (read() === null ? ((count.value = S.d.count), read()) : S.act("count", read()));
  Object.assign(S, {
    count, read, chips: el("div", "ts-chips"), say: el("p", "ts-say"), plot: el("div", "ts-plot"), table: el("div", "ts-table"),
    go: button("", "Search", () => S.act(S.d.go.a)), take: button("", "Take over", () => S.act("take"), "Take over"),
  });
  S.chips.setAttribute("role", "group");
  S.chips.setAttribute("aria-label", "Settings that are searched");
  S.plot.addEventListener("pointermove", (e) => point(S, near(S, e)));
  S.plot.addEventListener("pointerleave", () => point(S, -1));
  S.plot.addEventListener("click", (e) => near(S, e) >= 0 && choose(S, near(S, e)));
  root.append(el("div", "ts-head", el("b", "", "Search settings"), el("span", "grow"), S.take, el("span", "ts-go", count, el("span", "", "trainings"), S.go)), S.chips, S.say, S.plot, S.table);
  S.watch = new ResizeObserver(() => picture(S));
  return S;
}

function draw(S) {
  const { el } = S.lib, d = S.d;
  const chips = JSON.stringify([d.over, d.busy]);
  if (S.chips.dataset.key !== chips) {
    const at = [...S.chips.children].indexOf(S.root.getRootNode().activeElement);
    S.chips.dataset.key = chips;
    S.chips.replaceChildren(...d.over.map(([name, words, on]) => {
      const b = el("button", "chip", words);
      Object.assign(b, { type: "button", disabled: d.busy, title: `${on ? "Searched" : "Not searched: it stays as the form says"}`, onclick: () => S.act("over", name) });
      b.setAttribute("aria-pressed", on);
      return b;
    }));
    if (at >= 0) S.chips.children[at]?.focus({ preventScroll: true });
  }
  if (S.root.getRootNode().activeElement !== S.count) (S.count.value = d.count), S.read();
  S.count.disabled = d.busy;
  set(S.go, d.go);
  S.go.classList.toggle("stop", d.busy);
  set(S.take, { ...d.take, text: d.chosen < 0 ? "Take over" : d.chosen === d.best ? "Take over the best" : `Take over trial ${d.chosen + 1}` });
  S.take.style.display = d.trials.length ? "" : "none";
  if (S.say.textContent !== d.say) S.say.textContent = d.say;
  S.plot.style.display = S.lib.shownOf(d).length ? "" : "none";
  picture(S);
  rows(S);
}

function picture(S) {
  const w = S.plot.clientWidth, h = S.plot.clientHeight, key = JSON.stringify([S.d.trials, S.d.axes, S.d.chosen, S.d.best, S.hover, w, h]);
  if (!S.d || w < 60 || key === S.key) return;
  S.key = key;
  const svg = document.createElementNS(SVG, "svg");
  for (const [k, v] of [["width", w], ["height", h], ["role", "img"], ["aria-label", "Trials over their settings; the table below says the same"]]) svg.setAttribute(k, v);
  for (const [tag, attributes, words] of S.lib.trials(S.d, w, h, S.hover)) {
    const n = document.createElementNS(SVG, tag);
    for (const [k, v] of Object.entries(attributes)) n.setAttribute(k, v);
    if (words) n.textContent = words;
    svg.append(n);
  }
  S.plot.replaceChildren(svg);
}

const near = (S, e) => {
  const at = S.plot.getBoundingClientRect();
  return S.lib.trialAt(S.d, S.lib.axes(S.d, at.width, at.height), e.clientX - at.left, e.clientY - at.top);
};

function point(S, number) {
  if (number === S.hover) return;
  S.hover = number;
  S.plot.style.cursor = number >= 0 ? "pointer" : "";
  for (const r of S.table.querySelectorAll("tr[data-n]")) r.classList.toggle("hover", +r.dataset.n === number);
  picture(S);
}

function choose(S, number) {
  S.d.chosen = number; // at once; Python confirms
  draw(S);
  S.act("pick", number);
}

function rows(S) {
  const { el, ranked, value } = S.lib, d = S.d, key = JSON.stringify([d.trials, d.chosen, d.best]);
  if (key === S.rows) return;
  const at = S.root.getRootNode().activeElement?.closest?.("tr")?.dataset.n;
  S.rows = key;
  S.table.style.display = d.trials.length ? "" : "none";
  const head = el("tr", "", el("th", "", "trial"), el("th", "n", "loss"), ...d.axes.map((a) => el("th", "n", a.title)), el("th", "n", "epochs"), el("th", "", ""));
  const body = ranked(d).map((t) => {
    const pick = el("button", "ts-pick", `${t.number + 1}`), usable = t.loss != null && t.state !== "failed";
    Object.assign(pick, { type: "button", disabled: !usable, onclick: () => choose(S, t.number) });
    pick.setAttribute("aria-pressed", t.number === d.chosen);
    pick.setAttribute("aria-label", `Choose trial ${t.number + 1}`);
    const r = el("tr", `${t.state}${t.number === d.chosen ? " chosen" : ""}`, el("td", "", pick), el("td", "n", t.loss == null ? "–" : value(t.loss)), ...d.axes.map((a) => el("td", "n", a.name in t.settings ? value(t.settings[a.name]) : "–")), el("td", "n", `${t.epochs}`), el("td", "s", t.number === d.best ? "best" : STATES[t.state] ?? t.state));
    r.dataset.n = t.number;
    r.onclick = (e) => usable && e.target !== pick && choose(S, t.number);
    r.onpointerenter = () => point(S, t.number);
    r.onpointerleave = () => point(S, -1);
    return r;
  });
  S.table.replaceChildren(el("table", "", el("thead", "", head), el("tbody", "", ...body)));
  if (at !== undefined) S.table.querySelector(`tr[data-n="${at}"] .ts-pick`)?.focus({ preventScroll: true });
}

function set(button, b) {
  button.textContent = b.text;
  button.title = b.title;
  button.setAttribute("aria-label", `${b.text}: ${b.title}`);
  button.disabled = !!b.off;
}
