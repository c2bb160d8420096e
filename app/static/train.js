// The form of a training. The hand changes the settings here at once; all of them go to Python with a sequence number, and an
// older answer never overwrites a newer hand. Buttons carry the settings too, so that what is trained is what is seen.
const I = new WeakMap();

export default function ({ data, parentElement, setTriggerValue, setStateValue }, lib) {
  const root = parentElement.querySelector(".trainroot");
  let S = I.get(root);
  if (!S) I.set(root, (S = build(root, lib)));
  S.act = (a, v) => setTriggerValue("act", { a, v: v ?? null, doc: doc(S), t: Date.now() });
  S.send = () => setStateValue("doc", doc(S));
  root.dataset.theme = data.theme;
  receive(S, data);
  window.__train = S;
}

const doc = (S) => ({ options: S.options, seq: S.seq });

function build(root, lib) {
  const { el, button } = lib, S = { root, lib, seq: 0, options: {}, groups: [], part: "", key: "", rev: -1, open: {} };
  const does = (name) => () => S.d.buttons[name]?.a !== "" && S.act(S.d.buttons[name]?.a || name);
  Object.assign(S, {
    state: el("span", "ch-state"), about: el("div", "tn-data"), list: el("div", "tn-groups"), bar: el("i"), now: el("span", "tn-now"), pace: el("span", "tn-pace"),
    run: button("tn-run", "Start", does("run")), keep: button("", "Keep best", does("keep")),
    accept: button("", "Accept", does("accept")), reject: button("", "Reject", does("reject")),
  });
  S.live = el("div", "tn-live", el("div", "tn-row", S.now, el("span", "grow"), S.pace), el("div", "st-bar", S.bar));
  S.now.setAttribute("role", "status");
  root.append(el("div", "ch-head", el("b", "", "Training"), el("span", "ch-note", "the recipe's last step"), el("span", "grow"), S.state),
    el("div", "ch-scroll", S.about, S.list), S.live, el("div", "ch-foot", S.run, S.keep, el("span", "grow"), S.reject, S.accept));
  root.addEventListener("keydown", (e) => e.key === "Enter" && (e.ctrlKey || e.metaKey) && !S.run.disabled && (e.preventDefault(), S.run.click()));
  return S;
}

// A change by the hand: shown in the same frame, then told.
function edit(S, options) {
  Object.assign(S, { options, seq: S.seq + 1 });
  draw(S);
  S.send();
}

function receive(S, d) {
  if (d.form) [S.part, S.groups] = [d.form.hash, d.form.groups];
  else if (d.part && d.part !== S.part) S.act("need", d.part); // a window that was reloaded lacks what was sent before
  S.d = d;
  if (d.ack >= S.seq || d.rev !== S.rev) Object.assign(S, { options: d.options, seq: Math.max(d.ack, S.seq), rev: d.rev });
  draw(S);
}

// Fields are made anew only where a setting changed: what a person types is not disturbed by progress.
function draw(S) {
  const key = JSON.stringify([S.options, S.part]), { el } = S.lib;
  if (key !== S.key) {
    S.key = key;
    const within = S.root.getRootNode().activeElement, at = S.list.contains(within) ? focusOf(within) : "";
    S.list.replaceChildren(...S.groups.map((g) => group(S, g)));
    if (at) S.list.querySelector(at)?.focus({ preventScroll: true });
  }
  const words = JSON.stringify(S.d.data);
  if (S.about.dataset.key !== words) {
    S.about.dataset.key = words;
    S.about.replaceChildren(...S.d.data.map((l) => el("p", l.tone, l.text)));
  }
  foot(S);
}

// Which control holds the focus, to give it back to its successor.
function focusOf(e) {
  const field = e.closest("[data-f]")?.dataset.f, tag = e.tagName.toLowerCase();
  if (!field) return e.closest("[data-g]") ? `[data-g="${CSS.escape(e.closest("[data-g]").dataset.g)}"] > summary` : "";
  const pressed = tag === "button" && e.hasAttribute("aria-pressed") ? '[aria-pressed="true"]' : "";
  return `[data-f="${CSS.escape(field)}"] ${tag}${e.type === "range" ? "[type=range]" : ""}${pressed}`;
}

export const ownIn = (group, options) => group.fields.filter((f) => f.name in options).length;

function group(S, g) {
  const { el, form } = S.lib, fields = form(g.fields, S.options, (o) => edit(S, o), S.lib);
  if (!g.folded) return el("div", "tn-group", fields);
  const own = ownIn(g, S.options), summary = el("summary", "", S.lib.icon("chevron", 11), el("span", "", g.title), own ? el("em", "", `${own} set`) : el("small", "", g.fields.map((f) => S.lib.human(f.name)).join(", ")));
  const box = el("details", "tn-group", summary, fields);
  box.dataset.g = g.title;
  box.open = S.open[g.title] ?? false;
  box.ontoggle = () => (S.open[g.title] = box.open);
  return box;
}

function foot(S) {
  const { run, keep, accept, reject } = S.d.buttons, fresh = JSON.stringify(S.options) === JSON.stringify(S.d.options);
  const wait = { text: run.text === "Stop" ? "Stop" : "Start", title: "The page takes the change over", off: true };
  const shown = fresh || S.d.busy ? run : wait;
  set(S.run, shown);
  S.run.classList.toggle("primary", !!shown.primary);
  S.keep.style.display = keep && fresh ? "" : "none";
  if (keep) set(S.keep, keep);
  set(S.accept, fresh ? accept : { ...accept, off: true });
  set(S.reject, reject);
  S.accept.classList.toggle("primary", fresh && !!accept.primary);
  S.state.textContent = S.d.head.state;
  S.state.title = S.d.head.title;
  S.state.className = "ch-state" + (S.d.head.inside ? " in" : "");
  const live = S.d.live;
  S.live.style.display = live ? "" : "none";
  if (!live) return;
  if (S.now.textContent !== live.text) S.now.textContent = live.text;
  S.pace.textContent = live.pace;
  S.bar.style.width = `${100 * (live.share ?? 0)}%`;
  S.bar.classList.toggle("busy", live.share == null);
}

function set(button, b) {
  button.textContent = b.text;
  button.title = b.title;
  button.setAttribute("aria-label", `${b.text}: ${b.title}`);
  button.disabled = !!b.off;
}
