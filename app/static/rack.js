// The rack: canvas paint, DOM semantics. Streamlit calls the default function again only when `data` change: the rack
// updates in place, or lays out again for another graph. Static parts arrive once and are kept by their hash; what is
// missing is asked for. The rack sends its whole state; an older answer never overwrites a newer hand.
const q = new URL(import.meta.url).search;
const at = (name) => import(`./${name}.js${q}`);
const [State, Layout, Scale, Meter, Paint, Rails, Input, Hands, Words, Dom, Predict, Ahead] = await Promise.all(["rack_state", "rack_layout", "rack_scale", "rack_meter", "rack_paint", "rack_rails", "rack_input", "rack_hands", "rack_words", "rack_dom", "rack_predict", "rack_ahead"].map(at));

const RACKS = new WeakMap(), PARTS = new Map(); // parts by hash, for as long as the window lives
const PREFS = "desk.rack", RESEND = 4000, REST = 110, NEED = 700; // ms

export default function ({ data, parentElement, setTriggerValue, setStateValue }, lib) {
  const root = parentElement.querySelector(".rackroot");
  let R = RACKS.get(root);
  if (!R) RACKS.set(root, (R = new Rack(root, lib)));
  R.act = (a, v) => setTriggerValue("act", { a, v: v ?? null, t: Date.now() });
  R.send = (doc) => setStateValue("doc", doc);
  R.receive(data);
  window.__rack = R;
  return () => R.close();
}

class Rack {
  constructor(root, lib) {
    Object.assign(this, { root, lib, S: State.create(), parts: {}, drag: null, hover: null, ahead: null, looking: null, masterAt: null, draws: 0, times: [], disp: [], wanted: 0 });
    this.prefs = JSON.parse(sessionStorage.getItem(PREFS) || "{}");
    this.unit = this.prefs.unit || "kl";
    this.D = Dom.build(this, lib);
    Hands.listen(this);
    this.watch = new ResizeObserver(() => this.relayout());
    this.watch.observe(root);
    document.fonts?.load("500 11px Inter").then(() => this.ask());
    this.contrast = matchMedia("(forced-colors: active)");
    this.contrast.addEventListener("change", () => (this.readTokens(), this.relayout()));
  }
  close() {
    this.cancel();
    clearTimeout(this.resting);
    clearTimeout(this.resending);
    clearTimeout(this.needing);
  }

  // ---- data in
  receive(data) {
    if (this.root.dataset.theme !== data.theme) (this.root.dataset.theme = data.theme), this.readTokens(), (this.relegend = true);
    for (const [hash, part] of Object.entries(data.parts)) PARTS.set(hash, part);
    const missing = Object.values(data.have).filter((h) => h && !PARTS.has(h));
    if (missing.length) return this.need(missing);
    clearTimeout(this.needing);
    const S = this.S, fresh = this.have?.graph !== data.have.graph, ruled = fresh || this.have?.rules !== data.have.rules;
    const scored = fresh || this.have?.scores !== data.have.scores;
    this.data = data;
    if (fresh) this.open(PARTS.get(data.have.graph));
    if (ruled) State.setRules(S, PARTS.get(data.have.rules));
    if (scored) this.scores = data.have.scores ? PARTS.get(data.have.scores) : null;
    if (ruled || this.have?.ahead !== data.have.ahead) Ahead.setData(S, data.have.ahead ? PARTS.get(data.have.ahead) : null);
    this.sqnr = data.have.sqnr ? PARTS.get(data.have.sqnr).db : null;
    this.have = data.have;
    // Until the recipe is resolved, bytes and bit operations stay what the hand made of them.
    const before = S.live && !fresh && !data.live.exact ? this.totals() : null;
    const moved = this.drag ? "" : State.adopt(S, data.live);
    if (this.drag) S.live = data.live;
    else if (before && S.live.ack >= S.seq) Object.assign(S.live, { size: before.size, bops: before.bops });
    if (S.live.ack >= S.seq) clearTimeout(this.resending);
    this.D.note.textContent = data.live.note;
    this.D.note.title = data.live.note;
    this.chips();
    if (ruled) (this.grid = Layout.faderGrid(S.precisions.length)), (this.D.faders = this.grid.end);
    if (fresh || ruled || this.relegend) this.relayout();
    if (fresh || moved === "selection") this.show(S.cur);
    this.refresh();
    this.received = performance.now();
  }
  need(missing) {
    clearTimeout(this.needing); // what was sent may have been dropped by a newer run, and so may the question: asked again until it is there
    const ask = () => (this.act("need", missing), (this.needing = setTimeout(ask, 3 * NEED)));
    this.needing = setTimeout(ask, performance.now() - this.wanted > NEED ? 0 : NEED);
    this.wanted = performance.now();
  }
  open(graph) {
    State.setGraph(this.S, graph);
    this.disp = [];
    this.largest = Math.max(1, ...this.S.layers.map((l) => l.f + l.v * 4));
    const mine = this.prefs[this.data.have.graph] || {};
    this.density = mine.density || null;
    this.folded = new Set(mine.folded || []);
    this.relegend = true;
    this.D.count.textContent = `${this.S.n} layers · ${this.S.blocks.length} blocks`;
  }
  readTokens() {
    const css = getComputedStyle(this.root);
    this.t = Object.fromEntries(TOKENS.map((k) => [k, css.getPropertyValue("--" + k).trim()]));
  }
  keep() {
    this.prefs.unit = this.unit;
    this.prefs[this.data.have.graph] = { density: this.density, folded: [...this.folded] };
    sessionStorage.setItem(PREFS, JSON.stringify(this.prefs));
  }

