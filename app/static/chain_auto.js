// 'Repair for me': a goal, a button, and what the ladder decided, line by line.
const SIGN = { kept: "✓", tried: "·", goal: "★" };

export function auto(S, { el, button }) {
  const goal = Object.assign(el("input", "num"), { type: "text", inputMode: "decimal", spellcheck: false }), unit = el("span", "fv");
  goal.setAttribute("aria-label", "Goal");
  const read = () => {
    const v = Number(goal.value.replace(",", "."));
    const bad = !goal.value.trim() || !Number.isFinite(v) || v < 0;
    goal.setAttribute("aria-invalid", bad);
    goal.title = bad ? "A number from 0 up" : S.d?.auto?.doc || "";
    return bad ? null : v;
  };
  goal.oninput = read;
  goal.onchange = () => (read() === null ? (goal.value = S.d.auto.goal) : S.act("goal", read()), read());
  const go = button("", "Repair for me", () => (S.d.auto.busy ? S.act("cancel") : read() !== null && S.act("auto", read())));
  const lines = el("ol", "au-lines"), said = el("p", "au-said"), meaning = el("span");
  const root = el("section", "au", el("div", "au-head", meaning, goal, unit, el("span", "grow"), go), said, lines);
  root.setAttribute("aria-label", "Repair for me");
  const say = (a) => {
    root.style.display = a ? "" : "none";
    if (!a) return;
    if (S.root.getRootNode().activeElement !== goal) goal.value = a.goal;
    unit.textContent = a.unit;
    meaning.textContent = a.meaning;
    meaning.title = goal.title = a.doc;
    go.textContent = a.text;
    go.disabled = a.off;
    go.title = a.title;
    go.setAttribute("aria-label", `${a.text}: ${a.title}`);
    said.textContent = a.words;
    lines.replaceChildren(...a.lines.map((l) => {
      const li = el("li", l.tone, el("i", "", SIGN[l.tone] || SIGN.tried), el("span", "", l.text));
      return li;
    }));
  };
  return { root, say };
}
