// The graph view. Python lays the network out and sends each picture once; here it is coloured, looked at and folded.
// Every message carries the whole wish (selection, folds, shape of the panel), never a delta; an older answer never
// overwrites the selection of a newer hand.
const I = new WeakMap(), FACTS = new Map(), PLACES = new Map();
const MODES = [["precision", "Precision"], ["sensitivity", "Sensitivity"], ["share", "Share"]];
const HELP = "Network graph. Arrow keys go along the edges, Enter folds a block, plus and minus zoom, 0 shows all, n goes to the next type change, c changes the colours, x expands.";
const ICONS = { fit: "M3 6V3h3M10 3h3v3M13 10v3h-3M6 13H3v-3", expand: "M9.5 2.5h4v4M13.5 2.5 9 7M6.5 13.5h-4v-4M2.5 13.5 7 9", fold: "M4 5.5 8 2l4 3.5M4 10.5 8 14l4-3.5M2.5 8h11" };

export default function ({ data, parentElement, setTriggerValue }, lib) {
  const root = parentElement.querySelector(".graphroot");
  let S = I.get(root);
  if (!S) I.set(root, (S = build(root, parentElement, lib)));
  S.tell = (m) => setTriggerValue("act", { folded: [...S.folded], aspect: S.aspect, ...m, t: Date.now() });
  receive(S, data);
  window.__graph = S;
  return () => (S.watch.disconnect(), clearTimeout(S.timer), clearTimeout(S.shaping), cancelAnimationFrame(S.frame));
}

function build(root, host, lib) {
  const { el, button } = lib;
  const S = { root, host: host.host || host, lib, folded: new Set(), mode: "precision", v: { k: 1, x: 0, y: 0 }, at: 0, seq: 0, sel: new Set(), marks: [], marked: -1, lit: new Set(), fade: 1, w: 0, h: 0, aspect: 1.5 };
  const tool = (name, label, act) => button("ico", label, act, drawn(ICONS[name], lib));
  S.seg = el("span", "seg", ...MODES.map(([m, words]) => button("", `Colour by ${words.toLowerCase()}`, () => S.setMode(m), words)));
  S.seg.querySelectorAll("button").forEach((b) => b.classList.remove("btn"));
  S.chip = button("chg", "Type changes: go to the next", () => S.nextMark(1));
  S.all = tool("fold", "Fold all blocks", () => S.foldAll());
  S.big = tool("expand", "Expand", () => S.expand());
  S.count = el("span", "cnt");
  S.canvas = Object.assign(el("canvas", "cv"), { tabIndex: 0 });
  for (const [k, v] of [["role", "application"], ["aria-roledescription", "network graph"], ["aria-label", HELP]]) S.canvas.setAttribute(k, v);
  S.card = el("div", "gcard");
  S.legend = el("div", "glegend");
  S.told = el("div", "sr");
  S.told.setAttribute("aria-live", "polite");
  S.stage = el("div", "gstage", S.canvas, S.legend, S.card);
  root.append(el("div", "gbar", el("span", "ttl", "Network"), S.count, S.seg, el("span", "grow"), S.chip, S.all, button("ico", "Zoom out", () => S.zoom(1 / 1.3), "−"), button("ico", "Zoom in", () => S.zoom(1.3), "+"), tool("fit", "Show all", () => S.whole()), S.big), S.stage, S.told);
  S.watch = new ResizeObserver(() => resized(S));
  S.watch.observe(S.stage);
  S.paint = () => paint(S);
  S.bar = () => bar(S);
  lib.actions(S);
  lib.listen(S);
  return S;
}

const drawn = (d, { svg }) => svg(16, 16, ["path", { d, fill: "none", stroke: "currentColor", "stroke-width": 1.5, "stroke-linecap": "round", "stroke-linejoin": "round" }]);

function receive(S, d) {
  const fresh = S.d?.graph !== d.graph, themed = S.d?.theme !== d.theme;
  S.d = d;
  if (d.facts) FACTS.set(d.graph, d.facts);
  if (d.places) keep(PLACES, d.place, d.places);
  S.root.dataset.theme = d.theme;
  S.root.style.height = S.expanded || !d.height ? "" : d.height + "px";
  if (themed || !S.c) S.c = S.lib.palette(S.root);
  if (!FACTS.has(d.graph) || !PLACES.has(d.place)) return lacks(S);
  if (fresh) begin(S, d);
  S.live = { ...d.live, total: d.live.size.reduce((a, b) => a + b, 0) || 1, largest: Math.max(1, ...d.live.size) };
  show(S, PLACES.get(d.place));
  if (d.ack >= S.seq) {
    S.sel = new Set(d.sel);
    if (d.cur !== S.cur) S.follow(d.cur);
    S.cur = d.cur;
  }
  bar(S);
  S.repaint();
}

