"""Repair in a real browser: a chain is built, run, seen, accepted and taken back; a run is stopped and what it did is kept."""
from __future__ import annotations

from typing import Any

import pytest

from engine.recipe import Recipe
from engine.store import Store
from tests.e2e.conftest import Desk
from tests.e2e.test_main_job import measured, open_sample

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(480)]
FOOT, RUN = ".chainroot .ch-foot", ".chainroot .ch-foot button >> nth=0"


def at_four_bits(desk: Desk) -> str:
    """The sample with all weights at four bits, and its page Repair."""
    project = open_sample(desk)
    page = desk.page
    page.locator(".layersroot .settings select").first.select_option("w4a8")
    page.wait_for_function("window.__readout.badge !== 'measured'")
    measured(page)
    page.get_by_role("link", name="Repair", exact=True).click()
    page.wait_for_selector(".chainroot .st[data-step=fold_batch_norm]")
    return project


def add(page: Any, step: str) -> None:
    """Adds a step by the menu."""
    page.locator(".ch-add").click()
    page.locator(f".mn-item[data-step={step}]").click()
    page.wait_for_selector(f".st[data-step={step}].open")


def run(page: Any) -> None:
    page.wait_for_selector(f"{FOOT} button.primary:has-text('Run'):enabled")
    page.locator(RUN).click()


def finished(page: Any) -> list[dict[str, Any]]:
    """The waterfall's stages once the whole chain is measured."""
    page.wait_for_selector(f"{FOOT} button:has-text('Measured')", timeout=300_000)
    page.wait_for_function("window.__falls.d.stages.every(s => s.kind !== 'ghost')")
    found: list[dict[str, Any]] = page.evaluate("window.__falls.d.stages")
    return found


def recipe(desk: Desk, project: str) -> Recipe:
    store = Store(desk.home)
    text = store.history.current(project).recipe
    store.close()
    return Recipe.from_yaml(text)


def names(found: Recipe) -> list[str]:
    return [step.name for step in found.steps or ()]


def test_build_run_see_accept_and_undo(desk: Desk) -> None:
    page, project = desk.page, at_four_bits(desk)
    add(page, "gptq")
    page.locator(".st[data-step=gptq] [data-f=samples] input.num").fill("128")
    page.keyboard.press("Tab")
    page.wait_for_selector(".st[data-step=gptq] [data-f=samples].own")
    run(page)
    stages = finished(page)
    assert [s["label"] for s in stages] == ["No steps", "fold_batch_norm", "gptq", "With all"]
    gain = stages[2]
    assert gain["tone"] == "ok" and gain["v"] > gain["from"] + 1.0 and gain["lo"] > gain["from"], "a measured gain, above its interval"
    assert gain["sqnr"] > stages[1]["sqnr"] + 3.0
    assert page.locator(".fallsroot").get_attribute("data-measured") == "2"
    assert int(page.locator(".gainsroot").get_attribute("data-pairs")) > 15
    page.wait_for_selector(".st-key-panel_weights .plot svg rect.bar.before")
    assert names(recipe(desk, project)) == [], "nothing is in the recipe before it is accepted"

    page.locator(f"{FOOT} button:has-text('Accept')").click()
    page.wait_for_selector(".ch-state.in")
    accepted = recipe(desk, project)
    assert names(accepted) == ["fold_batch_norm", "gptq"] and dict(accepted.steps[1].options) == {"samples": 128}  # type: ignore[index]
    measured(page)
    shown = page.locator(".ro-acc .num").inner_text()
    assert abs(float(shown.split("%")[0]) - stages[3]["v"]) < 0.006, "the bar shows what the waterfall promised"

    page.keyboard.press("Control+z")
    page.wait_for_selector(".st[data-step=gptq]", state="detached")
    assert names(recipe(desk, project)) == []


def test_order_switch_and_reload(desk: Desk) -> None:
    page, project = desk.page, at_four_bits(desk)
    add(page, "gptq")
    add(page, "cle")
    assert page.locator(".st").evaluate_all("cards => cards.map(c => c.dataset.step)") == ["fold_batch_norm", "cle", "gptq"]
    page.locator(".st[data-step=cle] .grip").focus()
    page.keyboard.press("Alt+ArrowUp")
    order = ["cle", "fold_batch_norm", "gptq"]
    page.wait_for_function("n => JSON.stringify(window.__chain.d.lines.map(l => l.n)) === JSON.stringify(n)", arg=order)
    start, end = (page.locator(f".st[data-step={n}]").bounding_box() for n in ("cle", "gptq"))
    grip = page.locator(".st[data-step=cle] .grip").bounding_box()
    page.mouse.move(grip["x"] + 6, grip["y"] + 8)
    page.mouse.down()
    page.mouse.move(grip["x"] + 6, start["y"] + 80, steps=3)
    page.mouse.move(grip["x"] + 6, end["y"] + end["height"] + 40, steps=3)
    page.mouse.up()
    order = ["fold_batch_norm", "gptq", "cle"]
    page.wait_for_function("n => JSON.stringify(window.__chain.d.lines.map(l => l.n)) === JSON.stringify(n)", arg=order)
    page.locator(".st[data-step=gptq] .power").click()
    page.wait_for_function("window.__chain.d.lines[1].on === false")

    page.goto(f"{desk.url}?page=repair&project={project}")  # another window, as after F5
    page.wait_for_selector(".st[data-step=gptq].off")
    assert page.locator(".st").evaluate_all("cards => cards.map(c => c.dataset.step)") == order
    page.locator(f"{FOOT} button:has-text('Reject')").click()
    page.wait_for_selector(".ch-state.in")
    assert page.locator(".st").count() == 1 and names(recipe(desk, project)) == []


def test_a_stopped_run_keeps_the_steps_that_were_done(desk: Desk) -> None:
    page, project = desk.page, at_four_bits(desk)
    add(page, "cle")
    add(page, "adaround")
    page.locator(".st[data-step=adaround] [data-f=iterations] input.num").fill("5000")
    page.keyboard.press("Tab")
    run(page)
    page.wait_for_selector(".st[data-step=adaround][data-state=running]", timeout=120_000)
    page.wait_for_selector(".st[data-step=cle][data-state=known]")
    page.locator(f"{FOOT} button:has-text('Cancel')").click()
    page.wait_for_selector(f"{FOOT} button:has-text('Accept 2 of 3')", timeout=20_000)
    assert "can be accepted" in page.locator(".st-key-panel_falls .md-p").inner_text()
    assert [s["kind"] for s in page.evaluate("window.__falls.d.stages")] == ["start", "step", "step", "ghost"]
    page.locator(f"{FOOT} button:has-text('Accept 2 of 3')").click()
    page.wait_for_selector(".ch-state.in")
    assert names(recipe(desk, project)) == ["fold_batch_norm", "cle"]
    page.wait_for_selector(".st[data-step=adaround].off")
