// The layer table: filters, sorting, selection and edits happen here at once; Python confirms.
// It sends its whole selection with a sequence number; an older answer never overwrites a newer hand.
const I = new WeakMap();
const COLS = [["", "c-box", null], ["layer", "c-name", null], ["op", "c-op", "o"], ["params", "num c-par", "p"], ["MACs", "num c-mac", "c"], ["size", "c-size", "size"], ["precision", "c-cap", "req"], ["effective, and why", "c-eff", null], ["SQNR, dB", "c-db", "sqnr"]];

export default function ({ data, parentElement, setTriggerValue, setStateValue }, lib) {
  const root = parentElement.querySelector(".layersroot");
  let S = I.get(root);
  if (!S) I.set(root, (S = build(root, lib)));
  S.act = (a, v) => setTriggerValue("act", { a, v: v ?? null, t: Date.now() });
  S.doc = (doc) => setStateValue("doc", doc);
  S.lib = lib;
  root.dataset.theme = data.theme;
  receive(S, data);
  window.__layers = S;
  return () => clearTimeout(S.timer);
}

function build(root, lib) {
  const { el, select, button } = lib;
  const S = { root, lib, seq: 0, sel: new Set(), cur: 0, anchor: 0, want: new Map(), rows: [], sort: null, f: { text: "", op: "", prec: "", own: false } };
  const refilter = () => filter(S);
  S.count = el("span", "cnt");
  S.settings = el("span", "settings");
  S.cal = button("", "Ranges: data, methods, overrides", () => S.act("calibration"), "Calibration");
  S.text = Object.assign(el("input", "find"), { type: "search", placeholder: "Find a layer or module", oninput: (e) => ((S.f.text = e.target.value.toLowerCase()), refilter()) });
  S.text.setAttribute("aria-label", "Find a layer or module");
  S.op = select("Op type", (v) => ((S.f.op = v), refilter()));
  S.prec = select("Precision filter", (v) => ((S.f.prec = v), refilter()));
  S.own = button("chip", "Only layers with a setting of their own", () => ((S.f.own = !S.f.own), S.own.setAttribute("aria-pressed", S.f.own), refilter()), "Overridden");
  S.selText = el("span", "selt");
  S.caps = el("span", "caps");
  S.head = el("tr");
  S.body = el("tbody");
  S.table = el("table", "lt", el("thead", "", S.head), S.body);
  S.scroll = el("div", "lt-scroll", S.table);
  S.foot = el("div", "lt-foot");
  S.menu = el("div", "menu");
  S.menu.setAttribute("role", "menu");
  root.append(el("div", "lt-bar", el("span", "ttl", "Layers"), S.count, el("span", "grow"), S.settings, S.cal),
    el("div", "lt-bar two", S.text, S.op, S.prec, S.own, el("span", "grow"), S.selText, S.caps), S.scroll, S.foot, S.menu);
  S.body.addEventListener("click", (e) => click(S, e));
  S.scroll.addEventListener("keydown", (e) => key(S, e));
  document.addEventListener("pointerdown", (e) => !e.composedPath().includes(S.menu) && close(S));
  return S;
}

function receive(S, d) {
  const fresh = S.d?.graph_id !== d.graph_id, { lib } = S;
  S.d = d;
  if (fresh) {
    S.rows = d.layers.map((l, i) => lib.makeRow(l, i, lib));
    S.seq = d.ack;
    S.sort = null;
    S.want.clear();
    head(S);
  }
  if (d.rev !== S.rev) S.want.clear();
  S.rev = d.rev;
  if (fresh || d.ack >= S.seq) {
    S.sel = new Set(d.sel);
    S.cur = d.cur;
  }
  for (const r of S.rows) lib.updateRow(r, d, S.want.get(r.i));
  lib.options(S.op, [["", "All ops"], ...[...new Set(d.layers.map((l) => l.o))].map((o) => [o, o])], S.f.op);
  lib.options(S.prec, [["", "All precisions"], ...[...new Set(d.eff.map((p, i) => (d.byp[i] ? "float" : p || d.req[i])))].sort().map((p) => [p, p])], S.f.prec);
  settings(S);
  S.cal.textContent = d.calibration.text;
  S.cal.dataset.state = d.calibration.state;
  S.cal.setAttribute("aria-pressed", d.calibration.open);
  S.foot.textContent = d.foot;
  filter(S);
  mark(S);
}

