"""What a hand feels on the Desk, in a real browser: move → repaint → predicted → first measured → all measured, wall milliseconds.

Each layer of a sample is moved by the keyboard, one after the other; times are taken in the page, between the key and the frame that
shows the change. Then page switches, the first paint of the rack, and the interface process's memory over many moves.
Goals: repaint 50, predicted 300, first measured 400, all 2,000 samples 1,000 at the median; switch 700, first paint 2,500; 250 MiB.
Needs Chromium; times on a machine that does other work are longer: the load average is printed.
"""
from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.desk import percentile

Row = dict[str, object]
SAMPLES = ("fashion_mobilenet", "fashion_vit")
MOVES = 500
RECORD = """() => {
  const seen = window.__seen = { on: false };
  addEventListener("keydown", () => { if (seen.armed) Object.assign(seen, { armed: false, on: true, t0: performance.now() }); }, true);
  const look = () => {
    requestAnimationFrame(look);
    if (!seen.on) return;
    const badge = document.querySelector(".readoutroot")?.querySelector(".badge") ?? window.__bar?.badge, now = performance.now() - seen.t0;
    const kind = badge?.className ?? "", text = badge?.textContent ?? "";
    if (window.__rack.painted > seen.t0) seen.repaint ??= window.__rack.painted - seen.t0;
    if (kind.includes("predicted")) seen.predicted ??= now;
    if (seen.repaint && (text.includes("\\u00b7") || (seen.predicted && kind.includes("measured")))) seen.first ??= now;
    if (seen.first && kind.includes("measured")) (seen.full ??= now), (seen.on = false);
  };
  look();
}"""


ARM = "Object.assign(window.__seen, { armed: true, repaint: undefined, predicted: undefined, first: undefined, full: undefined })"


def median(values: list[float]) -> float:
    """Of what was seen; nan where nothing was."""
    return statistics.median(values) if values else float("nan")


def moves(page: Any, count: int) -> dict[str, list[float]]:
    """The times of one move of each of the first `count` layers, each taken back afterwards."""
    out: dict[str, list[float]] = {"repaint": [], "predicted": [], "first": [], "full": []}
    page.evaluate(RECORD)
    for layer in range(count):
        page.evaluate("i => { const R = window.__rack; R.S.sel = new Set([i]); R.S.cur = i; R.chooses(); R.focus(); }", layer)
        page.wait_for_timeout(400)
        page.evaluate(ARM)
        page.keyboard.press("ArrowDown")
        page.wait_for_function("!window.__seen.on && window.__seen.full", timeout=60_000)
        seen = page.evaluate("window.__seen")
        for name, values in out.items():
            if seen.get(name) is not None:
                values.append(float(seen[name]))
        page.keyboard.press("ArrowUp")
        page.wait_for_function("window.__rack.S.live.ack >= window.__rack.S.seq")
        page.wait_for_selector(".badge.measured")
    return out


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


def resident(process: int) -> float:
    """MiB of a process."""
    for line in Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return float("nan")


def many(page: Any, process: int, count: int) -> tuple[float, float]:
    """The interface's memory before and after many moves, MiB."""
    for key in ("ArrowDown", "ArrowUp") * 5:
        _acknowledged(page, key)
    before = resident(process)
    for n in range(count):
        _acknowledged(page, ("ArrowDown", "ArrowUp")[n % 2])
    return before, resident(process)


def _acknowledged(page: Any, key: str) -> None:
    page.keyboard.press(key)
    page.wait_for_function("window.__rack.S.live.ack >= window.__rack.S.seq")


def rows_of(browser: Any, sample: str, quick: bool) -> list[Row]:
    """The figures of one sample's Desk."""
    from tests.e2e.conftest import Server

    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder))
        server.start()
        try:
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.set_default_timeout(120_000)
            page.goto(f"{server.url}?page=projects")
            page.locator(".st-key-panel_samples button", has_text="Open" if sample == SAMPLES[0] else "Add").first.click()
            page.wait_for_selector(".badge.measured")
            page.wait_for_timeout(4000)
            begin = time.perf_counter()
            page.reload()
            page.wait_for_function("window.__rack?.painted > 0")
            paint = 1000 * (time.perf_counter() - begin)
            page.wait_for_function("window.__rack?.scores?.curve?.enough")
            page.wait_for_selector(".badge.measured")
            page.wait_for_timeout(2000)
            seen = moves(page, 6 if quick else 21)
            row: Row = {"sample": sample, "moves": len(seen["full"])}
            for name, values in seen.items():
                row |= {f"{name} p50, ms": round(median(values)), f"{name} p95": round(round(percentile(values, 95))) if values else "-"}
            before, after = many(page, server.process.pid, 50 if quick else MOVES)
            switched = switches(page)
            rest: Row = {"sample": sample, "first paint, ms": round(paint), "switch p50, ms": round(median(switched)),
                         "switch p95": round(percentile(switched, 95)), "interface before, MiB": round(before),
                         f"after {50 if quick else MOVES} moves": round(after), "load": round(os.getloadavg()[0], 1)}
            page.close()
            return [row, rest]
        finally:
            server.stop()


def main(quick: bool = False) -> list[Row]:
    """All samples; nothing where there is no browser."""
    from playwright.sync_api import sync_playwright

    from tests.e2e.conftest import FLAGS, chromium

    path = chromium()
    if path is None:
        return [{"sample": "not measured: there is no Chromium"}]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        found = [rows_of(browser, sample, quick) for sample in SAMPLES]
        browser.close()
    return [row for rows in zip(*found, strict=True) for row in rows]


if __name__ == "__main__":
    from benchmarks.table import show

    show(main("--quick" in sys.argv))
