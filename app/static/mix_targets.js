// The left side: what may be lost and what it may cost, the candidates, the scores, and the buttons.
const NAMES = { drop: "Accuracy drop", size: "Size", bops: "Compute", bits: "Average bits", latency: "Latency" };
const MEANS = {
  drop: "The most that the metric may fall below the float model's", size: "Weights, biases and encodings, of the FP32 size",
  bops: "Bit operations of one sample, of FP32's", bits: "Bits of a weight, the mean over all layers", latency: "Microseconds by the table, the sum over all layers that it is about",
};
const STEPS = 400;
const clamp = (v, a, b) => Math.min(b, Math.max(a, v));

// A limit's way between its ends: costs and drops by their logarithm where they span much.
export const onScale = (v, [a, b]) => (b / Math.max(a, 1e-12) > 4 && a > 0 ? Math.log(clamp(v, a, b) / a) / Math.log(b / a) : (clamp(v, a, b) - a) / (b - a || 1));
export const offScale = (t, [a, b]) => (b / Math.max(a, 1e-12) > 4 && a > 0 ? a * (b / a) ** t : a + (b - a) * t);

export function targets(S, lib) {
  const { el, button } = lib;
  const rows = Object.fromEntries(Object.keys(NAMES).map((n) => [n, row(S, lib, n)]));
  const aim = segments(lib, "What is made least under a greatest drop", [["bops", "Compute"], ["size", "Size"], ["latency", "Latency"]], (v) => S.edit({ aim: v }));
  const judge = segments(lib, "What of a measured drop must keep to the limit", [["estimate", "Estimate"], ["bound", "Upper end"]], (v) => S.edit({ judge: v }));
  const chips = el("div", "mx-chips"), keep = Object.assign(el("input"), { type: "checkbox" }), kept = el("span", "dim"), score = el("span", "mx-score"), more = button("link", "Take exact scores", () => S.act("scores"), "");
  keep.onchange = () => S.edit({ keep: keep.checked });
  chips.setAttribute("role", "group");
  chips.setAttribute("aria-label", "Candidates");
  const go = button("primary mx-go", "Search", () => (S.d.job ? S.act("cancel") : S.act("search")), "Search"), bar = el("i"), said = el("p", "mx-said");
  const track = el("div", "mx-track", bar), cert = el("p", "mx-cert");
  const amp = button("mx-amp", "Compare with AIMET's procedure", () => S.act("amp"), "AIMET's procedure"), ampCost = el("span", "dim"), lite = button("mx-amp", "Compare with the worst 20 % widened", () => S.act("lite"), "Worst 20 % widened"), liteCost = el("span", "dim");
  track.setAttribute("role", "progressbar");
  track.setAttribute("aria-label", "Progress of the search");
  said.setAttribute("aria-live", "polite");
  const root = el("section", "mx-panel mx-left", el("div", "mx-head", el("b", "", "Targets"), el("span", "dim", "drag one: the mix follows")),
    el("div", "mx-scroll", ...Object.values(rows).map((r) => r.root), el("div", "mx-two", pair(el, "Make least", aim.root), pair(el, "Judge by", judge.root)),
      el("div", "mx-sec", el("div", "lab", "Candidates"), chips), el("label", "mx-keep", keep, el("span", "", "Layers set by hand stay"), kept),
      el("div", "mx-sec", el("div", "lab", "Scores"), el("div", "mx-line", score, more)), cert,
      el("div", "mx-sec", el("div", "lab", "Compare with"), el("div", "mx-line", amp, ampCost), el("div", "mx-line", lite, liteCost))),
    el("div", "mx-foot", said, track, go));
  root.setAttribute("aria-label", "Targets");
  return { root, say: () => say(S, lib, { rows, aim, judge, chips, keep, kept, score, more, go, bar, track, said, cert, amp, ampCost, lite, liteCost }) };
}

const pair = (el, name, control) => el("div", "mx-pair", el("span", "dim", name), control);

function segments({ el }, label, list, pick) {
  const root = el("div", "seg"), buttons = list.map(([value, words]) => {
    const b = Object.assign(el("button", "", words), { type: "button" });
    b.onclick = () => pick(value);
    return [value, b];
  });
  root.append(...buttons.map(([, b]) => b));
  root.setAttribute("role", "group");
  root.setAttribute("aria-label", label);
  root.title = label;
  return { root, say: (now) => buttons.forEach(([v, b]) => b.setAttribute("aria-pressed", v === now)) };
}
export { segments };

function row(S, { el }, name) {
  const on = Object.assign(el("input"), { type: "checkbox" }), slider = Object.assign(el("input", "mx-slide"), { type: "range", min: 0, max: STEPS, step: 1 }), number = Object.assign(el("input", "num"), { type: "text", inputMode: "decimal", spellcheck: false }), unit = el("span", "mx-unit"), told = el("span", "dim mx-told");
  const root = el("div", "mx-row", el("div", "mx-line", el("label", "", on, el("span", "", NAMES[name])), el("span", "grow"), told, number, unit), slider);
  root.title = MEANS[name];
  root.dataset.limit = name;
  on.setAttribute("aria-label", `Limit the ${NAMES[name].toLowerCase()}`);
  for (const input of [slider, number]) input.setAttribute("aria-label", `${NAMES[name]} at most`);
  const set = (v, done) => S.limit(name, v, done);
  on.onchange = () => set(on.checked ? offScale(slider.value / STEPS, S.ends(name)) : null, true);
  slider.oninput = () => set(offScale(slider.value / STEPS, S.ends(name)), false);
  slider.onchange = () => set(offScale(slider.value / STEPS, S.ends(name)), true);
  number.onchange = () => {
    const v = Number(number.value.replace(",", ".")) / S.factor(name), bad = !number.value.trim() || !Number.isFinite(v) || v < 0;
    number.setAttribute("aria-invalid", bad);
    number.title = bad ? "A number from 0 up" : "";
    if (!bad) set(v, true);
  };
  return { root, on, slider, number, unit, told };
}

