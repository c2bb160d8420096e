// 'Repair for me': a goal, a button, and what the ladder decided, line by line.
const SIGN = { kept: "✓", harm: "✕", tried: "·", goal: "★", now: "›" };

export function auto(S, { el, button }) {
  const goal = Object.assign(el("input", "num"), { type: "text", inputMode: "decimal", spellcheck: false }), unit = el("span", "fv");
  goal.setAttribute("aria-label", "Goal: the greatest drop");
  const read = () => {
    const v = Number(goal.value.replace(",", "."));
    const bad = !goal.value.trim() || !Number.isFinite(v) || v < 0;
    goal.setAttribute("aria-invalid", bad);
    goal.title = bad ? "A number from 0 up" : "";
    return bad ? null : v;
  };
  goal.oninput = read;
  goal.onchange = () => (read() === null ? (goal.value = S.d.auto.goal) : S.act("goal", read()), read());
  const go = button("", "Repair for me", () => (S.d.auto.busy ? S.act("cancel") : read() !== null && S.act("auto", read())));
  const lines = el("ol", "au-lines"), said = el("p", "au-said");
  const root = el("section", "au", el("div", "au-head", el("b", "", "Repair for me"), el("span", "grow"), el("span", "", "drop at most"), goal, unit, go), said, lines);
  root.setAttribute("aria-label", "Repair for me");
  const say = (a) => {
    root.style.display = a ? "" : "none";
    if (!a) return;
    if (S.root.getRootNode().activeElement !== goal) goal.value = a.goal;
    unit.textContent = a.unit;
    go.textContent = a.text;
    go.disabled = a.off;
    go.title = a.title;
    go.setAttribute("aria-label", `${a.text}: ${a.title}`);
    said.textContent = a.words;
    lines.replaceChildren(...a.lines.map((l) => {
      const li = el("li", l.tone, el("i", "", SIGN[l.tone] || SIGN.tried), el("span", "", l.text));
      li.title = l.title || "";
      return li;
    }));
  };
  return { root, say };
}
