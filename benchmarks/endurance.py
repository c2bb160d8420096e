"""The interface's memory over many moves of the faders: it is to stay below 250 MiB and not to grow.

Layers are drawn at random (seeded) and moved a detent down or up, each move as soon as the one before is answered: most recipes are
new ones, most measurements are superseded. The process's own memory is read, and the heap of the browser's page after a collection.
"""
from __future__ import annotations

import random
from pathlib import Path
from typing import Any

MIB = 1024 * 1024
WARM = 20  # moves before the first reading: caches have their size then
MOVE = """([layer, down]) => {
  const R = window.__rack, last = R.S.precisions.length - 1, at = R.S.prec[layer];
  R.S.sel = new Set([layer]); R.S.cur = layer; R.chooses(); R.focus();
  return at >= last ? "ArrowUp" : at <= 0 || down ? "ArrowDown" : "ArrowUp";
}"""


def resident(process: int) -> float:
    """MiB of a process that lie in memory."""
    for line in Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return float("nan")


def heap(page: Any) -> float:
    """MiB of the page's JavaScript objects, after a collection."""
    session = page.context.new_cdp_session(page)
    try:
        for command in ("HeapProfiler.collectGarbage", "Performance.enable"):
            session.send(command)
        found = {m["name"]: m["value"] for m in session.send("Performance.getMetrics")["metrics"]}
        return float(found["JSHeapUsedSize"]) / MIB
    finally:
        session.detach()


def move(page: Any, chance: random.Random) -> None:
    """One move, until the server has answered it."""
    count = page.evaluate("window.__rack.S.n")
    page.keyboard.press(page.evaluate(MOVE, [chance.randrange(count), chance.random() < 0.5]))
    page.wait_for_function("window.__rack.S.live.ack >= window.__rack.S.seq")


def run(page: Any, process: int, count: int) -> dict[str, object]:
    """Memory after a few moves, half-way and after all of them."""
    chance = random.Random(5)
    for _ in range(WARM):
        move(page, chance)
    out: dict[str, object] = {"moves": count, "interface before, MiB": round(resident(process)), "page before": round(heap(page), 1)}
    for n in range(1, count + 1):
        move(page, chance)
        if n == count // 2:
            out["interface half-way"] = round(resident(process))
    page.wait_for_selector(".badge.measured")
    return out | {"interface after": round(resident(process)), "page after": round(heap(page), 1)}
