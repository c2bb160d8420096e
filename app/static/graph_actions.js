// What can be done on the graph, by pointer, keys and buttons alike: `S` gets one method for each.
const MODES = ["precision", "sensitivity", "share"];

export function actions(S) {
  const { lib } = S, save = () => sessionStorage.setItem("graph:" + S.d.graph, JSON.stringify({ folded: [...S.folded], mode: S.mode }));
  const refold = (name) => (save(), (S.anchor = S.g.facts.nodes.findIndex((n) => n[7] === name || n[7].startsWith(name)) ), S.tell({ a: "fold" }));
  S.repaint = () => (S.frame ||= requestAnimationFrame(S.paint));
  S.look = (v) => ((S.fitted = false), (S.v = lib.held(v, S.g.places, S.w, S.h)), S.repaint());
  S.zoom = (by) => S.look(lib.zoomAt(S.v, S.w / 2, S.h / 2, by));
  S.whole = () => ((S.v = lib.fit(S.g.places, S.w, S.h)), (S.fitted = true), S.repaint());
  S.light = () => (S.lit = new Set(S.g.members(S.at).flatMap((i) => [...S.g.into[i], ...S.g.out[i]])));
  S.setMode = (m) => ((S.mode = m), save(), S.bar(), S.repaint());
  S.nextMode = () => S.setMode(MODES[(MODES.indexOf(S.mode) + 1) % MODES.length]);
  S.fold = (name) => (S.folded.has(name) ? S.folded.delete(name) : S.folded.add(name), refold(name));
  S.foldAt = () => (S.g.inside[S.at] >= 0 ? S.fold(S.g.places.folded[S.g.inside[S.at]][4]) : S.g.facts.nodes[S.at][7] && S.fold(S.g.facts.nodes[S.at][7]));
  S.foldAll = () => ((S.folded = new Set(S.folded.size ? [] : S.g.facts.top)), (S.fitted = true), save(), S.tell({ a: "fold" }));
  S.clear = () => ((S.marked = -1), choose(S, []));
  S.pickAll = () => choose(S, S.g.facts.nodes.map((n) => n[3]).filter((l) => l >= 0));
  S.pick = (i, more = false, along = false) => pick(S, i, more, along);
  S.follow = (layer) => follow(S, layer);
  S.hovers = (found, x, y) => hovers(S, found, x, y);
  S.nextMark = (by) => S.marks.length && S.chooseMark((S.marked + by + S.marks.length) % S.marks.length);
  S.chooseMark = (k) => {
    const m = S.marks[k], near = S.v.k < 0.5 ? lib.zoomAt(S.v, S.w / 2, S.h / 2, 0.8 / S.v.k) : S.v;
    S.marked = k;
    S.look(lib.showing(near, [m.x - 20, m.y - 20, 40, 40], S.w, S.h, 40));
    hovers(S, { what: "mark", i: k }, m.x * S.v.k + S.v.x, m.y * S.v.k + S.v.y);
    S.told.textContent = m.words.join(". ");
  };
  S.expand = () => expand(S);
}

function pick(S, i, more, along) {
  const layers = S.g.members(i).map((n) => S.g.facts.nodes[n][3]).filter((l) => l >= 0);
  S.at = i;
  S.light();
  if (along && S.v) S.v = S.lib.showing(S.v, S.g.box(i), S.w, S.h);
  S.told.textContent = S.lib.spoken(S.g, S.live, i, S.lib);
  if (!layers.length) return S.repaint();
  const all = layers.every((l) => S.sel.has(l)), next = more ? new Set(S.sel) : new Set();
  layers.forEach((l) => (more && all ? next.delete(l) : next.add(l)));
  choose(S, [...next], layers[0]);
}

function choose(S, layers, cur = S.cur) {
  S.sel = new Set(layers);
  S.cur = cur;
  S.seq += 1;
  S.repaint();
  clearTimeout(S.timer);
  S.timer = setTimeout(() => S.tell({ a: "select", sel: layers.sort((a, b) => a - b), cur, seq: S.seq }), 110);
}

// The selection came from another view: its layer is current here too, and in sight.
function follow(S, layer) {
  const i = S.g.facts.nodes.findIndex((n) => n[3] === layer);
  if (i < 0 || i === S.at) return;
  S.at = i;
  S.light();
  if (!S.fitted) S.v = S.lib.showing(S.v, S.g.box(i), S.w, S.h);
}

function hovers(S, found, x, y) {
  const same = S.hover?.what === found?.what && S.hover?.i === found?.i && S.hover?.name === found?.name;
  S.hover = found;
  const { lib, g } = S, words = !found || found.what === "block" ? null : found.what === "mark" ? lib.markWords(S.marks[found.i]) : found.what === "node" ? lib.nodeWords(g, S.live, found.i, lib) : lib.blockWords(g, S.live, found.name, found.what === "folded", lib);
  S.card.classList.toggle("on", !!words);
  if (words) {
    if (!same) lib.card(S.card, words, lib);
    lib.put(S.card, x, y, S.w, S.h);
  }
  if (!same) S.repaint();
}

function expand(S) {
  S.expanded = !S.expanded;
  if (S.expanded) {
    S.host.style.minHeight = S.root.offsetHeight + "px";
    S.root.style.height = "";
    S.root.setAttribute("popover", "manual");
    S.root.showPopover();
  } else {
    S.root.hidePopover();
    S.root.removeAttribute("popover");
    if (S.d.height) S.root.style.height = S.d.height + "px";
    S.host.style.minHeight = "";
  }
  S.fitted = true;
  S.big.title = S.expanded ? "Back to the panel" : "Expand";
  S.big.setAttribute("aria-pressed", S.expanded);
  S.canvas.focus({ preventScroll: true });
}