function head(S) {
  const { el } = S.lib;
  S.head.replaceChildren(
    ...COLS.map(([name, cls, k]) => {
      if (cls === "c-box") return el("th", cls, Object.assign(el("i", "box"), { onclick: () => pick(S, S.sel.size ? [] : S.shown.map((r) => r.i)), title: "All shown, or none" }));
      const th = el("th", cls + (k ? " can" : ""), name, el("span", "dir", S.sort?.k === k && k ? (S.sort.up ? " ▴" : " ▾") : ""));
      if (k) th.onclick = () => ((S.sort = S.sort?.k !== k ? { k, up: k === "sqnr" } : S.sort.up === (k === "sqnr") ? { k, up: k !== "sqnr" } : null), head(S), filter(S));
      return th;
    }),
  );
}

function settings(S) {
  const { el, select, options } = S.lib, d = S.d;
  const key = JSON.stringify(d.settings.map((s) => s.key));
  if (S.settings.dataset.key !== key) {
    S.settings.dataset.key = key;
    S.selects = d.settings.map((s) => select(s.label, (v) => (window.dispatchEvent(new CustomEvent("desk:moving")), S.act("setting", { key: s.key, value: v }))));
    S.settings.replaceChildren(...d.settings.map((s, i) => el("label", "set", el("span", "", s.label), S.selects[i])));
  }
  d.settings.forEach((s, i) => options(S.selects[i], s.options, s.value));
}

const value = (S, i, k) => (k === "size" ? S.d.size[i] : k === "sqnr" ? (S.d.sqnr[i] ?? 1e9) : k === "req" ? S.d.eff[i] || S.d.req[i] : S.d.layers[i][k]);
function filter(S) {
  const { d, f } = S;
  S.shown = S.rows.filter(({ i }) => {
    const l = d.layers[i], p = d.byp[i] ? "float" : d.eff[i] || d.req[i];
    return (!f.text || (l.n + " " + l.m).toLowerCase().includes(f.text)) && (!f.op || l.o === f.op) && (!f.prec || p === f.prec) && (!f.own || d.own[i]);
  });
  if (S.sort) {
    const s = S.sort.up ? 1 : -1;
    S.shown.sort((a, b) => ((x, y) => (x < y ? -s : x > y ? s : a.i - b.i))(value(S, a.i, S.sort.k), value(S, b.i, S.sort.k)));
  }
  const order = S.shown.map((r) => r.i).join();
  if (order !== S.order) {
    S.order = order;
    S.body.replaceChildren(...S.shown.map((r) => r.tr));
  }
  S.count.textContent = S.shown.length === S.rows.length ? `${S.rows.length}` : `${S.shown.length} of ${S.rows.length}`;
}

function mark(S) {
  for (const r of S.rows) {
    r.tr.classList.toggle("sel", S.sel.has(r.i));
    r.tr.classList.toggle("cur", r.i === S.cur);
    r.tr.tabIndex = r.i === S.cur ? 0 : -1;
    r.tr.setAttribute("aria-selected", S.sel.has(r.i));
  }
  actions(S);
}

// What a precision would meet in these layers: null when legal everywhere, else the first reason; none left when illegal in all.
const illegal = (S, ids, p) => {
  const bad = ids.map((i) => S.d.illegal[S.d.layers[i].n]?.[p]).filter(Boolean);
  return { reason: bad[0] || null, all: ids.length > 0 && bad.length === ids.length };
};
const targets = (S, i) => (i === undefined || S.sel.has(i) ? [...S.sel] : [i]);

function choices(S, ids, done) {
  const { button } = S.lib;
  const set = (p) => () => (done(), edit(S, ids.filter((i) => !S.d.illegal[S.d.layers[i].n]?.[p]), p));
  const caps = S.d.candidates.map((p) => {
    const no = illegal(S, ids, p), b = button("pcap" + (no.reason ? " no" : ""), no.reason || `Set ${p}`, set(p), S.lib.cap(p));
    b.disabled = !ids.length || no.all;
    b.dataset.p = p;
    return b;
  });
  const byp = ids.length > 0 && ids.every((i) => S.d.byp[i]);
  const mute = button("pcap", "Keep these layers in float", () => (done(), edit(S, ids, byp ? "base" : "bypass")), byp ? "Unbypass" : "Bypass");
  const base = button("pcap", "Drop their own settings", () => (done(), edit(S, ids, "base")), "Base");
  mute.disabled = base.disabled = !ids.length;
  return [...caps, mute, base];
}

