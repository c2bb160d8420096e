"""The main job in a real browser: open the sample, change layers, see what the command line gives, export, verify."""
from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from app.samples import bundled_samples
from engine.store import Store
from tests.e2e.conftest import ROOT, Desk

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(480)]
MINUS = "−"


def open_sample(desk: Desk) -> str:
    """The Desk of the first bundled sample, measured; returns the project's id."""
    samples = bundled_samples()
    if not samples:
        pytest.fail("no bundled sample: sample_models/*/model.onnx is missing")
    desk.page.goto(desk.url)
    desk.page.wait_for_selector(".layersroot tr[data-i='0'], button:has-text('Add')")
    if desk.page.locator(".layersroot").count() == 0:
        desk.page.locator("button:has-text('Add')").first.click()
    desk.page.wait_for_selector(".layersroot tr[data-i='5']")
    measured(desk.page)
    return re.search(r"project=([^&]+)", desk.page.url).group(1)  # type: ignore[union-attr]


def create_project(desk: Desk, model: Path, data: Path) -> None:
    """Brings a model and its data by server path, through the form."""
    page = desk.page
    page.goto(f"{desk.url}?page=projects")
    for role, path in (("models/net.onnx", model), ("data/evaluation.npz", data), ("data/calibration.npz", data)):
        page.get_by_placeholder(f"or a server path: /{role}").fill(str(path))
        page.keyboard.press("Tab")
    page.get_by_role("button", name="Create project").click()


def measured(page: Any) -> None:
    """Waits until the figures belong to the recipe on the desk."""
    page.wait_for_selector(".badge.measured", timeout=120_000)


def figures(page: Any) -> dict[str, str]:
    """The numbers in the bar."""
    return {k: page.locator(f".ro-{k} .num > span").first.inner_text().replace(MINUS, "-") for k in ("acc", "drop", "size", "bops")}


def pick(page: Any, rows: list[int]) -> None:
    """Selects rows of the layer table, the first alone, the others added."""
    for n, row in enumerate(rows):
        line = page.locator(f".layersroot tr[data-i='{row}'] .c-name")
        line.click(modifiers=["Control"] if n else [])
    page.wait_for_function("n => window.__layers.sel.size === n", arg=len(rows))
    page.wait_for_timeout(300)


def legal_rows(page: Any, precision: str, count: int) -> list[int]:
    """The first rows whose layers may have that precision on the target."""
    code = "p => window.__layers.d.layers.map((l, i) => [l.n, i]).filter(([n]) => !window.__layers.d.illegal[n]?.[p]).map(([, i]) => i)"
    return list(page.evaluate(code, precision))[:count]


def running(home: Path, project: str, verb: str) -> None:
    """Waits until the worker is at a job of this verb; what the strip shows may still be an earlier one."""
    store = Store(home)
    seen: list[tuple[str, str]] = []
    for _ in range(300):
        seen = [(j.verb, j.state) for j in store.jobs.all(project, 5)]
        if (verb, "running") in seen:
            store.close()
            return
        time.sleep(0.05)
    raise AssertionError(f"no {verb} ran within 15 s: {seen}")


def worker_pid(home: Path) -> int:
    """The process of the worker that serves this home."""
    done = subprocess.run(["pgrep", "-f", f"engine.worker --home {home}"], capture_output=True, text=True, check=True)
    return int(done.stdout.split()[0])


def simulate(home: Path, project: str, folder: Path) -> dict[str, Any]:
    """What the command line measures for the recipe that stands on the desk."""
    store = Store(home)
    row = store.projects.get(project)
    recipe = folder / "recipe.yaml"
    recipe.write_text(store.history.current(project).recipe, encoding="utf-8")
    store.close()
    out = folder / "report.json"
    subprocess.run([sys.executable, "-m", "engine", "simulate", str(row.model), "--evaluation", str(row.evaluation), "--calibration",
                    str(row.calibration), "--recipe", str(recipe), "--json", str(out), "-q"], cwd=ROOT, check=True, timeout=240)
    return dict(json.loads(out.read_text(encoding="utf-8")))