  // ---- data out
  commit(why) {
    this.look(null);
    this.say(Ahead.between(this.S, this.S.was, Ahead.hand(this.S)));
    this.S.seq += 1;
    clearTimeout(this.resting);
    this.chips();
    this.refresh();
    this.post(why);
    this.preview(true);
  }
  chooses() {
    this.look(null);
    this.S.seq += 1;
    this.chips();
    this.refresh();
    clearTimeout(this.resting);
    this.resting = setTimeout(() => this.post("select"), REST);
  }
  post(why) {
    this.sent = performance.now();
    this.send(State.doc(this.S, this.data.have.graph, why));
    clearTimeout(this.resending); // an answer that never comes: the same document again
    this.resending = setTimeout(() => this.S.live.ack < this.S.seq && !this.drag && ((this.S.seq += 1), this.post("again")), RESEND);
  }
  moved() {
    this.foresee();
    this.preview(false);
    this.ask();
  }
  rest() {
    window.dispatchEvent(new CustomEvent("desk:preview", { detail: null }));
  }
  preview(done) {
    const { S } = this, total = this.totals();
    const said = { done, seq: S.seq, solo: S.solo.size, size: total.size, fp32: S.live.fp32, bops: total.bops, fp32bops: S.live.fp32bops, ...Predict.headline(this.scores, total) };
    window.dispatchEvent(new CustomEvent("desk:preview", { detail: said }));
  }
  flip() {
    window.dispatchEvent(new CustomEvent("desk:flip"));
  }

  totals() {
    Ahead.update(this.S);
    return { ...Scale.costs(this.S), ...Predict.sum(this.S, this.scores) };
  }

