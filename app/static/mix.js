// The mixer: targets, plot, mix and reasons over one state. The hand's targets are answered here in the same frame; they go to
// Python with a sequence number on release, which proves the answer, and an older answer never overwrites a newer hand.
const I = new WeakMap(), COLORS = ["surface", "soft", "line", "text", "text2", "text3", "accent", "select", "ok", "hot", "ghost", "conv", "pw", "dw", "gemm", "se"];
const FACTOR = { drop: 1, size: 100, bops: 100, bits: 1 };

export default function ({ data, parentElement, setTriggerValue, setStateValue }, lib) {
  const root = parentElement.querySelector(".mixroot");
  let S = I.get(root);
  if (!S) I.set(root, (S = build(root, { ...lib, ...figures })));
  S.act = (a, v) => setTriggerValue("act", { a, v: v ?? null, doc: doc(S), t: Date.now() });
  S.send = () => setStateValue("doc", doc(S));
  root.dataset.theme = data.theme;
  receive(S, data);
  window.__mix = S;
  return () => S.watch.disconnect();
}

const doc = (S) => ({ ...S.doc, seq: S.seq });
const scaled = (v, list) => ((f) => (f ? `${(v / f[0]).toFixed(v / f[0] < 10 ? 2 : 1)} ${f[1]}` : `${Math.round(v)}${list.at(-1)[1] === "kB" ? " B" : ""}`))(list.find(([k]) => v >= k));
const figures = { bytes: (v) => scaled(v, [[1e9, "GB"], [1e6, "MB"], [1e3, "kB"]]), count: (v) => scaled(v, [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]]) };

function build(root, lib) {
  const { el, button } = lib, S = { root, lib, seq: 0, rev: -1, doc: { lim: {}, on: [], keep: false, judge: "estimate", aim: "bops" }, space: null, at: -1, picked: null, last: null, fresh: true, y: "drop", tab: "changed", hover: -1 };
  S.factor = (name) => (name === "drop" ? S.d.scale : name === "latency" ? 1 / S.time.per : FACTOR[name]);
  S.time = { per: 1, unit: "µs" };
  S.ends = (name) => ends(S, name);
  S.limit = (name, value, done) => limit(S, name, value, done);
  S.edit = (change) => (Object.assign(S.doc, change), settle(S, true));
  S.show = (m) => ((S.picked = m), paint(S));
  S.select = (i) => ((S.at = i), (S.chosen = true), paint(S));
  S.repaint = () => paintPlot(S);
  S.left = lib.targets(S, lib);
  S.plot = lib.plotView(S, lib);
  S.scale = lib.segments(lib, "The plot's height", [["drop", "Accuracy drop"], ["kl", "Output KL"]], (v) => ((S.y = v), S.repaint()));
  S.tabs = lib.segments(lib, "Beside it", [["changed", "What changes"], ["decisions", "Decisions"], ["takes", "What does it take?"]], (v) => ((S.tab = v), paint(S)));
  Object.assign(S, { state: el("p", "mx-state"), legend: el("div", "mx-legend"), badge: el("span", "mx-badge"), shownAs: el("b", "mx-as"), facts: el("div", "mx-facts"), canvas: el("canvas"), cap: el("div", "mx-legend"), layerCard: el("div", "mx-card"), live: el("output", "mx-live"), why: el("div", "mx-why"), aside: el("div", "mx-why"), back: button("tiny", "Back to the answer of the targets", () => S.show(null), "Back to the targets"), load: button("primary", "Load on the desk", () => load(S), "Load on the desk") });
  S.strip = el("div", "mx-strip", S.canvas, S.layerCard, S.live);
  strips(S);
  root.append(S.left.root, el("section", "mx-panel mx-top", el("div", "mx-head", el("b", "", "Any budget at once"), S.scale.root, el("span", "grow"), el("span", "mx-gap")), S.state, S.plot.area, S.legend),
    el("section", "mx-panel mx-mix", el("div", "mx-head", S.badge, S.shownAs, S.facts, el("span", "grow"), S.back, S.load), S.strip, S.cap),
    el("section", "mx-panel mx-below", el("div", "mx-head", el("b", "", "Why these bits")), S.why), el("section", "mx-panel mx-below", el("div", "mx-head", S.tabs.root), S.aside));
  S.scale.say(S.y);
  S.watch = new ResizeObserver(() => S.d && paint(S));
  S.watch.observe(S.plot.area);
  S.watch.observe(S.strip);
  return S;
}

