// The bar on every page: project, readouts, undo, measure, export; below it pages, guide and the running job.
// Python sends words and widths; this file only puts them in their places.
const I = new WeakMap();
const HEARS = { keydown: "onKey", "desk:flip": "onFlip", "desk:moving": "onMoving", "desk:preview": "onPreview" };

export default function ({ data, parentElement, setTriggerValue }, lib) {
  const root = parentElement.querySelector(".readoutroot");
  let S = I.get(root);
  if (!S) I.set(root, (S = build(root, lib)));
  // Each time: what is heard already stays so, and a late farewell to an earlier life of this element must not leave the bar deaf.
  for (const [name, ear] of Object.entries(HEARS)) window.addEventListener(name, S[ear]);
  S.send = (a, v) => setTriggerValue("act", { a, v: v ?? null, t: Date.now() });
  S.data = data;
  root.dataset.theme = data.theme;
  paint(S, data, lib);
  // Python has answered; or it never will, as after a restart of the server.
  if (S.preview?.done && (data.ack >= S.preview.seq || performance.now() - S.previewed > 5000)) S.preview = null;
  if (S.preview) overlay(S, S.preview);
  window.__readout = { rev: data.rev, badge: data.acc?.badge, at: performance.now() };
  return () => Object.entries(HEARS).forEach(([name, ear]) => window.removeEventListener(name, S[ear]));
}

function block(cls, label, { el }) {
  const o = { num: el("span"), unit: el("span", "unit"), sub: el("span", "sub"), gauge: el("i"), mark: el("u"), top: el("div", "top", el("span", "lab", label)) };
  o.val = el("div", "val", el("span", "num", o.num, o.unit), o.sub);
  o.root = el("div", "ro " + cls, o.top, o.val, el("div", "gauge", o.gauge, o.mark));
  return o;
}

function build(root, lib) {
  const { el, select, button, icon, logo } = lib, S = { lib };
  const send = (a, v) => S.send(a, v);
  S.project = select("Project", (v) => send("project", v));
  S.target = select("Target", (v) => send("target", v));
  S.acc = block("ro-acc", "Accuracy", lib);
  S.drop = block("ro-drop", "Drop, paired", lib);
  S.drop.gauge.after((S.band = el("s")), (S.dot = el("b")));
  S.size = block("ro-size", "Size", lib);
  S.bops = block("ro-bops", "Compute", lib);
  S.badge = el("span", "badge");
  S.flips = el("span", "flips");
  S.acc.top.append(S.badge);
  S.drop.top.append(S.flips);
  S.undo = button("ic", "Undo (Ctrl+Z)", () => send("undo"), icon("undo"));
  S.redo = button("ic", "Redo (Ctrl+Shift+Z)", () => send("redo"), icon("redo"));
  S.sides = ["A", "B"].map((side) => {
    const b = el("button", "", side);
    b.type = "button";
    b.onclick = () => S.data.slots && side !== S.data.slots.active && send("flip");
    return b;
  });
  S.copy = button("ic", "Copy", () => send("copy"), icon("copy"));
  S.ab = el("div", "ro-ab", el("div", "seg", ...S.sides), S.copy);
  S.ab.setAttribute("role", "group");
  S.ab.setAttribute("aria-label", "Snapshots A and B");
  S.measure = button("meas", "Measure", () => send(S.data.measure.action));
  S.exp = button("primary", "Export this mix", () => send("page", "export"), "Export");
  S.row = el("div", "ro-row", el("div", "ro-brand", el("div", "mark", logo(), "Mixdown"), (S.pick = el("div", "row", S.project, S.target))),
    (S.meters = el("div", "ro-meters", S.acc.root, S.drop.root, S.size.root, S.bops.root)),
    (S.btns = el("div", "ro-btns", S.undo, S.redo, S.ab, el("span", "sep"), S.measure, S.exp)));
  S.nav = el("nav", "ro-nav");
  S.nav.setAttribute("aria-label", "Pages");
  S.guide = el("div", "ro-guide");
  S.job = el("div", "ro-job", (S.jobText = el("span", "t")), el("span", "bar", (S.jobBar = el("i"))), (S.jobEta = el("span", "e")),
    (S.cancel = button("tiny", "Cancel what runs and what waits", () => send("cancel"), "Cancel")));
  S.classes = el("button", "ro-classes");
  S.classes.type = "button";
  S.classes.onclick = () => send("classes");
  S.live = el("span", "sr");
  S.live.setAttribute("role", "status");
  S.live.setAttribute("aria-live", "polite");
  root.append(S.row, el("div", "ro-strip", S.nav, S.classes, S.job, S.guide), S.live, probe(S, el));
  S.onKey = (e) => {
    const typing = e.composedPath()[0]?.matches?.("input, textarea, select, [contenteditable]");
    if (!root.isConnected || typing || !(e.ctrlKey || e.metaKey) || !["z", "y"].includes(e.key.toLowerCase()) || !S.data.undo) return;
    e.preventDefault();
    send(e.key.toLowerCase() === "y" || e.shiftKey ? "redo" : "undo");
  };
  S.onFlip = () => root.isConnected && S.data.slots && send("flip");
  // An edit in the table: the figures are no longer those of the recipe, and say so before the server has answered.
  S.onMoving = () => {
    S.badge.className = "badge moving";
    S.badge.textContent = "moving";
    for (const k of ["acc", "drop", "size", "bops"]) S[k].root.dataset.stale = "true";
  };
  // A hand on the rack: what it computes is shown in the same frame, until Python has answered.
  S.onPreview = (e) => {
    if (!S.data?.acc) return;
    S.preview = e.detail;
    e.detail ? overlay(S, e.detail) : paint(S, S.data, lib);
    S.previewed = performance.now();
  };
  window.__bar = S;
  return S;
}

