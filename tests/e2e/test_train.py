"""Train in a real browser: curves appear live, a training is stopped, its best is kept, accepted and taken back."""
from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.conftest import Desk, Server
from tests.e2e.test_main_job import measured
from tests.e2e.test_repair import at_four_bits, names, recipe

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(480)]
RUN, FOOT = ".trainroot .tn-run", ".trainroot .ch-foot"
LONG = 300_000


def put(page: Any, field: str, value: str) -> None:
    """Types a setting and waits until the page has taken it."""
    page.locator(f".trainroot [data-f={field}] input.num").fill(value)
    page.keyboard.press("Tab")
    page.wait_for_function("([f, v]) => window.__train.d.options[f] === +v", arg=[field, value])


def test_train_stop_keep_accept_and_undo(desk: Desk) -> None:
    page, project = desk.page, at_four_bits(desk)
    page.get_by_role("link", name="Train", exact=True).click()
    page.wait_for_selector(".trainroot .fr[data-f=epochs]")
    assert "training.npz" in page.locator(".tn-data").inner_text()
    assert page.locator(".tr-bits > span").count() > 15
    put(page, "epochs", "2")
    page.locator(".tn-group summary:has-text('Data')").click()
    put(page, "validation", "0.5")  # half of it is enough here
    page.wait_for_selector(f"{RUN}.primary:enabled")
    page.locator(RUN).click()

    page.wait_for_selector(".curvesroot[data-live=true]", timeout=LONG)
    page.wait_for_selector(".cu-area circle.live")
    assert "of 2" in page.locator(".tn-now").inner_text() and "samples/s" in page.locator(".tn-pace").inner_text()
    page.wait_for_function("window.__curves.d.points.length === 1", timeout=LONG)
    seen = page.evaluate("window.__curves.d")
    assert seen["start"] > 0 and 0 < seen["startScore"] < 100 and 0 < seen["float"] < 100, "the start and the float model are marked"
    assert page.locator(".cu-area line.start").count() == 2 and page.locator(".cu-area line.float").count() == 1
    page.locator(f"{RUN}:has-text('Stop')").click()
    page.wait_for_selector(f"{FOOT} button:has-text('Keep best'):visible", timeout=60_000)
    assert "Stopped. 1 epoch of 2 is kept: Continue" in page.locator(".st-key-panel_curves .md-p").inner_text()
    page.wait_for_selector(f"{RUN}:has-text('Continue'):enabled")

    page.locator(f"{FOOT} button:has-text('Keep best')").click()
    page.wait_for_function("window.__curves.d.kept", timeout=LONG)
    kept = page.evaluate("window.__curves.d.points")
    assert [p["held"] for p in kept] == [p["held"] for p in seen["points"]], "the kept epoch is the one that was seen, not another run"
    assert page.locator(".tr-s").count() >= 3 and "samples won" in page.locator(".tr-notes").inner_text()
    assert names(recipe(desk, project)) == [], "nothing is in the recipe before it is accepted"

    page.locator(f"{FOOT} button:has-text('Accept'):enabled").click()
    page.wait_for_selector(".trainroot .ch-state.in")
    accepted = recipe(desk, project)
    assert names(accepted) == ["fold_batch_norm", "qat"]
    assert dict(accepted.steps[-1].options) == {"epochs": 2, "stop_after": 1, "validation": 0.5}  # type: ignore[index]
    measured(page)
    after = page.locator(".tr-s.end b").first.inner_text()
    assert page.locator(".ro-acc .num").inner_text().split("%")[0].strip() == after, "the bar shows what training gave"

    page.keyboard.press("Control+z")
    page.wait_for_selector(".trainroot .ch-state:not(.in)")
    assert names(recipe(desk, project)) == []
    page.reload()
    page.wait_for_function("window.__train?.d.options.epochs === 2 && window.__curves?.d.kept")  # the draft and its figures are still there


def settings(page: Any, epochs: int) -> None:
    """The page Train with so many epochs asked for, and half of the samples held out, which makes them short."""
    page.get_by_role("link", name="Train", exact=True).click()
    page.wait_for_selector(".trainroot .fr[data-f=epochs]")
    put(page, "epochs", str(epochs))
    page.locator(".tn-group summary:has-text('Data')").click()
    put(page, "validation", "0.5")


