"""Search in a real browser: a budget is dragged and the mix follows, a measured point is loaded, measured on the desk, and undone."""
from __future__ import annotations

from typing import Any

import pytest

from engine.recipe import Recipe
from engine.store import Store
from tests.e2e.conftest import Desk
from tests.e2e.test_main_job import measured, open_sample

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(480)]
ROOT = ".mixroot"
POINT = """() => {
  const S = window.__mix, seen = S.view.marks.filter(m => m.kind === "front" && m.method === "search" && m.p);
  const mark = seen.sort((a, b) => a.bops - b.bops)[0], [x, y] = S.lib.place(S.view, S.plot.g, mark);
  const box = S.plot.area.getBoundingClientRect();
  return {x: x + box.x, y: y + box.y, id: mark.id, drop: mark.drop, size: mark.size, p: mark.p};
}"""


def opened(desk: Desk) -> str:
    """The page Search of the sample, its frontiers and the curve there."""
    project = open_sample(desk)
    desk.page.get_by_role("link", name="Search", exact=True).click()
    desk.page.wait_for_selector(f"{ROOT}[data-state=ready]", timeout=120_000)
    desk.page.wait_for_function("window.__mix.d.curve && window.__mix.d.curve.enough", timeout=120_000)
    return project


def mix(page: Any) -> str:
    return str(page.locator(ROOT).get_attribute("data-mix"))


def recipe(desk: Desk, project: str) -> Recipe:
    store = Store(desk.home)
    text = store.history.current(project).recipe
    store.close()
    return Recipe.from_yaml(text)


def drag(page: Any, limit: str, share: float) -> list[str]:
    """Drags a limit's slider from its middle; the mixes on the way, read while the button is down."""
    box = page.locator(f"[data-limit={limit}] .mx-slide").bounding_box()
    y, seen = box["y"] + box["height"] / 2, []
    page.mouse.move(box["x"] + box["width"] / 2, y)
    page.mouse.down()
    for k in range(1, 6):
        page.mouse.move(box["x"] + box["width"] * (0.5 + (share - 0.5) * k / 5), y)
        seen.append(mix(page))
    page.mouse.up()
    return seen


def pixels(page: Any) -> str:
    """The row of layers as it is painted."""
    return str(page.evaluate("window.__mix.canvas.toDataURL()"))


def test_drag_search_load_measure_undo(desk: Desk) -> None:
    page, project = desk.page, opened(desk)
    plain = recipe(desk, project)
    before, painted = mix(page), pixels(page)
    seen = drag(page, "drop", 0.2)
    assert len({before, *seen}) > 2, "the mix follows the hand, before anything is released"
    assert pixels(page) != painted
    page.wait_for_selector(f"{ROOT}[data-exact=yes]")
    assert page.locator(".mx-badge").inner_text() == "predicted" and "proven" in page.locator(".mx-as").inner_text()
    assert recipe(desk, project) == plain, "a target changes no recipe"

    page.locator("[data-limit=drop] .num").fill("2")
    page.keyboard.press("Tab")
    page.wait_for_function("window.__mix.d.ack >= window.__mix.seq && Math.abs(window.__mix.doc.lim.drop - 0.02) < 1e-9")
    page.locator(".mx-go").click()
    page.wait_for_function("window.__mix.d.marks.some(m => m.kind === 'promise')", timeout=240_000)
    assert "Promise: on 1,000 samples" in page.locator(".mx-state").inner_text()
    page.locator(".mx-below .seg button:has-text('Decisions')").click()
    assert page.locator(".mx-move.chosen").count() == 1

    point = page.evaluate(POINT)
    page.mouse.click(point["x"], point["y"])
    page.wait_for_selector(f"{ROOT}[data-how=measured]")
    assert page.locator(".mx-badge").inner_text() == "measured" and mix(page) == point["p"]
    page.locator("button:has-text('Load on the desk')").click()
    page.wait_for_function("p => window.__mix.d.now && window.__mix.d.now.p === p", arg=point["p"])
    assert recipe(desk, project).layers and recipe(desk, project) != plain
    measured(page)
    page.wait_for_function("window.__mix.d.now.measured")
    now = page.evaluate("window.__mix.d.now")
    assert now["size"] == point["size"], "the desk has the bytes that the point said"
    low, high = now["measured"][1], now["measured"][2]
    assert low - 0.01 <= point["drop"] <= high + 0.01, "half the samples and all of them tell of one recipe"

    page.keyboard.press("Control+z")
    page.wait_for_function("p => window.__mix.d.now.p !== p", arg=point["p"])
    assert recipe(desk, project) == plain


