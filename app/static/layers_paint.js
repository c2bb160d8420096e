// Paint of the layer table: one row element per layer, updated in place.
const minus = (s) => String(s).replace("-", "−");
export const count = (n) => (n >= 1e9 ? (n / 1e9).toFixed(2) + " G" : n >= 1e6 ? (n / 1e6).toFixed(1) + " M" : n >= 1e3 ? (n / 1e3).toFixed(1) + " k" : String(n));
export const bytes = (n) => (n >= 1e6 ? (n / 1e6).toFixed(2) + " MB" : n >= 1e3 ? (n / 1e3).toFixed(1) + " kB" : n + " B");
export const cap = (p) => (p || "").toUpperCase();
// SQNR as heat: 70 dB is nothing, 4 dB is everything; amber below 30, red below 20 (three steps, and length says the same).
export const heat = (db) => ({ fill: Math.max(0.02, Math.min(1, (70 - db) / 66)), tone: db < 20 ? "hot" : db < 30 ? "mid" : "ok" });

export function makeRow(layer, i, { el, glyph }) {
  const td = (cls, ...k) => el("td", cls, ...k);
  const r = { i, box: el("i", "box"), cap: el("button", "cap"), eff: el("span", "effv"), why: el("span", "why"), size: el("i"), sizeT: el("span"), db: el("span", "dbv"), led: el("i") };
  r.cap.type = "button";
  const inside = layer.m && layer.n.startsWith(layer.m);
  const short = inside && layer.n.length > layer.m.length ? [el("span", "mod", layer.m), layer.n.slice(layer.m.length)] : inside || !layer.m ? [layer.n] : [layer.n, el("span", "mod", ` · ${layer.m}`)];
  r.tr = el("tr", "", td("c-box", r.box), td("c-name", glyph(layer.k), el("span", "nm", ...short)), td("c-op", layer.o), td("num c-par", count(layer.p)), td("num c-mac", count(layer.c)),
    td("c-size", el("span", "sz", r.size), r.sizeT), td("c-cap", r.cap), td("c-eff", r.eff, r.why), td("c-db", el("span", "led", r.led), r.db));
  r.tr.dataset.i = i;
  r.tr.cells[1].title = layer.m ? `${layer.n} in ${layer.m}` : layer.n;
  r.tr.tabIndex = -1;
  return r;
}

export function updateRow(r, d, want) {
  const i = r.i, own = want !== undefined || d.own[i], bypass = want === "bypass" || (want === undefined && d.byp[i]);
  const req = want === undefined || want === "bypass" ? d.req[i] : want === "base" ? d.base : want;
  r.cap.textContent = bypass ? "FLOAT" : cap(req);
  r.cap.className = "cap" + (own && want !== "base" ? " own" : "") + (bypass ? " byp" : "") + (want !== undefined ? " moving" : "") + (d.legal[i] || want !== undefined ? "" : " bad");
  r.cap.title = bypass ? "Kept in float (bypassed)" : own ? "Set here; click for others" : "From the base; click to change";
  r.cap.setAttribute("aria-label", `Precision of ${d.layers[i].n}: ${bypass ? "float" : req}`);
  const differs = want === undefined && !bypass && d.eff[i] && d.eff[i] !== d.req[i];
  r.eff.textContent = want !== undefined ? "…" : differs ? cap(d.eff[i]) : d.reason[i] || !d.eff[i] ? "" : "as asked";
  r.eff.className = "effv" + (differs ? " differs" : "");
  r.why.textContent = want === undefined ? d.reason[i] : "";
  r.why.className = "why" + (d.legal[i] ? "" : " bad");
  r.why.parentElement.title = d.reason[i] || "";
  r.size.style.width = Math.sqrt(d.size[i] / d.maxSize) * 100 + "%";
  r.size.parentElement.style.setProperty("--full", Math.sqrt((d.layers[i].p * 4) / d.maxSize) * 100 + "%");
  r.sizeT.textContent = bytes(d.size[i]);
  const db = d.sqnr[i];
  r.db.textContent = db == null ? "" : db >= 199 ? "= float" : minus(db.toFixed(1));
  r.led.style.width = db == null ? 0 : heat(db).fill * 100 + "%";
  r.led.style.setProperty("--tone", `var(--${db == null ? "off" : heat(db).tone})`);
  r.tr.classList.toggle("stale", !!d.stale);
}