// Streamlit repaints its own widgets on a theme change but does not rerun the script: notice it, and ask for a rerun.
function probe(S, el) {
  const p = el("i", "probe");
  p.addEventListener("transitionend", () => {
    const [r, g, b] = getComputedStyle(p).backgroundColor.match(/[\d.]+/g).map(Number);
    if (S.data && (0.3 * r + 0.6 * g + 0.1 * b > 128 ? "light" : "dark") !== S.data.theme) S.send("theme");
  });
  return p;
}

const words = (list) => list.map(([text, cls]) => Object.assign(document.createElement(cls === "b" ? "b" : "span"), { textContent: text, className: cls === "b" ? "" : cls || "" }));

function meter(o, v) {
  o.num.textContent = v.num;
  o.unit.textContent = v.unit || "";
  o.sub.replaceChildren(...words(v.sub));
  o.gauge.style.width = (v.fill ?? 0) * 100 + "%";
  o.gauge.style.background = `var(--${v.tone || "accent"})`;
  o.mark.style.display = v.mark == null ? "none" : "";
  o.mark.style.left = (v.mark ?? 0) * 100 + "%";
  o.root.title = v.title || "";
  o.root.dataset.stale = v.stale;
}

// The dot on the drop's gauge: hollow is predicted, half filled on its way, filled measured; the band is the interval.
function gauge(S, v) {
  S.dot.className = v.dot || "";
  S.dot.style.left = v.fill * 100 + "%";
  S.band.style.display = v.band ? "" : "none";
  if (v.band) Object.assign(S.band.style, { left: v.band[0] * 100 + "%", width: (v.band[1] - v.band[0]) * 100 + "%" });
  for (const e of [S.dot, S.band]) e.style.setProperty("--tone", `var(--${v.tone || "accent"})`);
}

const figure = (S, v) => (v * (S.data.acc.unit === "%" ? 100 : 1)).toFixed(S.data.acc.unit === "%" ? 2 : 4).replace(/^-(0\.0+)$/, "$1").replace("-", "−");
const bytes = (n) => (n >= 1e9 ? [n / 1e9, "GB"] : n >= 1e6 ? [n / 1e6, "MB"] : n >= 1e3 ? [n / 1e3, "kB"] : [n, "B"]);

// What the rack predicts, over what Python last said.
function overlay(S, p) {
  const told = p.drop !== undefined, d = S.data;
  S.badge.className = "badge " + (p.solo ? "solo" : told ? "predicted" : "moving");
  S.badge.textContent = p.solo ? `solo ${p.solo}` : told ? "predicted" : "moving";
  S.badge.title = "Predicted in this moment from the sum of the layers' scores; measured as soon as the hand rests";
  for (const k of ["acc", "drop"]) S[k].root.dataset.stale = !told;
  if (told) {
    S.drop.top.firstChild.textContent = "Drop, predicted";
    S.drop.num.textContent = figure(S, p.drop);
    S.drop.unit.textContent = d.acc.unit === "%" ? "pp" : "";
    S.drop.sub.replaceChildren(...words([[`[${figure(S, p.low)}, ${figure(S, p.high)}]`, "hide-n"], [`± ${figure(S, (p.high - p.low) / 2)}`, "only-n"]]));
    S.flips.replaceChildren(...words([[`from ${p.kind === "exact" ? "exact scores" : "estimates"}`, ""]]));
    const { place } = S.lib, tone = S.lib.tone(p.drop);
    S.drop.gauge.style.width = place(p.drop) * 100 + "%";
    S.drop.gauge.style.background = `var(--${tone})`;
    gauge(S, { dot: "hollow", fill: place(p.drop), band: [place(p.low), place(p.high)], tone });
    if (p.acc !== null) {
      S.acc.num.textContent = figure(S, p.acc);
      S.acc.sub.replaceChildren(...words([[`float ${figure(S, p.acc + p.drop)}`, ""]]));
      if (d.acc.unit === "%") S.acc.gauge.style.width = p.acc * 100 + "%";
    }
  }
  const [n, unit] = bytes(p.size), part = p.fp32bops ? p.bops / p.fp32bops : null;
  S.size.num.textContent = n.toFixed(n < 10 ? 2 : 1);
  S.size.unit.textContent = unit;
  S.size.sub.replaceChildren(...words([[`${(p.fp32 / Math.max(1, p.size)).toFixed(2)}×`, "b"], ["smaller", "hide-w"]]));
  S.size.gauge.style.width = (100 * p.size) / Math.max(1, p.fp32) + "%";
  if (part === null) return;
  S.bops.num.textContent = (part * 100).toFixed(2);
  S.bops.gauge.style.width = Math.min(1, part) * 100 + "%";
}