// The ends of a slider: what the mixes can reach; drops from a twentieth of a point to a fifth.
function ends(S, name) {
  if (name === "drop") return S.d.unit === "pp" ? [0.0005, 0.2] : [1e-4, 1];
  if (!S.space) return name === "bits" ? [2, 16] : [0.02, 1];
  if (name === "latency" && !S.space.timed) return [0, 1];
  S.reach[name] ??= S.lib.reach(S.space, name).map((v) => v / { size: S.space.fp32.size_bytes, bops: S.space.fp32.bops, bits: 1, latency: 1 }[name]);
  return S.reach[name];
}

// A limit by the hand: the mix follows in this frame; on release Python is told.
function limit(S, name, value, done) {
  const lim = { ...S.doc.lim };
  if (value == null) delete lim[name];
  else lim[name] = value;
  S.doc.lim = lim;
  S.picked = null;
  settle(S, done);
}

function settle(S, done) {
  S.seq += 1;
  S.moving = !done;
  if (S.fresh) [S.last, S.fresh] = [S.shown?.p ?? null, false]; // the mix that the hand left before
  if (done) S.fresh = true;
  paint(S);
  if (done) S.send();
}

function receive(S, d) {
  if (d.space) {
    Object.assign(S, { space: d.space, part: d.space.hash, reach: {}, hulls: {} });
    S.time = d.space.timed && S.lib.reach(d.space, "latency")[1] >= 1e4 ? { per: 1e3, unit: "ms" } : { per: 1, unit: "µs" };
  }
  else if (d.part && d.part !== S.part) S.act("need", d.part); // a window that was reloaded lacks what was sent before
  S.d = d;
  if (d.ack >= S.seq || d.rev !== S.rev) {
    Object.assign(S, { doc: structuredClone(d.doc), seq: Math.max(d.ack, S.seq), rev: d.rev });
  }
  S.root.dataset.state = !S.space ? "scoring" : d.job && d.job.name !== "frontier" ? "running" : "ready";
  S.root.dataset.measured = d.marks.filter((m) => m.kind !== "promise").length;
  paint(S);
}

// What is looked at: a picked point, a place on the frontier, or the answer to the targets; proven where Python has said so.
function shown(S) {
  const { space, lib, d, picked } = S;
  if (!space) return null;
  if (picked?.p) {
    const fresh = d.marks.find((m) => m.id === picked.id) ?? picked;
    return { ...fresh, id: picked.id, p: lib.unpack(fresh.p ?? picked.p), rate: 0, score: fresh.kl, how: "measured", as: fresh.words.split(": measured")[0] };
  }
  const told = (r) => ({ ...r, drop: lib.dropAt(d.curve, r.score) });
  if (picked?.kind === "frontier") {
    const all = space.frontiers.filter((f) => f.column === S.doc.aim).map((f) => lib.walk(f, { [S.doc.aim]: picked.cost })).filter((r) => !r.over);
    const best = all.reduce((a, b) => (b.score < a.score ? b : a), all[0]);
    return best && { ...told(best), id: picked.id, how: "predicted", as: "A point of the frontier" };
  }
  const fast = told(lib.solve(space, S.doc, d.curve)), proven = d.ack >= S.seq && d.exact?.state === "known" && !fast.over ? d.exact : null;
  if (!proven) return { ...fast, id: "solution", how: "predicted", as: "The answer to the targets" };
  return { ...fast, ...proven, ...told({ score: proven.score }), p: lib.unpack(proven.p), id: "solution", how: "predicted", exact: true, as: proven.proven ? "The answer to the targets, proven" : "The answer to the targets, best found" };
}