function actions(S) {
  const ids = [...S.sel];
  S.selText.textContent = ids.length > 1 ? `${ids.length} selected` : ids.length ? "1 selected" : "none selected";
  S.caps.replaceChildren(...choices(S, ids, () => {}));
}

function edit(S, ids, p) {
  if (!ids.length) return;
  for (const i of ids) {
    S.want.set(i, p);
    S.lib.updateRow(S.rows[i], S.d, p);
  }
  window.dispatchEvent(new CustomEvent("desk:moving"));
  S.act("set", { layers: ids.map((i) => S.d.layers[i].n), to: p });
}

function pick(S, ids, cur) {
  S.sel = new Set(ids);
  if (cur !== undefined) S.cur = cur;
  S.seq += 1;
  mark(S);
  clearTimeout(S.timer);
  S.timer = setTimeout(() => S.doc({ sel: [...S.sel], cur: S.cur, seq: S.seq, graph: S.d.graph_id }), 110);
}

function range(S, a, b) {
  const o = S.shown.map((r) => r.i), [x, y] = [o.indexOf(a), o.indexOf(b)].sort((p, q) => p - q);
  return x < 0 ? [b] : o.slice(x, y + 1);
}

function click(S, e) {
  const tr = e.target.closest("tr"), i = tr ? +tr.dataset.i : -1;
  if (i < 0) return;
  if (e.target.closest(".cap")) return open(S, i, e.target.closest(".cap"));
  const toggle = e.ctrlKey || e.metaKey || e.target.closest(".c-box");
  if (e.shiftKey) pick(S, range(S, S.anchor, i), i);
  else {
    S.anchor = i;
    const next = new Set(S.sel);
    if (toggle) next.has(i) ? next.delete(i) : next.add(i);
    pick(S, toggle ? next : [i], i);
  }
  tr.focus({ preventScroll: true });
}

function open(S, i, at) {
  const ids = targets(S, i), { el } = S.lib;
  S.menu.replaceChildren(el("div", "mt", ids.length > 1 ? `${ids.length} layers` : S.d.layers[i].n),
    ...choices(S, ids, () => close(S)).map((b) => el("div", "mi", b, el("span", "", b.classList.contains("no") ? b.title : b.dataset.p === S.d.base ? "the base" : ""))));
  const a = at.getBoundingClientRect(), r = S.root.getBoundingClientRect();
  S.menu.classList.add("open");
  const h = S.menu.offsetHeight, below = a.bottom - r.top + 4;
  S.menu.style.top = (below + h > r.height ? Math.max(4, a.top - r.top - h - 4) : below) + "px";
  S.menu.style.left = Math.min(a.left - r.left, r.width - S.menu.offsetWidth - 8) + "px";
  S.menu.querySelector("button:not(:disabled)")?.focus();
}
const close = (S) => S.menu.classList.remove("open");

function key(S, e) {
  const o = S.shown.map((r) => r.i), at = o.indexOf(S.cur), go = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: o.length - 1, PageDown: at + 10, PageUp: at - 10 }[e.key];
  const p = S.d.candidates[+e.key - 1];
  if (e.ctrlKey && e.key === "a") pick(S, o);
  else if (e.ctrlKey || e.metaKey || e.altKey) return;
  else if (go !== undefined && o.length) {
    const i = o[Math.max(0, Math.min(o.length - 1, go))];
    if (!e.shiftKey) S.anchor = i;
    pick(S, e.shiftKey ? range(S, S.anchor, i) : [i], i);
    S.rows[i].tr.focus({ preventScroll: true });
    S.rows[i].tr.scrollIntoView({ block: "nearest" });
  } else if (e.key === "Escape") S.menu.classList.contains("open") ? close(S) : pick(S, []);
  else if (p) edit(S, [...S.sel].filter((i) => !S.d.illegal[S.d.layers[i].n]?.[p]), p);
  else if (e.key === "m") edit(S, [...S.sel], "bypass");
  else if (e.key === "Backspace") edit(S, [...S.sel], "base");
  else return;
  e.preventDefault();
}
