"""The graph view in a real browser: one selection with rack and table, folding, changes of type, keys, and what a reload keeps."""
from __future__ import annotations

import itertools
from typing import Any

import pytest

from tests.e2e.conftest import ARTIFACTS, Desk
from tests.e2e.test_looks import SIZES, findings
from tests.e2e.test_main_job import measured, open_sample, pick

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(480)]
READY = "() => window.__graph?.g && window.__graph.w > 0 && !window.__graph.move"
MIDDLE = """i => { const g = window.__graph, b = g.g.box(i), r = g.canvas.getBoundingClientRect();
  return [r.left + (b[0] + b[2] / 2) * g.v.k + g.v.x, r.top + (b[1] + b[3] / 2) * g.v.k + g.v.y]; }"""


def node_of(page: Any, layer: int) -> int:
    """The drawn node of a layer."""
    return int(page.evaluate("l => window.__graph.g.facts.nodes.findIndex(n => n[3] === l)", layer))


def graph(page: Any) -> Any:
    """Opens the panel and waits until it is drawn in the panel's shape."""
    page.get_by_test_id("stButtonGroup").get_by_text("Graph", exact=True).click()
    page.wait_for_function(READY)
    page.wait_for_timeout(800)
    page.wait_for_function(READY)
    return page.locator("canvas.cv")


def test_the_graph_is_the_same_desk(desk: Desk) -> None:
    page = desk.page
    open_sample(desk)
    skip = page.get_by_text("Skip for good")
    if skip.count():
        skip.first.click()
    pick(page, [2])
    page.locator(".layersroot .caps .pcap[data-p='w8a16']").click()
    measured(page)
    canvas = graph(page)
    canvas.scroll_into_view_if_needed()
    page.wait_for_function("() => window.__graph.marks.length > 0")
    count = page.evaluate("() => window.__graph.d.live.changes")
    assert page.locator(".gbar .chg").inner_text() == f"{count} type change" + ("s" if count != 1 else "")
    assert page.evaluate("() => window.__graph.marks.flatMap(m => m.words).length") == count

    layer = 4
    page.mouse.click(*page.evaluate(MIDDLE, node_of(page, layer)))
    page.wait_for_function("l => window.__graph.d.cur === l && String(window.__graph.d.sel) === String([l])", arg=layer)
    for _ in range(3):  # faster than the server answers: nothing snaps back
        page.keyboard.press("ArrowDown")
    page.wait_for_function("() => window.__graph.d.ack === window.__graph.seq && window.__graph.d.cur === window.__graph.cur")
    assert page.evaluate("() => window.__graph.g.facts.nodes[window.__graph.at][3]") == page.evaluate("() => window.__graph.d.cur") > layer
    assert "requested" in page.locator(".graphroot .sr").inner_text(), "a screen reader hears it too"

    page.keyboard.press("Enter")
    page.wait_for_function("() => window.__graph.g.places.folded.length === 1 && !window.__graph.move")
    name = page.evaluate("() => window.__graph.g.places.folded[0][4]")
    page.locator(".graphroot [aria-label='Colour by sensitivity']").click()
    page.locator(".gbar .chg").click()
    page.wait_for_selector(".gcard.on")
    assert "costs a" in page.locator(".gcard").inner_text()

    page.locator(".graphroot [aria-label='Expand']").click()
    page.wait_for_function("() => window.__graph.w > 1200 && !window.__graph.move")
    page.keyboard.press("Escape")
    page.wait_for_function("() => window.__graph.w < 800")

    assert [words for words in findings(page) if "stVerticalBlock" not in words] == [], "the panels around it are looked at elsewhere"
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    for theme, (width, height) in itertools.product(("dark", "light"), SIZES):
        page.emulate_media(color_scheme=theme)
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_timeout(900)
        page.screenshot(path=ARTIFACTS / f"graph_{theme}_{width}.png")

    page.reload()
    graph(page)
    page.wait_for_function("n => window.__graph.g.places.folded[0]?.[4] === n", arg=name)
    assert page.locator(".graphroot [aria-label='Colour by sensitivity']").get_attribute("aria-pressed") == "true"

    page.get_by_test_id("stButtonGroup").get_by_text("Table", exact=True).click()
    page.wait_for_selector(".layersroot tr[data-i='0']")
