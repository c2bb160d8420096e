"""Every page as people see it: both themes, two sizes, photographed; no serious finding of axe, nothing wider than the window."""
from __future__ import annotations

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from app.state import PAGES
from tests.e2e.conftest import ARTIFACTS, Desk
from tests.e2e.test_main_job import open_sample

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(480)]
SIZES = ((1440, 900), (1024, 768))
GRAVE = ("serious", "critical")
STREAMLITS = {"scrollable-region-focusable": "stSidebarContent"}  # not ours to give the focus


def settled(page: Any) -> None:
    """Waits until no job of the project runs and all is drawn."""
    page.wait_for_selector(".readoutroot")
    page.wait_for_selector(".ro-job", state="hidden", timeout=60_000)
    page.wait_for_timeout(1200)


def findings(page: Any) -> list[str]:
    """What axe calls serious or critical, in words, without what Streamlit itself does."""
    out = []
    for violation in Axe().run(page).response["violations"]:
        if violation["impact"] not in GRAVE:
            continue
        for node in violation["nodes"]:
            if STREAMLITS.get(violation["id"], "\0") not in node["html"]:
                out.append(f"{violation['id']}: {node['html'][:160]}: {node['failureSummary'][:200]}")
    return out


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_every_page(desk: Desk, theme: str) -> None:
    page = desk.page
    page.emulate_media(color_scheme=theme)
    project = open_sample(desk)
    wrong = []
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    for name in PAGES:
        page.set_viewport_size({"width": 1440, "height": 900})
        page.goto(f"{desk.url}?page={name}&project={project}")
        settled(page)
        wrong += [f"{name}: {words}" for words in findings(page)]
        for width, height in SIZES:
            page.set_viewport_size({"width": width, "height": height})
            page.wait_for_timeout(700)
            page.screenshot(path=ARTIFACTS / f"{name}_{theme}_{width}.png")
            wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            if wide > 0:
                wrong.append(f"{name} at {width}: {wide} px wider than the window")
    assert not wrong, "\n".join(wrong)