def test_keyboard_reload_and_what_it_takes(desk: Desk) -> None:
    page, project = desk.page, opened(desk)
    slider = page.locator("[data-limit=drop] .mx-slide")
    slider.focus()
    first = page.evaluate("window.__mix.doc.lim.drop")
    for _ in range(30):
        page.keyboard.press("ArrowLeft")
    page.wait_for_function("was => window.__mix.doc.lim.drop < was && window.__mix.d.ack >= window.__mix.seq", arg=first)
    limit = page.evaluate("window.__mix.doc.lim.drop")
    page.locator(".mx-strip").focus()
    page.keyboard.press("End")
    page.wait_for_selector(".mx-name b:has-text('classifier')")
    assert "classifier" in page.locator(".mx-strip .mx-live").inner_text()

    page.goto(f"{desk.url}?page=search&project={project}")  # as after F5
    page.wait_for_selector(f"{ROOT}[data-state=ready]")
    assert page.evaluate("window.__mix.doc.lim.drop") == limit
    page.locator(".mx-below .seg button:has-text('What does it take?')").click()
    page.locator(".mx-below button:has-text('Find out')").click()
    page.wait_for_function("window.__mix.d.takes.moves.length > 5 && !window.__mix.d.takes.running", timeout=240_000)
    before = recipe(desk, project)
    page.locator(".mx-move button:has-text('Try')").first.click()
    page.wait_for_selector(".mx-move button:has-text('Undo')")
    assert recipe(desk, project) != before
    page.locator(".mx-move button:has-text('Undo')").click()
    page.wait_for_selector(".mx-move button:has-text('Undo')", state="detached")
    assert recipe(desk, project) == before


def test_a_stopped_search_keeps_its_points(desk: Desk) -> None:
    page, _ = desk.page, opened(desk)
    page.locator(".mx-go").click()
    page.wait_for_selector(f"{ROOT}[data-state=running]")
    page.wait_for_function("window.__mix.d.marks.filter(m => m.method === 'search').length > 2", timeout=120_000)
    page.locator(".mx-go:has-text('Cancel')").click()
    page.wait_for_selector(f"{ROOT}[data-state=ready]", timeout=30_000)
    assert "Stopped after" in page.locator(".mx-state").inner_text()
    assert page.evaluate("window.__mix.d.marks.filter(m => m.method === 'search').length") > 2


def test_a_latency_table_is_a_budget_and_a_pattern_sets_many_layers(desk: Desk) -> None:
    """A bad table is refused with its line and column; a good one is an axis and a limit; Set counts as one types."""
    page, project = desk.page, opened(desk)
    head = "op_type,precision,shape,microseconds\n"
    times = {"w4a8": 60, "w4a16": 140, "w8a8": 100, "w8a16": 180, "fp16": 200, "fp32": 400}
    rows = head + "".join(f"{op},{p},,{t}\n" for op in ("Conv", "Gemm") for p, t in times.items())
    page.locator("[data-testid=stPopoverButton]:has-text('Latency')").click()
    given = "[data-testid=stFileUploaderDropzoneInput]"
    for name, text, says in (("bad.csv", head + "Conv,w8a8,,fast\n", "line 2, column microseconds"), ("t.csv", rows, "layers are charged")):
        page.set_input_files(given, files=[{"name": name, "mimeType": "text/csv", "buffer": text.encode()}])
        page.wait_for_selector(f"text={says}")
    page.keyboard.press("Escape")
    page.wait_for_function("window.__mix.space && window.__mix.space.timed", timeout=120_000)
    page.locator("[aria-label='What is made least under a greatest drop'] button:has-text('Latency')").click()
    page.wait_for_selector(".mx-plot text:has-text('latency by the table')")
    before = page.evaluate("window.__mix.shown.latency")
    drag(page, "latency", 0.02)  # below what the drop alone leads to
    page.wait_for_function("was => window.__mix.doc.lim.latency > 0 && window.__mix.shown.latency < was", arg=before)
    page.goto(f"{desk.url}?page=search&project={project}")  # as after F5
    page.wait_for_selector(f"{ROOT}[data-state=ready]", timeout=120_000)
    assert page.evaluate("window.__mix.space.timed && window.__mix.doc.aim") == "latency"

    page.goto(f"{desk.url}?page=desk&project={project}")
    page.get_by_text("Set", exact=True).first.click()
    page.locator(".st-text").fill("features.*.depthwise*")
    assert page.locator(".st-count").inner_text().startswith("6 of 21 layers")
    plain = recipe(desk, project)
    page.locator(".st-row select").last.select_option("w8a16")
    page.locator(".st-row .btn.primary").click()
    page.wait_for_selector(".st-lines b:has-text('features.*.depthwise*')")
    assert dict(recipe(desk, project).layers)["features.*.depthwise*"].precision == Recipe(precision="w8a16").precision
    page.locator(".st-lines button:has-text('Remove')").click()
    page.wait_for_selector(".st-lines b", state="detached")
    assert recipe(desk, project) == plain