function paint(S, d, lib) {
  const open = !!d.acc;
  for (const e of [S.meters, S.btns, S.pick]) e.style.display = open ? "" : "none";
  links(S, d, lib);
  steps(S, d, lib);
  if (!open) S.classes.style.display = "none";
  S.job.style.display = d.job ? "" : "none";
  if (d.job) {
    S.jobText.textContent = d.job.text;
    S.jobEta.textContent = d.job.eta;
    S.jobBar.style.width = d.job.fraction * 100 + "%";
  }
  if (!open) return;
  lib.options(S.project, d.projects, d.project);
  lib.options(S.target, d.targets, d.target);
  for (const k of ["acc", "drop", "size", "bops"]) meter(S[k], d[k]);
  S.acc.top.firstChild.textContent = d.acc.label;
  S.flips.replaceChildren(...words(d.drop.flips));
  S.drop.top.firstChild.textContent = d.drop.label;
  gauge(S, d.drop);
  S.badge.className = "badge " + d.acc.badge;
  S.badge.textContent = d.acc.badgeText;
  S.badge.title = d.acc.badgeTitle;
  for (const [b, v] of [[S.undo, d.undo], [S.redo, d.redo]]) {
    b.disabled = !v.on;
    b.title = v.title;
  }
  sides(S, d.slots);
  classes(S, d.slots?.classes, lib);
  S.measure.textContent = d.measure.text;
  S.measure.title = d.measure.title;
  S.measure.setAttribute("aria-label", d.measure.title);
  S.measure.disabled = !d.measure.action;
  S.exp.disabled = d.page === "export";
  S.live.textContent = d.spoken;
}

function sides(S, d) {
  S.ab.style.display = d ? "" : "none";
  if (!d) return;
  for (const b of S.sides) {
    b.setAttribute("aria-pressed", b.textContent === d.active);
    b.title = d[b.textContent];
    b.setAttribute("aria-label", d[b.textContent]);
    b.dataset.empty = b.textContent === d.passive && !d.there;
  }
  S.copy.title = d.copy;
  S.copy.setAttribute("aria-label", d.copy);
}

// What the classes won and lost against the other side of the switch; muted where it may be chance.
function classes(S, d, { el }) {
  S.classes.style.display = d ? "" : "none";
  if (!d) return;
  S.classes.title = d.title;
  S.classes.setAttribute("aria-label", `${d.label}: ${d.chips.map(([name, change]) => `${name} ${change}`).join(", ")}; ${d.note}`);
  S.classes.replaceChildren(el("span", "who", d.label), ...d.chips.map(([name, change, tone]) => el("span", "chip " + tone, el("span", "n", name), el("b", "", change))), el("span", "note", d.note));
}

function links(S, d, { el }) {
  const key = JSON.stringify([d.pages, d.page]);
  if (S.nav.dataset.key === key) return;
  S.nav.dataset.key = key;
  S.nav.replaceChildren(
    ...d.pages.map((p) => {
      const a = el("a", "", p.label);
      a.href = p.href;
      if (p.id === d.page) a.setAttribute("aria-current", "page");
      a.onclick = (e) => {
        if (e.ctrlKey || e.metaKey || e.shiftKey) return;
        e.preventDefault();
        if (p.id !== d.page) S.send("page", p.id);
      };
      return a;
    }),
  );
}

function steps(S, d, { el, icon }) {
  const key = JSON.stringify(d.guide);
  if (S.guide.dataset.key === key) return;
  S.guide.dataset.key = key;
  S.guide.replaceChildren(
    ...d.guide.flatMap((g, i) => {
      const b = el("button", "step " + g.state, g.state === "done" ? icon("check", 11) : el("i"), g.label);
      b.type = "button";
      b.title = g.title;
      b.onclick = () => S.send("guide", g.label);
      return i ? [el("span", "thread"), b] : [b];
    }),
  );
}
