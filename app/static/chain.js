// The chain of steps. The hand changes the draft here at once; the whole draft goes to Python with a sequence number, and an
// older answer never overwrites a newer hand. Buttons carry the draft too, so that what is run is what is seen.
const I = new WeakMap();

export default function ({ data, parentElement, setTriggerValue, setStateValue }, lib) {
  const root = parentElement.querySelector(".chainroot");
  let S = I.get(root);
  if (!S) I.set(root, (S = build(root, lib)));
  S.act = (a, v) => setTriggerValue("act", { a, v: v ?? null, doc: doc(S), t: Date.now() });
  S.send = () => setStateValue("doc", doc(S));
  root.dataset.theme = data.theme;
  receive(S, data);
  window.__chain = S;
}

const doc = (S) => ({ lines: S.lines, sel: S.sel, seq: S.seq });

function build(root, lib) {
  const { el, button } = lib, S = { root, lib, seq: 0, lines: [], sel: -1, catalog: [], part: "", cards: [], key: "", rev: -1 };
  Object.assign(S, {
    note: el("span", "ch-note"), state: el("span", "ch-state"), list: el("ol", "ch-list"), layer: el("div", "ch-layer"),
    add: button("ch-add", "Add a step to the chain", () => open(S), "+ Add a step"),
    run: button("", "Run", () => S.d.buttons.run.a && S.act(S.d.buttons.run.a)),
    accept: button("", "Accept", () => S.act("accept")), reject: button("", "Reject", () => S.act("reject"), "Reject"),
  });
  S.auto = lib.auto(S, lib);
  S.scroll = el("div", "ch-scroll", S.list, S.add, S.auto.root);
  S.list.setAttribute("aria-label", "Steps in their order");
  root.append(el("div", "ch-head", el("b", "", "Chain"), S.note, el("span", "grow"), S.state), S.scroll, el("div", "ch-foot", S.run, el("span", "grow"), S.reject, S.accept), S.layer);
  S.set = (i, change) => edit(S, lib.withLine(S.lines, i, change));
  S.move = (i, to) => to >= 0 && to < S.lines.length && edit(S, lib.movedLine(S.lines, i, to), lib.movedPlace(S.sel, i, to), to);
  S.drop = (i) => edit(S, S.lines.filter((_, k) => k !== i), S.sel === i ? -1 : S.sel > i ? S.sel - 1 : S.sel);
  S.pick = (i) => edit(S, S.lines, i, Math.max(i, 0));
  return S;
}

// A change by the hand: shown in the same frame, then told.
function edit(S, lines, sel = S.sel, focus = -1) {
  Object.assign(S, { lines, sel, seq: S.seq + 1 });
  draw(S);
  S.send();
  if (focus >= 0) S.cards[focus]?.root.querySelector(".name").focus({ preventScroll: true });
}

function receive(S, d) {
  if (d.catalog) {
    [S.part, S.catalog] = [d.catalog.hash, d.catalog.steps];
    if (S.layer.classList.contains("on")) open(S);
  }
  else if (d.part && d.part !== S.part) S.act("need", d.part); // a window that was reloaded lacks what was sent before
  S.d = d;
  const taken = d.ack >= S.seq || d.rev !== S.rev;
  if (taken) Object.assign(S, { lines: d.lines, sel: d.sel, seq: Math.max(d.ack, S.seq), rev: d.rev });
  const at = d.status.findIndex((s) => s.state === "running"), now = d.status[at];
  if (now) S.traces = S.lib.traced(S.traces, `${now.job}:${at}`, now.layer, now.loss);
  draw(S);
}

// Cards are made anew only where the draft or the menu changed: what a person types is not disturbed by progress.
function draw(S) {
  const key = JSON.stringify([S.lines, S.sel, S.part]);
  if (key !== S.key) {
    const within = S.root.getRootNode().activeElement, place = focusPlace(S, within);
    S.key = key;
    S.cards = S.lines.map((_, i) => S.lib.card(S, i));
    S.list.replaceChildren(...S.cards.map((c) => c.root));
    if (place) S.cards[place[0]]?.root.querySelector(place[1])?.focus({ preventScroll: true });
  }
  const fresh = JSON.stringify(S.lines) === JSON.stringify(S.d.lines);
  S.cards.forEach((c, i) => S.lib.say(S, c, S.d.status[i], fresh));
  foot(S, fresh);
}

// Which control of which card holds the focus, to give it back to its successor.
function focusPlace(S, e) {
  const at = S.cards.findIndex((c) => c.root.contains(e));
  if (at < 0) return null;
  const field = e.closest("[data-f]")?.dataset.f;
  return [at, field ? `[data-f="${CSS.escape(field)}"] ${e.tagName.toLowerCase()}${e.type === "range" ? "[type=range]" : ""}` : `.${[...e.classList].at(-1)}`];
}

function foot(S, fresh) {
  const { run, accept, reject } = S.d.buttons, h = S.d.head, count = S.lines.filter((l) => l.on).length;
  S.note.textContent = fresh ? h.note : `${count} step${count === 1 ? "" : "s"}`;
  S.state.textContent = h.state;
  S.state.title = h.title;
  S.state.className = "ch-state" + (h.inside ? " in" : "");
  set(S.run, fresh ? run : { text: "Run", title: "The page takes the change over", off: true, primary: true });
  set(S.accept, accept);
  set(S.reject, { ...reject, text: "Reject" });
  S.run.classList.toggle("primary", !fresh || run.primary);
  S.accept.classList.toggle("primary", fresh && !run.primary && run.a !== "cancel" && !accept.off);
  S.auto.say(S.d.auto);
}

function set(button, b) {
  button.textContent = b.text;
  button.title = b.title;
  button.setAttribute("aria-label", `${b.text}: ${b.title}`);
  button.disabled = !!b.off;
}

// The menu over the cards; made again when the list of techniques comes.
function open(S) {
  const close = () => (S.layer.replaceChildren(), S.layer.classList.remove("on"), S.add.focus({ preventScroll: true }));
  const add = (name) => {
    const at = S.lib.placeFor(S.lines, name, S.catalog), lines = S.lines.slice();
    lines.splice(at, 0, { n: name, o: {}, on: true });
    close();
    edit(S, lines, at, at);
    S.cards[at].root.scrollIntoView({ block: "nearest" });
  };
  S.layer.replaceChildren(S.lib.menu(S.catalog, S.lines, add, close, S.lib));
  S.layer.classList.add("on");
  S.layer.querySelector(".mn-item, .btn")?.focus({ preventScroll: true });
}
