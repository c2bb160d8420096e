"""What a hand feels on the Desk, in a real browser: move → repaint → predicted → first measured → all measured, wall milliseconds.

Each layer of a sample is moved by the keyboard, one after the other, and moved back. Times begin at the key's own time stamp and end
when the frame that shows the change is painted. Then page switches, the first paint of the rack, and memory over many moves.
Goals: repaint 50, predicted 300, first measured 400, all 2,000 samples 1,000 at the median and 2,000 for the earliest layer;
switch 700, first paint 2,500; 250 MiB. Needs Chromium, which renders in software here.

A machine that does other work is slower: `others` is how many cores it took meanwhile on average, `cpu` are the CPU seconds of the
server with its worker, and of the browser, from a move until all is measured; these hardly depend on other work.
"""
from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import endurance
from benchmarks.cpu import Meter
from benchmarks.desk import percentile

Row = dict[str, object]
SAMPLES = ("fashion_mobilenet", "fashion_vit")
MOVES, QUICK_MOVES = 500, 40
TIMES = ("repaint", "predicted", "first", "full")
RECORD = """() => {
  const seen = (window.__seen = {}), painted = (then) => requestAnimationFrame(() => setTimeout(then));
  const stamp = (name) => painted(() => (seen[name] ??= performance.now() - seen.begun));
  const look = (watch) => {
    const { className: kind, textContent: text } = window.__bar.badge;
    seen.left ||= !kind.includes("measured");
    if (kind.includes("predicted")) stamp("predicted");
    if (text.includes("\\u00b7")) stamp("first");
    if (!seen.left || !kind.includes("measured")) return;
    watch.disconnect();
    stamp("first");
    stamp("full");
  };
  addEventListener("keydown", (e) => {
    if (!seen.armed) return;
    seen.armed = false;
    seen.begun = e.timeStamp;
    painted(() => window.__rack.painted > seen.begun && (seen.repaint = performance.now() - seen.begun));
    const watch = new MutationObserver(() => look(watch));
    watch.observe(window.__bar.badge, { attributes: true, childList: true, characterData: true, subtree: true });
  }, true);
}"""
ARM = "() => { for (const k of Object.keys(window.__seen)) delete window.__seen[k]; window.__seen.armed = true; }"
SELECT = "i => { const R = window.__rack; R.S.sel = new Set([i]); R.S.cur = i; R.chooses(); R.focus(); }"
IDLE = "window.__rack.S.live.ack >= window.__rack.S.seq && window.__bar.job.style.display === 'none'"


def settled(page: Any) -> None:
    """All is answered, measured and drawn."""
    page.wait_for_selector(".badge.measured")
    page.wait_for_function(IDLE)
    page.wait_for_timeout(300)


def moves(page: Any, meter: Meter, count: int) -> list[dict[str, float]]:
    """One move of each of the first `count` layers: its times, ms, and the CPU seconds until all was measured, by whose they are."""
    out = []
    page.evaluate(RECORD)
    for layer in range(count):
        page.evaluate(SELECT, layer)
        page.wait_for_timeout(400)
        settled(page)
        page.evaluate(ARM)
        meter.begin()
        page.keyboard.press("ArrowDown")
        page.wait_for_function("window.__seen.full", timeout=60_000)
        out.append({name: float(v) for name, v in page.evaluate("window.__seen").items() if name in TIMES} | meter.spent())
        page.keyboard.press("ArrowUp")
        settled(page)
    return out


def told(sample: str, seen: list[dict[str, float]]) -> Row:
    """Percentiles of the times, the earliest layer's last one, and what was spent."""
    row: Row = {"sample": sample, "moves": len(seen)}
    for name in TIMES:
        values = [s[name] for s in seen if name in s]
        row |= {f"{name} p50, ms": round(statistics.median(values)) if values else "-",
                f"{name} p95": round(percentile(values, 95)) if values else "-"}
    spent = {who: statistics.median(s[who] for s in seen) for who in ("server", "browser")}
    return row | {"earliest full": round(seen[0]["full"]), "cpu s server": round(spent["server"], 2), "browser": round(spent["browser"], 2),
                  "others, cores": round(statistics.fmean(s["others"] / s["wall"] for s in seen), 2)}


def switches(page: Any) -> list[float]:
    """Milliseconds from a click on a page's name to its first panel, Desk and Sensitivity in turn."""
    out = []
    for name, sign in (("Sensitivity", ".heatroot[data-cells]"), ("Desk", ".rackroot canvas")) * 4:
        begin = time.perf_counter()
        page.get_by_role("link", name=name, exact=True).click()
        page.wait_for_selector(sign)
        out.append(1000 * (time.perf_counter() - begin))
        page.wait_for_timeout(1500)
    return out


def opened(page: Any, url: str, sample: str) -> float:
    """Opens the sample's Desk; milliseconds from a reload to the rack's first paint."""
    page.goto(f"{url}?page=projects")
    page.locator(".st-key-panel_samples button", has_text="Open" if sample == SAMPLES[0] else "Add").first.click()
    page.wait_for_selector(".badge.measured")
    page.wait_for_timeout(4000)
    begin = time.perf_counter()
    page.reload()
    page.wait_for_function("window.__rack?.painted > 0")
    paint = 1000 * (time.perf_counter() - begin)
    page.wait_for_function("window.__rack?.scores?.curve?.enough")
    settled(page)
    return paint


def rows_of(browser: Any, sample: str, quick: bool) -> list[Row]:
    """The figures of one sample's Desk; memory over many moves for the first sample alone."""
    from tests.e2e.conftest import Server

    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder))
        server.start()
        try:
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.set_default_timeout(120_000)
            paint = opened(page, server.url, sample)
            seen = moves(page, Meter(server=server.process.pid, browser=os.getpid()), 6 if quick else 21)
            switched = switches(page)
            rows: list[Row] = [told(sample, seen), {
                "sample": sample, "first paint, ms": round(paint), "switch p50, ms": round(statistics.median(switched)),
                "switch p95": round(percentile(switched, 95)), "load": round(os.getloadavg()[0], 1)}]
            if sample == SAMPLES[0]:
                begin = time.perf_counter()
                many = endurance.run(page, server.process.pid, QUICK_MOVES if quick else MOVES)
                rows.append({"sample": sample, **many, "seconds": round(time.perf_counter() - begin)})
            page.close()
            return rows
        finally:
            server.stop()


def main(quick: bool = False) -> list[Row]:
    """All samples, rows of one kind together; nothing where there is no browser."""
    from playwright.sync_api import sync_playwright

    from tests.e2e.conftest import FLAGS, chromium

    path = chromium()
    if path is None:
        return [{"sample": "not measured: there is no Chromium"}]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        found = [rows_of(browser, sample, quick) for sample in SAMPLES]
        browser.close()
    return [rows[kind] for kind in range(3) for rows in found if kind < len(rows)]


if __name__ == "__main__":
    from benchmarks.table import show

    show(main("--quick" in sys.argv))