function keep(map, key, value, most = 12) {
  map.delete(key);
  map.set(key, value);
  if (map.size > most) map.delete(map.keys().next().value);
}

// Python takes a picture as delivered once it has sent it; a run that was overtaken may have lost it.
function lacks(S) {
  if (S.asked === S.d.place) return;
  S.asked = S.d.place;
  S.tell({ a: "lacks" });
}

function begin(S, d) {
  const kept = JSON.parse(sessionStorage.getItem("graph:" + d.graph) || "null");
  S.g = null;
  S.seq = d.ack;
  S.mode = kept?.mode || S.mode;
  S.folded = new Set(kept?.folded || d.folded);
  S.at = Math.max(0, FACTS.get(d.graph).nodes.findIndex((n) => n[3] === d.cur));
  S.cur = d.cur;
  if (String([...S.folded].sort()) !== String(d.folded)) S.tell({ a: "fold" });
}

function show(S, places) {
  if (S.g?.places === places && S.g.facts.id === S.d.graph) return void (S.marks = S.lib.markPlaces(S.g, S.d.live.marks, S.d.live.said));
  const before = S.g?.places, anchor = S.g && S.anchor != null && S.g.box(S.anchor);
  S.g = S.lib.joined(FACTS.get(S.d.graph), places);
  S.marks = S.lib.markPlaces(S.g, S.d.live.marks, S.d.live.said);
  S.asked = null;
  S.hovers(null);
  if (!before || !anchor || S.fitted) S.v = S.w ? S.lib.fit(places, S.w, S.h) : S.v;
  else {
    const now = S.g.box(S.anchor);
    S.v = { k: S.v.k, x: S.v.x + (anchor[0] - now[0]) * S.v.k, y: S.v.y + (anchor[1] - now[1]) * S.v.k };
  }
  S.fitted = !before || S.fitted;
  S.anchor = null;
  S.light();
  S.move = before && !matchMedia("(prefers-reduced-motion: reduce)").matches ? { from: before, t0: performance.now() } : null;
}

function bar(S) {
  const n = S.d.live.changes, words = n == null ? "…" : `${n} type change${n === 1 ? "" : "s"}`;
  const layers = S.g.facts.nodes.filter((x) => x[3] >= 0).length;
  S.count.textContent = `${layers} layers, ${S.g.facts.nodes.length - layers} others`;
  S.chip.textContent = words;
  S.chip.disabled = !S.marks.length;
  S.chip.setAttribute("aria-label", `${words}: go to the next`);
  S.chip.title = n ? "Changes of type along an edge; each is a conversion that the device runs. Click: go to the next" : "No tensor changes its type along an edge";
  [...S.seg.children].forEach((b, i) => b.setAttribute("aria-pressed", MODES[i][0] === S.mode));
  S.all.hidden = !S.g.facts.top.length;
  S.all.setAttribute("aria-pressed", S.folded.size > 0);
  S.all.title = S.folded.size ? "Open all blocks" : "Fold all blocks";
  S.lib.legend(S.legend, S.live, S.mode, (token, share) => S.lib.blend(S.c.off, S.c[token], share), S.lib);
}

function resized(S) {
  const r = S.stage.getBoundingClientRect(), dpr = window.devicePixelRatio || 1, before = [S.w, S.h];
  if (!r.width || !r.height || (r.width === S.w && r.height === S.h && S.dpr === dpr)) return;
  [S.w, S.h, S.dpr] = [r.width, r.height, dpr];
  S.canvas.width = Math.round(r.width * dpr);
  S.canvas.height = Math.round(r.height * dpr);
  if (!S.g) return;
  S.v = S.fitted || !before[0] ? S.lib.fit(S.g.places, S.w, S.h) : { ...S.v, x: S.v.x + (S.w - before[0]) / 2, y: S.v.y + (S.h - before[1]) / 2 };
  paint(S);
  clearTimeout(S.shaping);
  S.shaping = setTimeout(() => {
    const shape = S.lib.aspect(S.w, S.h);
    if (shape !== S.aspect) (S.aspect = shape), S.tell({ a: "shape" });
  }, 140);
}

function paint(S) {
  S.frame = 0;
  if (!S.g || !S.w) return;
  const t = S.move ? Math.min(1, (performance.now() - S.move.t0) / 220) : 1;
  if (t >= 1) S.move = null;
  const look = (i) => S.lib.look(S.live, S.mode, i);
  S.lib.paint(S.canvas.getContext("2d"), { g: S.g, p: S.lib.between(S.move?.from, S.g.places, t), v: S.v, c: S.c, w: S.w, h: S.h, dpr: S.dpr, live: S.live, look, lib: S.lib, sel: S.sel, at: S.at, hover: S.hover, marks: S.move ? [] : S.marks, marked: S.marked, lit: S.lit, fade: t * t, focus: S.focus });
  if (S.move) S.repaint();
}
