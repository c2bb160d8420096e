"""A newcomer's walk in at most twelve clicks, nothing scrolled: the worst layer is found and mended, the drop shrinks, files are proven."""
from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.conftest import Desk, keep
from tests.e2e.test_main_job import figures, measured, open_sample

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(480)]
MOST = 12


class Walk:
    """Counts clicks, each on something that is in the window as it stands."""

    def __init__(self, page: Any) -> None:
        self.page, self.clicks = page, 0

    def click(self, target: Any, **where: Any) -> None:
        """Clicks the middle (or `position`) of a target."""
        target.wait_for()
        box = target.bounding_box()
        x = box["x"] + where.get("x", box["width"] / 2)
        y = box["y"] + where.get("y", box["height"] / 2)
        size = self.page.viewport_size
        assert 0 <= x < size["width"] and 0 <= y < size["height"], f"click {self.clicks + 1} is outside the window: {x:.0f}, {y:.0f}"
        self.page.mouse.click(x, y)
        self.clicks += 1


def test_a_walk_of_twelve_clicks(desk: Desk) -> None:
    page = desk.page
    open_sample(desk)
    page.wait_for_function("window.__rack?.scores?.curve?.enough", timeout=60_000)
    walk = Walk(page)
    lowest = page.evaluate("(R => R.grid.y(R.S.precisions.findIndex(p => p.id === 'w4a8')))(window.__rack)")
    walk.click(page.locator(".rk-master"), y=lowest)  # everything to four bits
    page.wait_for_selector(".badge.predicted, .badge.moving")
    measured(page)
    before = float(figures(page)["drop"])
    assert before > 1, "four bits everywhere lose more than a point"

    walk.click(page.get_by_role("link", name="Sensitivity", exact=True))
    page.wait_for_selector(".heatroot[data-cells]")
    worst = page.evaluate("""() => {
      const { d, g, lib } = window.__heat, row = d.precisions.indexOf("w4a8"), n = d.items.length;
      const strength = i => d.cells[row * n + i], tone = { ok: 0, mid: 1, hot: 2 };
      const order = [...d.items.keys()].sort((a, b) => tone[strength(b)[0]] - tone[strength(a)[0]] || strength(b)[1] - strength(a)[1]);
      return { name: d.items[order[0]], ...lib.middle(g, order[0], row) };
    }""")
    walk.click(page.locator(".st-key-sens-heat canvas"), x=worst["x"], y=worst["y"])
    page.wait_for_selector(f".st-key-panel_low_side .md-t:has-text('{worst['name']}')")
    walk.click(page.locator(".st-key-sens-set-w8a16 button").first)
    page.wait_for_selector(".st-key-panel_low_side .md-pill:has-text('w8a16')")
    measured(page)
    page.wait_for_function("d => parseFloat(window.__bar.drop.num.textContent.replace('\\u2212', '-')) < d", arg=before)
    keep(desk, "walk_mended")

    walk.click(page.get_by_role("button", name="Export this mix"))
    walk.click(page.get_by_role("button", name="Export and verify"))
    page.wait_for_selector("text=ONNX Runtime optimizations", timeout=180_000)
    proof = page.locator(".st-key-panel_certificate .md-box.ok")
    box = proof.bounding_box()
    assert box["y"] + box["height"] < 900, "the certificate is read without scrolling"
    assert walk.clicks <= MOST
    keep(desk, "walk_certificate")