// Until a layer is chosen, the one that costs the most accuracy is told about.
function worst(S) {
  const { p } = S.shown ?? {}, score = (i) => S.space.options[i].find((o) => o[0] === p[i])?.[1] ?? 0;
  return p ? p.reduce((best, _, i) => (score(i) > score(best) ? i : best), 0) : -1;
}

function paint(S) {
  S.shown = shown(S);
  if (!S.chosen && S.space) S.at = worst(S);
  S.left.say();
  paintPlot(S);
  mixHead(S);
  paintStrip(S);
  S.tabs.say(S.tab);
  clearTimeout(S.later);
  if (S.moving) S.later = setTimeout(() => ((S.moving = false), paint(S)), 90); // while the hand moves, the words wait
  else told(S);
}

function told(S) {
  kept(S, S.why, () => S.lib.why(S, S.lib), [S.at, S.shown?.p, S.doc.aim, S.part, S.d.why]);
  kept(S, S.aside, () => S.lib[S.tab](S, S.lib), [S.tab, S.shown?.p, S.last, S.d.now, S.d.takes, S.d.decisions, S.d.job?.name, S.d.off]);
}

// Made anew only where what it says has changed, so that a focus or a scroll is not disturbed.
function kept(S, place, make, parts) {
  const key = JSON.stringify(parts);
  if (place.dataset.key !== key) [place.dataset.key] = [key, place.replaceChildren(...make())];
}

function paintPlot(S) {
  const { d, space, lib, shown: at, doc } = S;
  S.state.textContent = d.state;
  if (!space) return lib.paintPlot(S, S.plot, null, d.off || (d.job ? `${d.job.text} ${d.job.left}`.trim() : "Waiting for the scores of the layers"));
  const axis = doc.aim === "latency" && !space.timed ? "bops" : doc.aim, whole = { size: space.fp32.size_bytes, bops: space.fp32.bops, latency: 1 }[axis], curve = d.curve?.enough ? d.curve : null, y = curve || d.marks.length ? S.y : "kl";
  S.scale.say(y);
  S.hulls[axis] ??= lib.envelope(space, axis);
  const frontier = S.hulls[axis].map(([c, s]) => [c, y === "kl" ? s : curve ? lib.dropAt(curve, s).value * d.scale : null]);
  const marks = [...d.marks, ...desk(d, y)];
  if (at && at.how === "predicted") marks.push({ id: "solution", kind: "solution", predicted: true, size: at.size, bops: at.bops, latency: at.latency, drop: at.drop?.value ?? null, lo: at.drop?.low, hi: at.drop?.high, kl: at.score, words: "", p: at.p });
  S.view = { axis, y, time: S.time, unit: d.unit, scale: d.scale, fp32: space.fp32, frontier, marks, limit: doc.lim.drop ?? null, budget: doc.lim[axis] == null ? null : doc.lim[axis] * whole, shown: at?.id };
  lib.paintPlot(S, S.plot, S.view);
  legend(S, marks.filter((m) => !S.plot.g || lib.place(S.view, S.plot.g, m)));
}

// The recipe on the desk: measured where it was run (older measurements know no KL: then its sum of scores stands on that axis).
function desk(d, y) {
  const n = d.now, out = [];
  if (!n) return out;
  const base = { size: n.size, bops: n.bops, latency: n.latency };
  if (n.measured && (y !== "kl" || n.kl != null)) out.push({ ...base, id: "now", kind: "now", drop: n.measured[0], lo: n.measured[1], hi: n.measured[2], kl: n.kl ?? null, words: `On the desk: measured on ${n.measured[3].toLocaleString("en")} samples, all of the evaluation data` });
  else out.push({ ...base, id: "nowp", kind: "nowp", predicted: true, drop: n.predicted?.[0] ?? null, lo: n.predicted?.[1], hi: n.predicted?.[2], kl: n.score, words: "" });
  return out;
}