def test_settings_are_chosen_for_a_search_and_the_drawer_has_the_loop(desk: Desk) -> None:
    page = desk.page
    at_four_bits(desk)
    page.get_by_role("link", name="Train", exact=True).click()
    page.wait_for_selector(".trialsroot .chip")
    chip = page.locator(".trialsroot .chip:has-text('augment')")
    assert chip.get_attribute("aria-pressed") == "false"
    chip.click()
    page.wait_for_selector(".trialsroot .chip[aria-pressed=true]:has-text('augment')")
    count = page.locator(".trialsroot input.num")
    count.fill("0")
    assert count.get_attribute("aria-invalid") == "true" and "from 1" in (count.get_attribute("title") or "")
    count.fill("3")
    page.keyboard.press("Tab")
    page.wait_for_function("window.__trials.d.count === 3")
    page.wait_for_selector(".trialsroot button:has-text('Search'):enabled")
    page.locator(".st-key-train_head button").click()
    page.wait_for_selector("code:has-text('QuantModule')")
    assert page.locator("code:has-text('--training')").count() >= 1


def test_trials_are_drawn_stopped_searched_on_and_taken_over(desk: Desk) -> None:
    page = desk.page
    at_four_bits(desk)
    settings(page, 1)
    chip = ".trialsroot .chip[aria-pressed={}]:has-text('range rate')"
    page.locator(chip.format("true")).click()
    page.wait_for_selector(chip.format("false"))
    count = page.locator(".trialsroot input.num")
    count.fill("2")
    page.keyboard.press("Tab")
    page.wait_for_function("window.__trials.d.count === 2")
    page.locator(".trialsroot button:has-text('Search'):enabled").click()
    page.wait_for_selector(".trialsroot button.stop")
    page.wait_for_function("window.__trials.d.trials.filter(t => t.state === 'complete').length === 2", timeout=LONG)
    page.wait_for_function("!window.__trials.d.busy")

    found = page.evaluate("window.__trials.d")
    losses = {t["number"]: t["loss"] for t in found["trials"]}
    assert found["best"] == min(losses, key=losses.__getitem__) and found["chosen"] == found["best"]
    assert page.locator(".ts-plot path.trial").count() == 2 and page.locator(".ts-table tr[data-n]").count() == 2
    other = next(t for t in found["trials"] if t["number"] != found["best"])
    page.locator(f".ts-table tr[data-n='{other['number']}'] .ts-pick").click()
    page.wait_for_selector(f".trialsroot button:has-text('Take over trial {other['number'] + 1}'):enabled")
    page.locator(".trialsroot button:has-text('Take over')").click()
    page.wait_for_function("v => window.__train.d.options.learning_rate === v", arg=other["settings"]["learning_rate"])  # to its last digit
    shown = page.locator(".trainroot [data-f=learning_rate] input.num").input_value()
    assert len(shown) <= 12 and float(shown) == pytest.approx(other["settings"]["learning_rate"], rel=1e-4), "shown rounded"

    count.fill("3")
    page.keyboard.press("Tab")
    page.wait_for_function("window.__trials.d.count === 3")
    page.locator(".trialsroot button:has-text('Search'):enabled").click()
    page.locator(".trialsroot button.stop:has-text('Stop')").click()
    page.wait_for_selector(".trialsroot button:has-text('Search'):enabled", timeout=LONG)
    page.reload()
    page.wait_for_function("window.__trials?.d.trials.filter(t => t.state === 'complete').length >= 2")
    kept = page.evaluate("window.__trials.d.trials")
    assert {t["number"]: t["loss"] for t in kept if t["number"] in losses} == losses, "what was tried is kept"


def test_after_the_server_was_killed_the_page_offers_to_continue(desk: Desk, server: Server) -> None:
    page = desk.page
    at_four_bits(desk)
    settings(page, 3)
    page.wait_for_selector(f"{RUN}.primary:enabled")
    page.locator(RUN).click()
    page.wait_for_function("window.__curves?.d.points.length === 1", timeout=LONG)
    seen, url = page.evaluate("window.__curves.d.points[0].held"), page.url
    server.kill()
    server.start()
    page.goto(url)
    desk.complaints.clear()  # the browser missed its server
    page.wait_for_selector(f"{RUN}:has-text('Continue'):enabled", timeout=LONG)
    page.wait_for_selector(f"{FOOT} button:has-text('Keep best'):visible", timeout=LONG)
    assert "of 3" in (page.locator(RUN).get_attribute("title") or "")
    assert page.evaluate("window.__curves.d.points[0].held") == seen, "the epoch that was seen"
