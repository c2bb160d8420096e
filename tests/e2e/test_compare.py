"""Compare and Report in a real browser: flipped samples as pictures, sides swapped, and a file that opens offline."""
from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.conftest import Desk
from tests.e2e.test_main_job import open_sample

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(480)]


def test_compare_then_report(desk: Desk, tmp_path: Path) -> None:
    page, project = desk.page, open_sample(desk)
    page.goto(f"{desk.url}?page=compare&project={project}")
    page.wait_for_selector(".cmp-verdict")
    page.wait_for_selector(".st-key-panel_cmp_classes .js-plotly-plot")
    lost, won = (int(page.locator(".cmp-runs tbody tr").nth(1).locator("td").nth(4).inner_text().split(" / ")[k]) for k in (0, 1))
    assert lost > 0 and won > 0
    images = page.locator(".cmp-gallery img")
    assert images.count() == min(lost, 20)
    assert images.first.evaluate("i => i.complete && i.naturalWidth") == 28
    assert page.locator(".cmp-runs td[title]").count() >= 14
    page.get_by_role("button", name="\u21c4").first.click()
    page.wait_for_function(f"document.querySelectorAll('.cmp-runs tbody tr')[1]?.cells[4].innerText === '{won} / {lost}'")

    page.goto(f"{desk.url}?page=report&project={project}")
    frame = page.frame_locator(".st-key-panel_preview iframe")
    frame.locator("h1").wait_for()
    assert f"{lost} of 2,000 samples lost, {won} won" in frame.locator("body").inner_text()
    with page.expect_download() as found:
        page.get_by_role("button", name="Download HTML").click()
    kept = tmp_path / "report.html"
    found.value.save_as(kept)
    assert kept.stat().st_size < 5_000_000
    offline = page.context.browser.new_context(offline=True)
    window = offline.new_page()
    asked: list[str] = []
    window.on("request", lambda r: None if r.url.startswith(("file:", "data:")) else asked.append(r.url))
    window.goto(kept.as_uri())
    assert window.locator("figure img").count() > 0 and window.locator("section").count() >= 5 and asked == []
    offline.close()
