// One step as a card: grip, switch, name, what it gave; opened, it holds its words, its form and its buttons.
const GRIP = [2, 6, 10].flatMap((y) => [["circle", { cx: 2.5, cy: y, r: 1.1 }], ["circle", { cx: 6.5, cy: y, r: 1.1 }]]);
const POWER = [["path", { d: "M6 1.5v4M3.4 3.2a4 4 0 1 0 5.2 0", fill: "none", stroke: "currentColor", "stroke-width": 1.5, "stroke-linecap": "round" }]];

export function card(S, i) {
  const { el, svg, button } = S.lib, line = S.lines[i], t = S.catalog.find((x) => x.name === line.n), open = S.sel === i;
  const grip = button("grip", "Drag to move; or Alt with the arrow keys", null, svg(9, 12, ...GRIP));
  grip.onpointerdown = (e) => e.button === 0 && (e.preventDefault(), S.lib.drag(e, S.list, i, (to) => S.move(i, to)));
  const power = button("power", line.on ? "Switch this step off" : "Switch this step on", () => S.set(i, { on: !line.on }), svg(12, 12, ...POWER));
  power.setAttribute("aria-pressed", line.on);
  const title = el("button", "name", el("b", "", t ? t.title : line.n), el("code", "", line.n));
  title.type = "button";
  title.setAttribute("aria-expanded", open);
  title.onclick = () => S.pick(open ? -1 : i);
  const c = { i, root: el("li", "st" + (line.on ? "" : " off") + (open ? " open" : "")), gain: el("span", "gain"), sub: el("div", "sub"), bar: el("i"), picture: el("div", "pic"), told: el("div", "told") };
  c.root.append(el("div", "st-row", grip, power, title, c.gain), c.sub, el("div", "st-bar", c.bar), c.picture);
  if (open) c.root.append(body(S, i, t, c));
  c.root.dataset.step = line.n;
  c.root.addEventListener("keydown", (e) => key(S, i, e));
  return c;
}

function key(S, i, e) {
  const typing = e.composedPath()[0].matches("input, select, textarea");
  if (e.altKey && (e.key === "ArrowUp" || e.key === "ArrowDown")) S.move(i, i + (e.key === "ArrowUp" ? -1 : 1));
  else if ((e.key === "Delete" || e.key === "Backspace") && !typing) S.drop(i);
  else return;
  e.preventDefault();
}

function body(S, i, t, c) {
  const { el, button, form, cost } = S.lib, line = S.lines[i];
  const words = t ? el("p", "st-what", t.sentence) : el("p", "st-what hot", `This version has no step ${line.n}: take it out to run the chain.`);
  const facts = t && el("div", "st-facts", cost(t.cost, S.lib), el("span", "promise", t.promise));
  const up = button("tiny", "Earlier (Alt+Up)", () => S.move(i, i - 1), "Up"), down = button("tiny", "Later (Alt+Down)", () => S.move(i, i + 1), "Down");
  up.disabled = i === 0;
  down.disabled = i === S.lines.length - 1;
  const acts = el("div", "st-acts", up, down, el("span", "grow"), line.n === "qat" && button("tiny", "Its curves and the search for its settings are on the page Train", () => S.act("train", i), "Open in Train"), button("tiny", "Take this step out of the chain (Delete)", () => S.drop(i), "Remove"));
  return el("div", "st-body", words, facts, c.told, t && form(t.fields, line.o, (o) => S.set(i, { o }), S.lib), acts);
}

// What Python says of the step: painted in place, so that a hand in the form is not disturbed.
export function say(S, c, status, fresh) {
  const { el } = S.lib, s = status || { state: "new", sub: "" };
  c.root.dataset.state = fresh ? s.state : "new";
  c.root.dataset.tone = fresh && s.state === "known" ? s.tone : "";
  c.root.classList.toggle("faint", !!s.open && s.state === "known");
  c.gain.replaceChildren(...(s.gain && fresh ? [el("b", "", s.gain), el("small", "", S.d.unit)] : []));
  c.root.title = (fresh && s.title) || "";
  c.gain.title = S.d.tip;
  c.sub.textContent = fresh ? [s.sub, s.state === "running" ? s.left : ""].filter(Boolean).join(" · ") : "changed: run it again";
  c.bar.parentElement.style.display = fresh && s.state === "running" ? "" : "none";
  c.bar.style.width = `${100 * (s.share ?? 0)}%`;
  c.bar.classList.toggle("busy", s.share == null);
  told(S, c, s, fresh);
}

function told(S, c, s, fresh) {
  const { el, svg, curve } = S.lib, lines = fresh ? [...(s.warnings || []).map((w) => ["warn", w]), ...(s.changes || []).map((w) => ["", w])] : [];
  const acts = fresh && s.state === "known" && s.tone === "hot" ? [S.lib.button("tiny harm", "Switch the step off; the rest of the chain runs again", () => S.act("without", c.i), "Leave it out")] : [];
  c.told.replaceChildren(...lines.map(([cls, w]) => el("p", cls, w)));
  const live = fresh && s.state === "running" && S.traces?.job === `${s.job}:${c.i}` ? curve(S.traces, 300, 44) : [];
  c.picture.style.display = live.length || acts.length ? "" : "none";
  if (!live.length) return c.picture.replaceChildren(...acts);
  const picture = svg(300, 44, ...live), last = S.traces.runs.at(-1);
  picture.setAttribute("preserveAspectRatio", "none");
  c.picture.replaceChildren(picture, el("span", "", `${s.unit} ${last.points.at(-1).toPrecision(3)}, log scale`));
}