  // ---- layout
  setDensity(density) {
    this.density = density;
    this.keep();
    this.relayout();
    this.show(this.S.cur);
  }
  setUnit(unit) {
    this.unit = unit;
    this.keep();
    this.D.unit.sync();
    this.ask();
  }
  fold(blocks, on) {
    for (const b of blocks) on ? this.folded.add(`${b.name}@${b.i0}`) : this.folded.delete(`${b.name}@${b.i0}`);
    this.keep();
    this.relayout();
  }
  foldAll() {
    const many = this.S.blocks.filter((b) => b.n > 1);
    this.fold(many, !many.every((b) => this.folded.has(`${b.name}@${b.i0}`)));
  }
  relayout() {
    const W = this.root.clientWidth - 2 - Layout.RAIL - Layout.MASTER, { S, D } = this;
    if (!S.n || !this.grid || W < 50) return;
    this.density ||= Layout.roomiest(S, W);
    this.L = Layout.layout(S, W, this.density, this.folded);
    this.dpr = window.devicePixelRatio || 1;
    const { MAP, MASTER, RAIL, Y } = Layout;
    for (const [c, w, h] of [[D.mapLeft, RAIL, MAP], [D.map, W, MAP], [D.mapRight, MASTER, MAP], [D.rail, RAIL, Y.H], [D.strips, W, Y.H], [D.masterCanvas, MASTER, Y.H]]) {
      Object.assign(c, { width: Math.round(w * this.dpr), height: Math.round(h * this.dpr) });
      Object.assign(c.style, { width: w + "px", height: h + "px" });
    }
    D.scroll.style.height = Y.H + "px";
    if (this.relegend) Dom.legend(D, new Set(S.layers.map((l) => l.k)), this.t, this.lib), (this.relegend = false);
    const many = S.blocks.filter((b) => b.n > 1);
    D.fold.hidden = !many.length;
    D.fold.textContent = many.every((b) => this.folded.has(`${b.name}@${b.i0}`)) ? "Unfold blocks" : "Fold blocks";
    D.unit.sync();
    D.density.sync();
    this.refresh();
    Dom.placeSliders(D, this.L);
    this.draw();
  }
  show(i) {
    const it = this.L?.items[this.L.itemOf[i]], scroll = this.D.scroll, margin = 40;
    if (!it) return;
    if (it.x < scroll.scrollLeft + margin) scroll.scrollLeft = it.x - margin;
    else if (it.x + it.w > scroll.scrollLeft + this.L.W - margin) scroll.scrollLeft = it.x + it.w - this.L.W + margin;
    this.ask();
  }

  // ---- view and paint
  view() {
    const { S, L, grid, t, scores, unit, hover, focused, marquee, dpr, sqnr, largest } = this;
    const V = { S, L, grid, t, scores, unit, hover, focused, marquee, dpr, sqnr, largest, left: this.D.scroll.scrollLeft };
    V.total = this.totals();
    Object.assign(V, Predict.view(scores, S.n, V.total), { ahead: this.ahead, dragging: !!this.drag });
    V.figure = (it) => Words.figure(V, it);
    return V;
  }
  refresh() {
    if (!this.L) return;
    this.foresee();
    const V = this.view();
    Dom.sliders(this.D, V, Words, this.lib.el);
    Dom.master(this.D, V, Words);
    this.ask();
  }
  chips() {
    const { D, S, lib } = this;
    Dom.chipWords(D.solo, "S", S.solo.size, lib);
    Dom.chipWords(D.mute, "M", S.mute.size, lib);
    D.sel.hidden = S.sel.size < 2;
    D.sel.replaceChildren(lib.el("b", "", `${S.sel.size}`), " selected ×");
  }
  ask() {
    this.frame ||= requestAnimationFrame(() => ((this.frame = 0), this.draw()));
  }
  draw() {
    if (!this.L || !this.S.live) return;
    const begin = (this.begun = performance.now()), V = this.view(), { D, L, t } = this, x = D.strips.getContext("2d");
    const moving = this.animate(V);
    x.setTransform(this.dpr, 0, 0, this.dpr, 0, 0);
    x.fillStyle = t.surface;
    x.fillRect(0, 0, L.W, Layout.Y.H);
    x.translate(-V.left, 0);
    Paint.strips(x, V, V.left, V.left + L.W);
    x.setTransform(this.dpr, 0, 0, this.dpr, 0, 0);
    this.fades(x, V);
    Rails.rail(D.rail.getContext("2d"), V);
    Rails.master(D.masterCanvas.getContext("2d"), V);
    Rails.minimap(D.map.getContext("2d"), D.mapLeft.getContext("2d"), D.mapRight.getContext("2d"), V);
    this.draws += 1;
    this.painted = performance.now();
    this.times.push(this.painted - begin);
    if (this.times.length > 240) this.times.shift();
    if (moving) this.ask();
  }
  // Meters glide to their level within a few frames.
  animate(V) {
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    let moving = false;
    for (const it of this.L.items) {
      const level = Meter.levelOf(V, it), target = level ?? 0, i = it.ids[0], v = this.disp[i] ?? 0;
      it.known = level !== null;
      it.v = this.disp[i] = still || Math.abs(v - target) < 0.004 ? target : v + (target - v) * 0.34;
      moving ||= it.v !== target;
    }
    return moving;
  }
  // Faded edges tell that there is more.
  fades(x, V) {
    const { L, t } = this;
    if (!t.surface.startsWith("#")) return;
    for (const [on, from, to] of [[V.left > 1, 0, 18], [V.left < L.total - L.W - 1, L.W, L.W - 18]]) {
      if (!on) continue;
      const g = x.createLinearGradient(from, 0, to, 0);
      g.addColorStop(0, t.surface);
      g.addColorStop(1, t.surface + "00");
      x.fillStyle = g;
      x.fillRect(Math.min(from, to), 0, 18, Layout.Y.name);
    }
  }

