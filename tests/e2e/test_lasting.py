"""Work that lasts: two windows on one project, a server that is killed, and a network of 300 layers."""
from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from engine.store import Store
from tests.e2e.conftest import Desk, Server
from tests.e2e.test_main_job import create_project, figures, measured, open_sample
from tests.graphs import deep_net

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(480)]


def edited(page: Any) -> None:
    """Another base precision, chosen in the table's bar."""
    page.locator(".layersroot .settings select").first.select_option("w4a8")
    page.wait_for_function("window.__readout.badge !== 'measured'")
    measured(page)


def test_a_second_window_follows_the_first(desk: Desk) -> None:
    project = open_sample(desk)
    other = desk.page.context.new_page()
    other.goto(f"{desk.url}?page=desk&project={project}")
    other.wait_for_selector(".layersroot tr[data-i='5']")
    measured(other)
    before = figures(other)
    edited(desk.page)
    now = figures(desk.page)
    assert now["size"] != before["size"]
    other.wait_for_selector(f".ro-size .num:has-text('{now['size']}')", timeout=20_000)
    measured(other)
    assert figures(other) == now
    other.close()


def test_a_killed_server_loses_nothing(desk: Desk, server: Server) -> None:
    open_sample(desk)
    edited(desk.page)
    now, lines = figures(desk.page), _history(desk.home)
    server.kill()
    server.start()
    desk.page.reload()
    desk.complaints.clear()  # the browser missed its server
    desk.page.wait_for_selector(".layersroot tr[data-i='5']")
    measured(desk.page)
    assert figures(desk.page) == now and _history(desk.home) == lines
    desk.page.get_by_label("Undo (Ctrl+Z)").click()
    desk.page.wait_for_function("s => !document.querySelector('.ro-size .num')?.innerText.includes(s)", arg=now["size"])


def _history(home: Path) -> list[str]:
    store = Store(home)
    found = [line.label for project in store.projects.all() for line in store.history.lines(project.id)]
    store.close()
    return found


def test_three_hundred_layers(desk: Desk, tmp_path: Path) -> None:
    model, data = tmp_path / "deep.onnx", tmp_path / "data.npz"
    onnx.save(deep_net(), model)
    samples = np.random.default_rng(0).normal(size=(64, 1, 12, 12)).astype(np.float32)
    np.savez(data, x=samples, labels=np.arange(64) % 10)
    page = desk.page
    create_project(desk, model, data)
    begin = time.monotonic()
    page.wait_for_url("**page=model**")
    page.get_by_role("link", name="Desk", exact=True).click()
    page.wait_for_function("window.__layers?.d?.layers.length === 299", timeout=90_000)
    measured(page)
    print(f"300 layers: read and measured after {time.monotonic() - begin:.1f} s")
    edited(page)
    page.get_by_role("link", name="Sensitivity", exact=True).click()
    page.wait_for_selector(".heatroot[data-cells='1196']", timeout=90_000)  # 299 layers at four precisions