def test_change_three_layers_compare_with_the_command_line_undo_export_verify(desk: Desk, tmp_path: Path) -> None:
    page = desk.page
    project = open_sample(desk)
    before = figures(page)
    rows = legal_rows(page, "w4a8", 3)
    assert len(rows) == 3
    pick(page, rows)
    page.locator(".caps button[data-p=w4a8]").click()
    page.wait_for_function("window.__readout.badge !== 'measured'")
    measured(page)
    after = figures(page)
    assert after["size"] != before["size"], "four-bit weights are smaller"

    report = simulate(desk.home, project, tmp_path)
    assert float(after["acc"]) == pytest.approx(100 * report["quantized"]["value"], abs=0.0051)
    assert float(after["drop"]) == pytest.approx(100 * report["drop"]["value"], abs=0.0051)
    assert float(after["bops"]) == pytest.approx(100 * report["cost"]["bops"] / report["cost"]["fp32_bops"], abs=0.0051)
    flips = page.locator(".ro-drop .flips").inner_text().split()
    assert [int(flips[0]), int(flips[2])] == [report["drop"]["flips_lost"], report["drop"]["flips_won"]]

    page.get_by_label("Undo (Ctrl+Z)").click()
    page.wait_for_selector(f".ro-size .num:has-text('{before['size']}')")
    measured(page)
    assert figures(page) == before
    page.get_by_label("Redo (Ctrl+Shift+Z)").click()
    page.wait_for_timeout(700)
    measured(page)
    assert figures(page) == after, "the figures of a known recipe cost nothing"

    export_and_download(page, tmp_path)


def export_and_download(page: Any, folder: Path) -> None:
    """Exports, reads the certificate, downloads a file."""
    page.get_by_role("button", name="Export this mix").click()
    page.get_by_role("button", name="Export and verify").click()
    page.wait_for_selector("text=ONNX Runtime optimizations", timeout=180_000)
    assert page.locator(".md-box.ok").count() == 1, page.locator(".md-box").all_inner_texts()
    with page.expect_download() as found:
        page.locator("[data-testid=stDownloadButton] button").first.click()
    kept = folder / found.value.suggested_filename
    found.value.save_as(kept)
    assert kept.stat().st_size > 100


def test_a_worker_killed_in_calibration_is_a_message_and_a_restart_works(desk: Desk) -> None:
    page = desk.page
    project = open_sample(desk)
    page.locator(".lt-bar .btn[data-state]").click()
    page.get_by_role("button", name="Calibrate", exact=True).click()
    running(desk.home, project, "calibrate")
    os.kill(worker_pid(desk.home), signal.SIGKILL)
    page.wait_for_selector(".md-box.hot")
    words = page.locator(".md-box.hot").inner_text()
    assert "signal 9" in words and "Kept:" in words and "Traceback" not in words
    page.get_by_role("button", name="Restart", exact=True).click()
    page.wait_for_selector("[data-testid=stDataFrame]", timeout=120_000)
    assert page.locator(".md-box.hot").count() == 0


def test_reload_finds_the_running_job_and_cancel_is_quick(desk: Desk) -> None:
    page = desk.page
    project = open_sample(desk)
    page.locator(".lt-bar .btn[data-state]").click()
    page.get_by_role("button", name="Calibrate", exact=True).click()
    running(desk.home, project, "calibrate")
    os.kill(worker_pid(desk.home), signal.SIGSTOP)  # the job stands still, so that the reload cannot miss it
    page.reload()
    page.wait_for_selector(".ro-job:visible .btn")
    os.kill(worker_pid(desk.home), signal.SIGCONT)
    page.wait_for_selector(".layersroot tr[data-i='5']")
    measured(page)
    page.locator(".layersroot .settings select").first.select_option("w4a8")
    page.wait_for_selector(".ro-job:visible .btn")
    begin = time.monotonic()
    page.get_by_role("button", name="Cancel what runs and what waits").click()
    page.wait_for_selector(".ro-job", state="hidden", timeout=15_000)
    assert time.monotonic() - begin < 3, "half a second of it is the page's own polling, on a machine that does other work too"
    assert page.locator(".badge.measured").count() == 0
    page.get_by_role("button", name="Measure this recipe").click()
    measured(page)


def test_a_bad_file_is_a_red_box_in_plain_words_and_other_projects_stay(desk: Desk, tmp_path: Path) -> None:
    page = desk.page
    bad = tmp_path / "broken.onnx"
    bad.write_bytes(os.urandom(4096))
    page.goto(desk.url + "?page=projects")
    page.wait_for_selector("[data-testid=stFileUploader] input[type=file]", state="attached")
    page.locator("[data-testid=stFileUploader] input[type=file]").first.set_input_files(str(bad))
    page.wait_for_selector(".st-key-panel_new .md-p:has-text('broken.onnx')")
    page.get_by_role("button", name="Create project").click()
    page.wait_for_selector(".md-box.hot", timeout=60_000)
    words = page.locator(".md-box.hot").inner_text()
    assert words.startswith("broken.onnx: not an ONNX model") and "Traceback" not in words and str(desk.home) not in words
    store = Store(desk.home)
    assert {p.name for p in store.projects.all()} >= {"broken"}
    store.close()