  // ---- hands
  card(h, e) {
    Dom.tip(this.D, this.root, h?.it && h.zone !== "bracket" ? this.told(Words.card(this.view(), h, !!this.drag)) : null, e, this.lib.el);
  }
  masterCard(p, e) {
    this.masterAt = e ? p : null;
    this.foresee();
    Dom.tip(this.D, this.root, e && this.L ? this.told(Words.masterCard(this.view(), p)) : null, e, this.lib.el);
    this.ask();
  }
  hovers(h, e) {
    this.hover = h;
    this.foresee();
    this.card(h, e);
    this.ask();
  }
  // What the move under the hand would bring: that of a drag, else one looked at by keys, else that to the detent under the pointer.
  foresee() {
    const { S, drag, looking, hover, masterAt } = this, now = Ahead.hand(S);
    const over = hover?.it && hover.zone === "fader" && !hover.cap, to = (move) => Ahead.between(S, now, Ahead.after(S, move));
    if (drag) this.ahead = drag.from ? Ahead.between(S, { ...now, prec: drag.from, base: drag.base ?? S.base }, now) : null;
    else if (looking) this.ahead = Ahead.between(S, now, { ...now, ...looking });
    else if (masterAt !== null) this.ahead = to((other) => State.setBase(other, masterAt));
    else this.ahead = over ? to((other) => State.setTo(other, State.chosen(S, hover.it.ids), hover.p)) : null;
  }
  told(card) {
    if (!this.ahead) return card;
    const named = this.ahead.follows.length > 0 && !this.drag; // those who follow are named, so why they are linked need not be said
    return { ...card, why: named ? "" : card.why, ahead: Ahead.words(this.S, this.scores, this.ahead) };
  }
  say(A) {
    this.D.said.textContent = A ? Ahead.words(this.S, this.scores, A) : "";
  }
  // By keys: the card stands at the strip, or at the master, and the line is spoken.
  look(looking, master = false) {
    if (!looking && !this.looking) return;
    this.looking = looking;
    this.foresee();
    this.say(looking ? this.ahead : null);
    const { S, L, D, grid } = this, it = L.items[L.itemOf[S.cur]], r = (master ? D.master : D.scroll).getBoundingClientRect();
    const at = { clientX: r.left + (master ? r.width / 2 : it.x + it.w - D.scroll.scrollLeft), clientY: r.top + grid.y(0) - 60 };
    const card = looking && (master ? Words.masterCard(this.view(), null) : Words.card(this.view(), { it, zone: "strip" }, true));
    Dom.tip(D, this.root, card ? this.told(card) : null, at, this.lib.el);
    this.ask();
  }
  cancel() {
    Input.cancel(this);
    if (!this.L) return;
    this.look(null);
    this.card(null);
    this.refresh();
  }
  focus() {
    this.D.sliders.children[this.L.itemOf[this.S.cur]]?.focus({ preventScroll: true });
  }
}

const TOKENS = ["bg", "surface", "chassis", "raised", "raised2", "line", "soft", "text", "text2", "text3", "accent", "accent-ink", "solo-ink", "select", "ok", "mid", "hot", "off", "lane", "tick", "ghost", "conv", "pw", "dw", "gemm", "se", "cap1", "cap2", "base1", "base2", "capink", "shadow"];