function legend(S, marks) {
  const has = (f) => marks.some(f), items = [["front", "frontier, predicted"], ["solution", "the mix below, predicted", (m) => m.kind === "solution"], ["dot", "searched, measured", (m) => m.method === "search"], ["diamond", "promise, unused half", (m) => m.kind === "promise"], ["square", "on the desk, measured", (m) => m.kind === "now"], ["squarep", "on the desk, predicted", (m) => m.kind === "nowp"], ["triangle", "AIMET's procedure", (m) => m.method === "amp"], ["cross", "worst 20 % widened", (m) => m.method === "lite"]];
  const shown = items.filter(([, , f]) => !f || has(f)), key = shown.map(([k]) => k).join();
  if (S.legend.dataset.key === key) return;
  S.legend.dataset.key = key;
  S.legend.replaceChildren(...shown.map(([k, words]) => S.lib.el("span", "", S.lib.el("i", `k ${k}`), words)), S.lib.el("span", "r", "hollow: predicted, filled: measured; whiskers 95 %"));
}

function mixHead(S) {
  const { shown: s, d, space, lib } = S, { el } = lib;
  S.load.disabled = !s?.p || !!s.over || same(S);
  S.load.title = s?.over ? "No mix keeps to this budget" : same(S) ? "The desk has this mix" : "Write this mix into the recipe; undo takes it out";
  S.back.hidden = !S.picked;
  S.badge.className = `mx-badge ${s?.how ?? ""}`;
  S.badge.textContent = s?.how ?? "";
  S.root.dataset.how = s?.how ?? "";
  S.root.dataset.exact = s?.exact ? "yes" : "no";
  if (!s) return S.facts.replaceChildren();
  S.shownAs.textContent = s.as;
  const pp = (v) => `${(v * d.scale).toFixed(d.unit === "pp" ? 2 : 4)}`.replace("-", "−"), share = (v, all) => `${((100 * v) / all).toPrecision(3)} %`;
  const drop = s.how === "measured" ? { value: s.drop, low: s.lo, high: s.hi } : s.drop, fact = (n, v, more, cls) => el("span", cls || "", el("i", "", n), el("b", "", v), more && el("em", "", more));
  const missed = s.how === "predicted" && s.asked && !s.reached, blind = s.how === "predicted" && S.doc.lim.drop != null && !s.asked, over = s.over && { size: "the size", bops: "the compute", bits: "the bits", latency: "the latency" }[s.over];
  S.facts.replaceChildren(...[drop ? fact("drop", `${pp(drop.value)} ${d.unit}`, drop.low == null ? "" : `${pp(drop.low)} to ${pp(drop.high)}`, missed ? "hot" : "") : fact(s.how === "measured" ? "KL" : "score", s.score.toPrecision(3), "nats"), fact("size", lib.bytes(s.size), share(s.size, space.fp32.size_bytes)), fact("compute", share(s.bops, space.fp32.bops), space.timed ? "" : "of FP32"), fact("bits", (s.bits ?? 0).toFixed(2), space.timed ? "" : "a weight"), space.timed && s.latency != null ? fact("latency", `${lib.three(s.latency / S.time.per)} ${S.time.unit}`) : null, missed ? el("span", "hot", "misses the drop") : null, blind ? Object.assign(el("span", "hot", "drop unknown yet"), { title: "The curve that turns scores into a drop has too few measured recipes: the drop's limit is not counted until Search measures" }) : null, over ? el("span", "hot", `below the least possible: ${over}`) : null].filter(Boolean));
}

const same = (S) => !!S.d.now && !!S.shown?.p && S.d.now.p === S.lib.pack(S.shown.p);

function load(S) {
  const s = S.shown, label = [s.how, ...Object.entries(S.doc.lim).map(([n, v]) => `${n} ${+(v * S.factor(n)).toPrecision(3)}${n === "drop" ? ` ${S.d.unit}` : n === "bits" ? "" : n === "latency" ? ` ${S.time.unit}` : " %"}`)].join(", ");
  S.act("load", S.picked?.p ? { mark: S.picked.id, p: S.lib.pack(s.p), base: s.base, label: s.as } : { exact: !!s.exact && !S.picked, p: S.lib.pack(s.p), base: s.base, label });
}

