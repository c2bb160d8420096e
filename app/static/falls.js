// The waterfall of a chain: SVG drawn by `falls_draw`, with one button a column on top for mouse, keyboard and screen reader.
const I = new WeakMap(), SVG = "http://www.w3.org/2000/svg";

export default function ({ data, parentElement, setTriggerValue }, lib) {
  const root = parentElement.querySelector(".fallsroot");
  let S = I.get(root);
  if (!S) I.set(root, (S = { root, lib, key: "", card: lib.el("div", "fa-card"), area: lib.el("div", "fa-area") }));
  S.act = (a, v) => setTriggerValue("act", { a, v, t: Date.now() });
  root.dataset.theme = data.theme;
  root.dataset.measured = data.stages.filter((s) => s.kind === "step").length;
  S.d = data;
  S.watch ||= new ResizeObserver(() => draw(S));
  S.watch.observe(root);
  draw(S);
  window.__falls = S;
  return () => S.watch.disconnect();
}

function draw(S) {
  const width = S.root.clientWidth, height = S.root.clientHeight, key = JSON.stringify([S.d, width, height]);
  if (width < 80 || key === S.key) return;
  S.key = key;
  const g = S.lib.areas(S.d, width, height), within = S.root.getRootNode().activeElement, at = [...S.area.querySelectorAll(".fa-col")].indexOf(within);
  S.area.replaceChildren(picture(S.lib.falls(S.d, width, height), width, height, S.d.words), ...S.d.stages.map((s, i) => column(S, s, i, g)), ...S.d.stages.map((s, i) => s.harm && leave(S, s, i, g)).filter(Boolean));
  S.root.replaceChildren(S.area, S.card);
  if (at >= 0) S.area.querySelectorAll(".fa-col")[at]?.focus({ preventScroll: true });
}

function picture(shapes, w, h, title) {
  const s = document.createElementNS(SVG, "svg");
  for (const [k, v] of [["width", w], ["height", h], ["role", "img"], ["aria-label", title || "waterfall"]]) s.setAttribute(k, v);
  const defs = document.createElementNS(SVG, "defs");
  defs.innerHTML = ["start", "end"].map((n) => `<linearGradient id="fade-${n}" x1="0" y1="0" x2="0" y2="1"><stop offset="0" class="stop ${n}" stop-opacity=".5"/><stop offset="1" class="stop ${n}" stop-opacity="0"/></linearGradient>`).join("");
  s.append(defs);
  for (const [tag, attributes, words, tip] of shapes) {
    const n = document.createElementNS(SVG, tag);
    for (const [k, v] of Object.entries(attributes)) n.setAttribute(k, v);
    if (words) n.textContent = words;
    if (tip) n.append(Object.assign(document.createElementNS(SVG, "title"), { textContent: tip }));
    s.append(n);
  }
  return s;
}

function column(S, s, i, g) {
  const b = S.lib.el("button", "fa-col");
  b.type = "button";
  b.style.cssText = `left:${g.x(i) - g.step / 2}px;width:${g.step}px`;
  b.setAttribute("aria-label", `${s.label}: ${s.hover}`);
  b.onclick = () => s.place >= 0 && S.act("pick", s.place);
  const show = () => {
    S.card.replaceChildren(S.lib.el("b", "", s.label), S.lib.el("div", "", s.hover.split("\n").filter((l) => l !== s.label).join("\n")));
    S.card.classList.add("on");
    const right = i > g.n / 2;
    S.card.style.cssText = right ? `right:${g.w - g.x(i) + g.bar / 2 + 6}px` : `left:${g.x(i) + g.bar / 2 + 6}px`;
  };
  const hide = () => S.card.classList.remove("on");
  Object.assign(b, { onpointerenter: show, onpointerleave: hide, onfocus: () => b.matches(":focus-visible") && show(), onblur: hide });
  return b;
}

// Harm has its way out beside it.
function leave(S, s, i, g) {
  const b = S.lib.button("tiny harm fa-leave", `Leave ${s.label} out; the rest of the chain runs again`, () => S.act("without", s.place), g.step > 92 ? "Leave it out" : "✕");
  b.style.left = `${g.x(i)}px`;
  return b;
}