const short = (v) => (v >= 100 ? v.toFixed(0) : v >= 10 ? v.toFixed(1) : v.toFixed(2));

function say(S, lib, R) {
  const d = S.d, doc = S.doc, typing = S.root.getRootNode().activeElement;
  for (const [name, r] of Object.entries(R.rows)) {
    const value = doc.lim[name], ends = S.ends(name), shown = value ?? offScale(0.5, ends);
    r.root.hidden = name === "latency" && !S.space?.timed;
    r.on.checked = value != null;
    r.root.classList.toggle("off", value == null);
    if (typing !== r.slider || value != null) r.slider.value = Math.round(STEPS * onScale(shown, ends));
    if (typing !== r.number) r.number.value = value == null ? "" : short(value * S.factor(name));
    r.number.disabled = value == null;
    r.slider.style.setProperty("--at", `${(100 * r.slider.value) / STEPS}%`);
    r.unit.textContent = name === "drop" ? d.unit : name === "bits" ? "bits" : name === "latency" ? S.time.unit : "%";
    r.told.textContent = value != null && S.space && name === "size" ? lib.bytes(value * S.space.fp32.size_bytes) : value != null && S.space && name === "bops" ? lib.count(value * S.space.fp32.bops) : "";
    r.slider.setAttribute("aria-valuetext", value == null ? "no limit" : `${r.number.value} ${r.unit.textContent}`);
  }
  R.aim.say(doc.aim);
  R.aim.root.lastChild.hidden = !S.space?.timed;
  R.judge.say(doc.judge);
  chips(S, lib, R.chips);
  R.keep.checked = doc.keep;
  R.kept.textContent = [d.kept.hand ? `${d.kept.hand} set by hand` : "", d.kept.bypassed ? `${d.kept.bypassed} in float stay so` : ""].filter(Boolean).join(", ");
  R.score.textContent = d.scores.text;
  R.score.title = d.scores.title;
  R.more.textContent = d.scores.more;
  R.more.hidden = !d.scores.more;
  R.cert.textContent = d.certify;
  R.cert.hidden = !d.certify;
  foot(S, R);
}

function chips(S, { el }, root) {
  const key = JSON.stringify([S.d.offered, S.doc.on]);
  if (root.dataset.key === key) return;
  root.dataset.key = key;
  root.replaceChildren(...S.d.offered.map((p) => {
    const b = Object.assign(el("button", "mx-chip", p), { type: "button" }), on = S.doc.on.includes(p);
    b.setAttribute("aria-pressed", on);
    b.disabled = on && S.doc.on.length < 3;
    b.title = b.disabled ? "A search needs at least two" : on ? "Leave it out" : "Let it take part";
    b.onclick = () => S.edit({ on: S.d.offered.filter((q) => (q === p ? !on : S.doc.on.includes(q))) });
    return b;
  }));
}

// Runs of the whole network that a procedure takes: one a layer and candidate, and again one a step of the way down.
const about = (S, times) => (S.space ? `≈ ${S.space.layers.length * (S.doc.on.length - 1) * times} runs` : "");

function foot(S, R) {
  const { job, off, costs } = S.d, mine = job && job.name !== "frontier", none = !Object.keys(S.doc.lim).length;
  const same = !mine && S.d.ack >= S.seq && S.d.done.includes("search");
  R.go.textContent = same ? "Searched" : mine ? `Cancel · ${job.queued ? "waiting" : `${Math.round(100 * job.share)} %`}` : S.d.begun ? "Search again" : "Search";
  R.go.disabled = !mine && (!!off || none || !S.space || same);
  R.go.title = same ? "These targets are searched; change one to search again" : mine ? "Stop; what was measured stays and can be loaded" : off || (none ? "Switch a target on first" : "Measure the points that matter, repair, and promise on samples that nothing was chosen by");
  R.go.classList.toggle("primary", !mine);
  R.go.setAttribute("aria-label", `${R.go.textContent}: ${R.go.title}`);
  R.track.classList.toggle("on", !!job);
  R.bar.style.width = `${job ? 100 * job.share : 0}%`;
  R.track.setAttribute("aria-valuenow", job ? Math.round(100 * job.share) : 0);
  R.said.textContent = job ? [job.text, job.left].filter(Boolean).join(" · ") : costs.search ? `Last search: ${costs.search}` : "";
  for (const [name, button, cost, before] of [["amp", R.amp, R.ampCost, about(S, 2)], ["lite", R.lite, R.liteCost, about(S, 1)]]) {
    const running = job?.name === name;
    button.disabled = !!off || !!job || none || !S.space || (S.d.ack >= S.seq && S.d.done.includes(name));
    cost.textContent = running ? "running" : costs[name] || before;
    cost.title = costs[name] ? "What it took; points of the validating half" : "What it will take";
  }
}
