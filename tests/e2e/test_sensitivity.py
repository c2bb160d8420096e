"""Sensitivity in a real browser: the estimate at once, exact figures over it, a click, an edit, and the same on the Desk."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engine.store import Store
from tests.e2e.conftest import ROOT, Desk
from tests.e2e.test_main_job import open_sample

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(480)]
CELLS = ".st-key-sens-heat .heatroot[data-cells]"


def run_button(page: Any) -> Any:
    return page.locator(".st-key-sens-run button").first


def exact_rows(page: Any, folder: Path) -> list[dict[str, str]]:
    """The table as the page gives it for download."""
    page.get_by_role("button", name="Files").click()
    with page.expect_download() as found:
        page.get_by_role("button", name="CSV").click()
    kept = folder / found.value.suggested_filename
    found.value.save_as(kept)
    page.keyboard.press("Escape")
    with kept.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def by_command_line(home: Path, project: str, folder: Path) -> dict[tuple[str, str], float]:
    """The same question to the engine without the workbench."""
    store = Store(home)
    row = store.projects.get(project)
    store.close()
    out = folder / "scores.json"
    subprocess.run(
        [
            sys.executable,
            "-m",
            "engine",
            "sensitivity",
            str(row.model),
            "--evaluation",
            str(row.evaluation),
            "--calibration",
            str(row.calibration),
            "--mode",
            "one-on",
            "--precisions",
            "fp16,w8a16,w8a8,w4a8",
            "--samples",
            "128",
            "--json",
            str(out),
            "-q",
        ],
        cwd=ROOT,
        check=True,
        timeout=240,
        stdout=subprocess.DEVNULL,
    )
    rows = json.loads(out.read_text(encoding="utf-8"))["scores"]
    return {(r["layer"], r["precision"]): r["value"] for r in rows if r["metric"] == "kl"}


def cells(page: Any) -> int:
    """How many cells of the heatmap hold a score."""
    page.wait_for_selector(CELLS)
    return int(page.locator(CELLS).get_attribute("data-cells"))


def click_cell(page: Any, column: int, row: int) -> None:
    """Clicks where that cell is painted."""
    at = page.evaluate("([c, r]) => window.__heat.lib.middle(window.__heat.g, c, r)", [column, row])
    page.locator(".st-key-sens-heat canvas").click(position=at)


def test_estimate_exact_select_edit_and_the_desk(desk: Desk, tmp_path: Path) -> None:
    page = desk.page
    project = open_sample(desk)
    page.get_by_role("link", name="Sensitivity", exact=True).click()
    count = cells(page)
    assert "Scored" in run_button(page).inner_text(), "the sample brings exact scores of its own"
    modes = page.locator(".st-key-sens_controls")
    modes.get_by_role("radio", name="Estimate", exact=True).click()
    page.wait_for_selector(".st-key-sens-run button:has-text('Replace by exact')")
    modes.get_by_role("radio", name="One-on", exact=True).click()
    page.wait_for_selector(".st-key-sens-samples-one-on")
    page.locator(".st-key-sens-samples-one-on").click()
    page.get_by_role("option", name="128", exact=True).click()
    page.wait_for_selector(".st-key-sens-run button:has-text('Go on')")

    run_button(page).click()
    page.wait_for_selector(".st-key-sens-run button:has-text('Scored')", timeout=240_000)
    page.wait_for_function("document.querySelector('.st-key-panel_heat').innerText.includes('128 samples')")
    rows = exact_rows(page, tmp_path)
    assert len(rows) == count and {r["kind"] for r in rows} == {"exact"}
    expected = by_command_line(desk.home, project, tmp_path)
    for row in rows:
        assert float(row["value"]) == pytest.approx(expected[row["item"], row["precision"]], rel=1e-4, abs=1e-12)

    layer = rows[-9]["item"]  # four precisions an item
    click_cell(page, count // 4 - 3, 1)
    page.wait_for_selector(f".st-key-panel_low_side .md-t:has-text('{layer}')")
    page.locator(".st-key-sens-set-w8a16 button").first.click()
    page.wait_for_selector(".st-key-panel_low_side .md-pill:has-text('w8a16')")
    store = Store(desk.home)
    assert store.history.lines(project)[-1].label == f"{layer} to w8a16"
    store.close()
    assert "Scored" in run_button(page).inner_text(), "an edit of a layer keeps the scores"

    page.locator(".st-key-sens-desk button").first.click()
    page.wait_for_selector(".layersroot tr[data-i='5']")
    assert page.evaluate("window.__layers.d.layers[window.__layers.cur].n") == layer

    page.goto(f"{desk.url}?page=sensitivity&project={project}")
    page.wait_for_selector(CELLS)
    page.wait_for_selector(".st-key-sens-run button:has-text('Scored')", timeout=5_000)  # a new window begins with what is known
    assert cells(page) == count

    page.locator(".st-key-sens-side").get_by_role("radio", name="Layer", exact=True).click()
    near = page.locator(".st-key-near_rea button").first
    near.wait_for()
    follower = near.inner_text().split(" \u00b7 ")[0]
    near.click()
    page.wait_for_selector(f".st-key-panel_low_side .md-line b:text-is('{follower}')")
    page.wait_for_function("n => window.__heat.d.items[window.__heat.d.selected] === n", arg=follower)
