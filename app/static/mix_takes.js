// 'What does it take?': ranked moves, each with what it wins and costs; one click tries it, another takes it back.
const signed = (v, words) => (v === 0 ? "no bytes" : `${v > 0 ? "+" : "−"}${words(Math.abs(v))}`);

// The figures of a move in words; pure.
export function told(m, bytes) {
  const gain = m.gain == null ? "not known" : m.gain >= 0 ? `−${(100 * m.gain).toFixed(0)} % KL` : `+${(-100 * m.gain).toFixed(0)} % KL`;
  const about = m.known === "estimate" ? "≈ " : "", long = m.seconds >= 100 ? `${(m.seconds / 60).toFixed(m.seconds < 600 ? 1 : 0)} min` : `${m.seconds?.toFixed(0)} s`;
  const time = m.known === "unknown" ? "minutes" : m.seconds == null ? "at once" : m.seconds < 1 ? "under 1 s" : about + long;
  return { gain, size: signed(m.size, bytes), time };
}

// Bits by what gets them, all else by its own title.
export const named = (m) => (m.kind !== "bits" ? m.title : m.count === 1 ? `Wider: ${m.layers[0]}` : `${m.count} wider: ${m.layers.slice(0, 2).join(", ")}`);

const KNOWN = { unknown: "not tried", estimate: "estimate" }, HOW = { predicted: "From the sum of scores", measured: "Tried on the samples named above", estimate: "From a brief run on this machine, with a fraction of the steps and data; the whole is for you to start" };

export function takes(S, { el, button, bytes }) {
  const t = S.d.takes, ask = button(t.moves.length ? "tiny" : "", "Look for moves", () => S.act("takes"), t.moves.length ? "Look again" : "Find out");
  ask.disabled = !!S.d.off || t.running || !!S.d.job;
  if (!t.moves.length) return [el("p", "dim", t.running ? "Trying ways out, the quick ones first…" : "Bits, ranges and repair steps, each tried on some samples or predicted, ranked by what it costs to reach the drop."), t.running ? null : ask].filter(Boolean);
  const rows = t.moves.map((m, i) => {
    const w = told(m, bytes), mine = t.tried === i, train = m.train, go = train ? button("tiny", "Opens the page Train with its usual settings, ready to start", () => S.act("train"), "Train…") : button(`tiny${mine ? " on" : ""}`, mine ? `Take back: ${m.title}` : `Try: ${m.title}`, () => S.act(mine ? "undo" : "try", i), mine ? "Undo" : "Try");
    go.disabled = !train && !t.of && !t.undo;
    const li = el("li", `mx-move ${m.reaches ? "reaches" : ""}`, el("span", "sign", m.reaches ? "✓" : m.gain > 0 ? "▲" : m.gain < 0 ? "▼" : "·"), el("span", "nm", named(m)), el("span", `pill ${m.known}`, KNOWN[m.known] ?? m.known), el("span", `gn ${m.gain > 0 ? "ok" : m.gain < 0 ? "hot" : ""}`, w.gain), el("span", "dim sz", w.size), el("span", "dim tm", w.time), go);
    li.title = [m.reaches ? `Reaches the target by its KL${m.known === "estimate" ? ", as estimated" : ""}` : "", HOW[m.known], m.layers.join(", ")].filter(Boolean).join("\n");
    return li;
  });
  return [el("div", "mx-line", el("p", "dim", t.note + (t.running ? " More are being tried…" : "")), el("span", "grow"), ask), el("ul", "mx-list", ...rows)];
}
