"""CPU seconds by whose they are: of the processes that are measured, and of all others on the machine."""
from __future__ import annotations

import os
import time
from collections.abc import Collection
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")
PROC = Path("/proc")


def busy() -> float:
    """CPU seconds of the whole machine since it started, idle and waiting for disks left out."""
    user, nice, system, _, _, *rest = map(int, (PROC / "stat").read_text().splitlines()[0].split()[1:9])
    return (user + nice + system + sum(rest)) / TICK


def of_tree(root: int, but: Collection[int] = ()) -> float:
    """CPU seconds of a process and all its living descendants, with what their ended children took; subtrees of `but` are left out."""
    children: dict[int, list[int]] = {}
    spent: dict[int, float] = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit() and (row := _stat(entry)) is not None:
            parent, ticks = row
            children.setdefault(parent, []).append(int(entry.name))
            spent[int(entry.name)] = ticks / TICK
    found, todo = 0.0, [root]
    while todo:
        process = todo.pop()
        found += spent.get(process, 0.0)
        todo += [child for child in children.get(process, []) if child not in but]
    return found


def _stat(entry: Path) -> tuple[int, int] | None:
    """(parent, ticks) of a process; None where it has just ended."""
    try:
        fields = (entry / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[1]), sum(map(int, fields[11:15]))


class Meter:
    """What was spent since it was made or `begin` was called, by the given process trees and by all others."""

    def __init__(self, **roots: int) -> None:
        self._roots = roots
        self.begin()

    def begin(self) -> None:
        """Starts over."""
        self._begun = time.perf_counter()
        self._at = self._now()

    def _now(self) -> dict[str, float]:
        return {name: of_tree(root, self._roots.values()) for name, root in self._roots.items()} | {"all": busy()}

    def spent(self) -> dict[str, float]:
        """CPU seconds by name, those of `others`, and the `wall` seconds that passed."""
        now = self._now()
        out = {name: now[name] - self._at[name] for name in self._roots}
        total = now["all"] - self._at["all"]
        return out | {"others": max(0.0, total - sum(out.values())), "wall": time.perf_counter() - self._begun}