function strips(S) {
  S.strip.tabIndex = 0;
  S.strip.setAttribute("role", "application");
  S.strip.setAttribute("aria-roledescription", "row of layers");
  S.live.setAttribute("aria-live", "polite");
  const at = (e) => S.lib.layerAt(S.g, e.offsetX), tell = (i) => `${S.space.layers[i]}: ${S.space.names[S.shown.p[i]] ?? "float"}${S.space.fixed[i] ? `, stays: ${S.space.fixed[i]}` : ""}`;
  S.canvas.onpointermove = (e) => S.space && S.shown?.p && hover(S, at(e), e.offsetX);
  S.canvas.onpointerleave = () => hover(S, -1, 0);
  S.canvas.onclick = (e) => S.space && S.select(at(e));
  S.strip.onkeydown = (e) => {
    if (!S.space || !S.shown?.p || !/^(Arrow(Left|Right)|Home|End|Page)/.test(e.key)) return;
    S.select(S.lib.moveTo(S.g, S.at, e.key));
    S.live.textContent = tell(S.at);
    e.preventDefault();
  };
}

function hover(S, i, x) {
  if (i === S.hover) return;
  S.hover = i;
  S.layerCard.classList.toggle("on", i >= 0);
  if (i >= 0) {
    const { space: sp, shown: s, lib } = S, now = S.d.now ? lib.unpack(S.d.now.p)[i] : -1, told = lib.reasons(sp, s, S.doc.aim, i, S.d.why, lib.thresholds), mine = told.rows.find((r) => r.now);
    const moved = now >= 0 && now !== s.p[i] ? `, on the desk ${sp.names[now]}` : "";
    S.layerCard.replaceChildren(lib.el("b", "", sp.layers[i]), lib.el("div", "", [`${sp.names[s.p[i]] ?? "float"}${moved}`, mine ? `score ${lib.nats(mine.score)} nats, ${lib.bytes(mine.size)}, ${lib.count(mine.bops)} bit operations` : "", told.words].filter(Boolean).join("\n")));
    const right = x > S.g.w / 2;
    S.layerCard.style.cssText = right ? `right:${S.g.w - x + 12}px` : `left:${x + 12}px`;
  }
  paintStrip(S);
}

function paintStrip(S) {
  const w = S.strip.clientWidth, h = S.strip.clientHeight, scale = Math.max(window.devicePixelRatio || 1, 1), { space: sp, shown: s, lib } = S;
  if (!sp || !s?.p || w < 40) return;
  S.g = lib.columns(sp.layers.length, w);
  if (S.canvas.width !== Math.round(w * scale) || S.canvas.height !== Math.round(h * scale)) [S.canvas.width, S.canvas.height] = [Math.round(w * scale), Math.round(h * scale)];
  const style = getComputedStyle(S.root), c = Object.fromEntries(COLORS.map((n) => [n, style.getPropertyValue(`--${n}`).trim()])), ctx = S.canvas.getContext("2d");
  ctx.setTransform(scale, 0, 0, scale, 0, 0);
  const now = S.d.now ? lib.unpack(S.d.now.p) : null;
  lib.paintStrip(ctx, S.g, h, { p: s.p, now, wide: sp.wide, fixed: sp.fixed, kinds: sp.kinds }, c, { at: S.at, hover: S.hover });
  S.root.dataset.mix = lib.pack(s.p);
  caption(S, s, now);
}

function caption(S, s, now) {
  const { space: sp, lib } = S, n = lib.tally(s.p, sp.names), moved = now ? s.p.filter((p, i) => now[i] >= 0 && now[i] !== p).length : 0, key = JSON.stringify([n, moved, S.part]);
  if (S.cap.dataset.key === key) return;
  S.cap.dataset.key = key;
  const items = sp.names.map((name, i) => n[i] && lib.el("span", "", lib.el("i", `sw ${lib.tone(sp.wide[i][0])}${sp.wide[i][1] >= 16 ? " cap" : ""}`), `${name} × ${n[i]}`)).filter(Boolean);
  S.cap.replaceChildren(...items, lib.el("span", "r", moved ? `${moved} differ from the desk; a tick marks where it stands` : "as on the desk"));
  S.strip.setAttribute("aria-label", `${sp.layers.length} layers: ${sp.names.map((name, i) => n[i] && `${n[i]} at ${name}`).filter(Boolean).join(", ")}. Arrows move.`);
}
