"""One whole story as a person lives it: look, move, take back, switch, compare, tell, hand over. Waits on states, never on time."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Desk
from tests.e2e.test_main_job import figures
from tests.e2e.test_rack import CAP, detent, place, rack, ready, recipe, settled

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(560)]
WATCH = """() => {
  const badge = window.__bar.badge;
  window.__badges = [badge.className.replace("badge ", "")];
  new MutationObserver(() => {
    const now = badge.className.replace("badge ", "");
    if (window.__badges.at(-1) !== now) window.__badges.push(now);
  }).observe(badge, { attributes: true, attributeFilter: ["class"] });
}"""


def go(page: Any, name: str) -> None:
    """To a page by its tab."""
    page.get_by_role("link", name=name, exact=True).click()


def became(page: Any) -> list[str]:
    """What the badge has been since the last question, in its order."""
    return list(page.evaluate("(b => (window.__badges = [b.at(-1)], b))(window.__badges)"))


def predicted_then_measured(page: Any) -> None:
    """Waits for the figures of the last move: predicted stood there before measured did."""
    page.wait_for_function("(b => b.includes('predicted') && b.lastIndexOf('measured') > b.indexOf('predicted'))(window.__badges)")
    seen = became(page)
    assert seen.index("predicted") < len(seen) - 1 and seen[-1] == "measured", seen


def at_size(page: Any, size: str) -> None:
    """Waits until the bar tells a recipe of this size, measured."""
    page.wait_for_function("s => window.__bar.size.num.textContent === s && window.__bar.badge.className === 'badge measured'", arg=size)


def name_line(page: Any, name: str) -> None:
    """Names the line of history that the desk stands on."""
    page.get_by_role("radio", name="History", exact=True).click()
    box = page.get_by_label("Name of this line")
    box.fill(name)
    box.press("Tab")
    page.get_by_role("button", name="Name it", exact=True).click()
    page.wait_for_selector(f".st-key-panel_desk_side table:has-text('{name}')")


def choose(page: Any, label: str, words: str) -> None:
    """Picks the option that says `words` in one of Streamlit's selects."""
    page.get_by_label(label, exact=True).click()
    page.get_by_role("option").filter(has_text=words).first.click()


def test_look_move_take_back_switch_compare_tell_and_hand_over(desk: Desk, tmp_path: Path) -> None:
    page, project = ready(desk)
    opened = figures(page)
    name_line(page, "as opened")
    look(page)
    moved = move(page, desk, project)
    name_line(page, "one layer at four bits")
    switch(page, opened, moved)
    compare(page)
    tell(desk, tmp_path)
    hand_over(page, tmp_path)


def look(page: Any) -> None:
    """Sensitivity: every layer at every precision has a score, and one is looked into."""
    go(page, "Sensitivity")
    page.wait_for_selector(".heatroot[data-cells]")
    count = page.evaluate("window.__heat.d.items.length * window.__heat.d.precisions.length")
    assert int(page.locator(".heatroot").get_attribute("data-cells")) == count > 20
    page.wait_for_function("document.querySelector('.st-key-panel_low_side .md-t')?.innerText.trim()")
    go(page, "Desk")
    page.wait_for_function("window.__rack?.L && window.__rack.D.scroll.isConnected && window.__rack.S.live.exact")
    page.evaluate(WATCH)


def move(page: Any, desk: Desk, project: str) -> dict[str, str]:
    """A fader by mouse, another by keyboard, and the second taken back; returns the figures that stand then."""
    low = rack(page, "R.S.precisions.findIndex(p => p.id === 'w4a8')")
    first, second = rack(page, "R.S.layers[4].n"), rack(page, "R.S.layers[6].n")
    page.mouse.move(*place(page, 4, CAP))
    page.mouse.down()
    page.mouse.move(*place(page, 4, detent(low)), steps=5)
    page.wait_for_function("window.__bar.badge.className === 'badge predicted'")
    page.mouse.up()
    predicted_then_measured(page)
    moved = figures(page)

    page.mouse.click(*place(page, 6, 150))
    settled(page)
    became(page)
    page.keyboard.press("ArrowDown")
    predicted_then_measured(page)
    assert recipe(desk, project)["layers"] == {first: "w4a8", second: "w4a8"}
    assert figures(page)["size"] != moved["size"]

    page.keyboard.press("Control+z")
    at_size(page, moved["size"])
    assert figures(page) == moved and recipe(desk, project)["layers"] == {first: "w4a8"}
    return moved


def switch(page: Any, opened: dict[str, str], moved: dict[str, str]) -> None:
    """Puts the first snapshot on the other side and flips there and back, one click each."""
    choose(page, "Line", "(as opened)")
    page.get_by_role("button", name="Put in B", exact=True).click()
    page.wait_for_function("window.__bar.data.slots?.there")
    for side, figures_there in (("B", opened), ("A", moved)):
        page.locator(".ro-ab .seg button", has_text=side).click()
        at_size(page, figures_there["size"])
        page.wait_for_function("s => window.__bar.data.slots.active === s", arg=side)
        assert figures(page) == figures_there
        words = page.locator(".ro-classes").get_attribute("aria-label")
        assert words.startswith(f"{side} against {'A' if side == 'B' else 'B'}: ") and page.locator(".ro-classes .chip").count() > 0


def compare(page: Any) -> None:
    """The float model against the desk: the verdict, the samples that flipped as pictures, and a further run in the table."""
    go(page, "Compare")
    page.wait_for_selector(".cmp-verdict")
    images = page.locator(".cmp-gallery img")
    images.first.wait_for()
    page.wait_for_function("[...document.querySelectorAll('.cmp-gallery img')].slice(0, 6).every(i => i.complete && i.naturalWidth > 0)")
    page.get_by_label("More, against the left").click()
    page.get_by_role("option").filter(has_text="as opened").first.click()
    page.wait_for_function("document.querySelectorAll('.st-key-panel_verdict .cmp-runs tbody tr').length === 3")
    page.keyboard.press("Escape")


def tell(desk: Desk, folder: Path) -> None:
    """The report is downloaded and opens where there is no network, asking for nothing."""
    page = desk.page
    go(page, "Report")
    page.frame_locator(".st-key-panel_preview iframe").locator("h1").wait_for()
    with page.expect_download() as found:
        page.get_by_role("button", name="Download HTML").click()
    kept = folder / "report.html"
    found.value.save_as(kept)
    assert kept.stat().st_size < 5_000_000
    offline = page.context.browser.new_context(offline=True)
    try:
        window = offline.new_page()
        asked: list[str] = []
        window.on("request", lambda r: None if r.url.startswith(("file:", "data:")) else asked.append(r.url))
        window.on("pageerror", lambda e: asked.append(str(e)))
        window.goto(kept.as_uri())
        assert window.locator("section").count() >= 5 and window.locator("h1").inner_text().strip() and asked == []
    finally:
        offline.close()


def hand_over(page: Any, folder: Path) -> None:
    """The files are written, proven and taken away."""
    go(page, "Export")
    page.get_by_role("button", name="Export and verify").click()
    page.wait_for_selector("text=ONNX Runtime optimizations", timeout=240_000)
    proof = page.locator(".st-key-panel_certificate .md-box")
    assert proof.count() == 1 and "ok" in str(proof.get_attribute("class")).split(), proof.all_inner_texts()
    with page.expect_download() as found:
        page.locator("[data-testid=stDownloadButton] button").first.click()
    kept = folder / found.value.suggested_filename
    found.value.save_as(kept)
    assert kept.stat().st_size > 100
