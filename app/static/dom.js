// Small helpers for building elements: text goes in as text, never as HTML.
export const el = (tag, cls, ...kids) => {
  const e = document.createElement(tag);
  if (cls) e.className = cls;
  e.append(...kids.filter((k) => k != null && k !== false));
  return e;
};
const SVG = "http://www.w3.org/2000/svg";
export const svg = (w, h, ...shapes) => {
  const s = document.createElementNS(SVG, "svg");
  for (const [k, v] of [["width", w], ["height", h], ["viewBox", `0 0 ${w} ${h}`], ["aria-hidden", "true"]]) s.setAttribute(k, v);
  for (const [name, attrs] of shapes) {
    const n = document.createElementNS(SVG, name);
    for (const [k, v] of Object.entries(attrs)) n.setAttribute(k, v);
    s.append(n);
  }
  return s;
};
const LINES = {
  undo: "M6.5 3 3 6.5 6.5 10M3.4 6.5H10a3.5 3.5 0 0 1 0 7H7",
  redo: "M9.5 3 13 6.5 9.5 10M12.6 6.5H6a3.5 3.5 0 0 0 0 7h3",
  check: "M3.5 8.5 6.5 11.5 12.5 4.5",
  copy: "M6 6h7v7H6zM3.5 10V3.5H10",
  chevron: "M5.5 3.5 10 8 5.5 12.5",
};
export const icon = (name, size = 16) => {
  const s = svg(16, 16, ["path", { d: LINES[name], fill: "none", stroke: "currentColor", "stroke-width": 1.6, "stroke-linecap": "round", "stroke-linejoin": "round" }]);
  s.setAttribute("width", size);
  s.setAttribute("height", size);
  return s;
};
export const logo = () => {
  const shapes = [];
  for (const [x, y] of [[1, 4], [7, 9], [13, 2]]) {
    shapes.push(["rect", { x: x + 1.25, y: 0, width: 1.5, height: 16, rx: 1, fill: "currentColor", opacity: 0.35 }]);
    shapes.push(["rect", { x, y, width: 4, height: 4, rx: 1, fill: "var(--accent)" }]);
  }
  return svg(18, 16, ...shapes);
};
// One glyph per kind of op, so that colour is never the only sign.
const GLYPH = {
  conv: [["rect", { x: 2, y: 2, width: 8, height: 8, rx: 1 }]],
  pw: [["circle", { cx: 6, cy: 6, r: 3.6 }]],
  dw: [2, 5, 8].map((x) => ["rect", { x, y: 1.5, width: 2, height: 9, rx: 0.6 }]),
  gemm: [["path", { d: "M6 1.6 11 10.4H1Z" }]],
  se: [["path", { d: "M6 1 11 6 6 11 1 6Z" }]],
};
export const glyph = (kind) => {
  const s = svg(12, 12, ...(GLYPH[kind] || GLYPH.se));
  s.setAttribute("fill", `var(--${GLYPH[kind] ? kind : "se"})`);
  return s;
};
export const options = (select, list, value) => {
  const key = JSON.stringify(list);
  if (select.dataset.key !== key) {
    select.dataset.key = key;
    select.replaceChildren(
      ...list.map(([v, label, off]) => {
        const o = el("option", "", label);
        o.value = v;
        o.disabled = !!off;
        return o;
      }),
    );
  }
  select.value = value;
};
export const select = (label, onchange) => {
  const s = el("select");
  s.setAttribute("aria-label", label);
  s.onchange = () => onchange(s.value);
  return s;
};
export const button = (cls, label, onclick, ...kids) => {
  const b = el("button", "btn " + cls, ...kids);
  b.type = "button";
  b.title = label;
  b.setAttribute("aria-label", label);
  b.onclick = onclick;
  return b;
};
