"""The stakeholder's page: from a real export and from hostile files; in Chromium with the network blocked."""
from __future__ import annotations

import json
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from engine.cli import main
from engine.errors import BadInput
from engine.report import Facts, from_folder, from_results, render
from engine.report.network import short_names
from engine.report.page import MAX_BYTES
from engine.report.svg import ticks

RECIPE = """mixdown: 1
target: htp_v73
precision: w4a8
layers: {features.0.conv: w8a8, classifier: w8a16}
"""
EVIL = "</script><script>alert(1)</script>\"'><img src=http://evil.example/x onerror=alert(2)>&{{x}}\u202e"


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, mobilenet: Path) -> Path:
    """A real export, made by the command line as a person would."""
    folder = tmp_path_factory.mktemp("report")
    (folder / "recipe.yaml").write_text(RECIPE)
    data = ["--evaluation", str(mobilenet / "evaluation.npz"), "--calibration", str(mobilenet / "calibration.npz")]
    assert main(["quantize", str(folder / "recipe.yaml"), str(mobilenet / "model.onnx"), *data, "--out", str(folder / "out"), "-q"]) == 0
    return folder / "out"


@pytest.fixture(scope="module")
def page(exported: Path) -> str:
    assert main(["report", str(exported), "--out", str(exported.parent / "page.html"), "--json", str(exported.parent / "page.json")]) == 0
    return (exported.parent / "page.html").read_text(encoding="utf-8")


class Outside(HTMLParser):
    """Every address that a browser would fetch, every script and every handler."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            inert = name in ("src", "href", "xlink:href") and str(value).startswith("data:")
            if (name in ("src", "href", "xlink:href", "action", "data", "poster", "srcset") and not inert) or name.startswith("on"):
                self.found.append(f"{tag} {name}={value}")


def outside(html: str) -> list[str]:
    parser = Outside()
    parser.feed(html)
    urls = [u for u in re.findall(r"url\(([^)]{0,40})", html) if not u.startswith("data:")]
    return parser.found + urls + [t for t in parser.tags if t in ("script", "iframe", "object", "embed", "link", "base", "form")] + (
        ["@import"] if "@import" in html else [])


def plain(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", re.sub(r"<style>.*?</style>", "", html, flags=re.S)).split())


def test_it_says_what_the_report_says(exported: Path, page: str) -> None:
    report, words = json.loads((exported / "report.json").read_text()), plain(page)
    drop, cost = report["drop"], report["cost"]
    assert f"{100 * drop['value']:.2f} points" in words
    assert f"{drop['flips_lost']} of 2,000 samples lost, {drop['flips_won']} won" in words
    assert f"{cost['fp32_size_bytes'] / cost['size_bytes']:.2f}" in words and f"{cost['fp32_bops'] / cost['bops']:.1f}" in words
    assert "The base is W4A8" in words and "1 layer at W8A16" in words and "(20 places)" in words
    for row in report["per_class"]:
        assert row["name"].replace("'", "&#x27;") in words
    certificate = json.loads((exported / "certificate.json").read_text())
    assert certificate["passed"] and certificate["sentence"] in words
    for name, digest in report["export"]["files"].items():
        assert name in words and digest in words
    assert report["model"]["sha256"] in words and "precision: w4a8" in words and "onnxruntime" in words
    assert json.loads((exported.parent / "page.json").read_text())["bytes"] == len(page.encode())


def test_one_cell_a_layer_with_its_precision(exported: Path, page: str) -> None:
    for layer in json.loads((exported / "report.json").read_text())["layers"]:
        assert f"<title>{layer['name']}: {layer['precision']}" in page


def test_nothing_comes_from_outside(page: str) -> None:
    assert outside(page) == []
    assert "default-src &#x27;none&#x27;" in page or "default-src 'none'" in page
    assert len(page.encode()) < 500_000


def test_a_folder_that_is_no_export_is_refused(tmp_path: Path, exported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(tmp_path)]) == 2
    assert "holds no report.json" in capsys.readouterr().err
    assert main(["report", str(exported), "--out", str(tmp_path / "no" / "x.html")]) == 2
    assert "there is no folder" in capsys.readouterr().err
    (tmp_path / "report.json").write_text("[1, 2]")
    with pytest.raises(BadInput, match="expected a mapping"):
        from_folder(tmp_path)
    (tmp_path / "report.json").write_text("{\"a\": " * 500)
    with pytest.raises(BadInput):
        from_folder(tmp_path)


def test_a_file_changed_since_the_export_takes_the_proof_away(exported: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(exported, copy)
    assert "does not hold" not in render(from_folder(copy))
    with (copy / "model_qdq.onnx").open("ab") as file:
        file.write(b"x")
    words = plain(render(from_folder(copy)))
    assert "Changed since the export: model_qdq.onnx" in words and "does not hold" in words


def hostile(value: Any, depth: int = 0) -> Any:
    """The same structure with every text hostile."""
    if isinstance(value, dict):
        return {k: hostile(v, depth + 1) for k, v in value.items()}
    if isinstance(value, list):
        return [hostile(v, depth + 1) for v in value]
    return EVIL if isinstance(value, str) else value


def test_hostile_names_stay_text(exported: Path) -> None:
    facts = from_folder(exported)
    good = "data:image/png;base64," + "A" * 24
    pictures = (good, good.replace("png", "svg+xml"), "http://evil.example/y.png", good + "' onload='alert(3)")
    lost = [{"kind": "lost", "left": EVIL, "right": EVIL, "index": EVIL, "margin": 0.1, "picture": picture} for picture in pictures]
    runs = [{"label": EVIL, "value": 0.9, "size_bytes": 10 + i, "now": i == 1} for i in range(3)]
    html = render(replace(facts, report=hostile(dict(facts.report)), certificate=hostile(dict(facts.certificate or {})), recipe=EVIL,
                          made=EVIL, comparison={"flips": {"samples": lost}}, runs=runs))
    assert outside(html) == [] and "<script" not in html and "onerror=alert(2)&gt;" in html
    assert "svg+xml" not in html and "evil.example/y.png" not in html and html.count("<figure>") == 1
    assert "\u202e" not in html, "a text that turns the reading direction would change what other words say"


WRONG: list[Any] = [None, True, "x", -1, 0, 1e400, float("nan"), 10**400, [], {}, [[]], {"a": [None]}, [{"name": []}], [None, 3],
                    "9" * 5000]


@pytest.mark.parametrize("wrong", WRONG, ids=lambda w: str(w)[:12])
def test_values_of_the_wrong_kind_are_left_out(exported: Path, wrong: Any) -> None:
    facts = from_folder(exported)
    for key in facts.report:
        assert outside(render(replace(facts, report={**facts.report, key: wrong}))) == []
        if isinstance(facts.report[key], dict):
            for inner in facts.report[key]:
                assert "<h1>" in render(replace(facts, report={**facts.report, key: {**facts.report[key], inner: wrong}}))
    for key in facts.certificate or {}:
        render(replace(facts, certificate={**(facts.certificate or {}), key: wrong}))
    layer = dict(facts.layers[0])
    for key in layer:
        render(replace(facts, report={**facts.report, "layers": [{**layer, key: wrong}, layer]}))
    render(Facts({"layers": wrong}, sensitivity={"mode": "one-on", "scores": wrong}, runs=[], comparison={"flips": wrong}))


def test_an_empty_report_is_a_page_that_says_so() -> None:
    words = plain(render(from_results({}, "")))
    assert "the loss was not measured" in words and "Nothing is proven" in words


def test_a_thousand_layers_stay_small(exported: Path) -> None:
    facts = from_folder(exported)
    many = [{**layer, "name": f"block.{i}.{layer['name']}"} for i in range(50) for layer in facts.layers]
    html = render(replace(facts, report={**facts.report, "layers": many}))
    assert len(html.encode()) < MAX_BYTES / 4 and "the other 990 are in report.json" in html


def test_too_much_is_refused(exported: Path) -> None:
    picture = "data:image/png;base64," + "A" * 59_996
    long = [{"kind": "lost", "left": "x", "right": "y", "picture": picture, "index": i} for i in range(40)]
    assert len(render(replace(from_folder(exported), comparison={"flips": {"samples": long}}))) < MAX_BYTES


def test_the_waterfall_adds_the_scores_of_the_effective_precisions() -> None:
    layers = [{"name": n, "precision": p} for n, p in (("a", "w4a8"), ("b", "w8a8"), ("c", "fp16"))]
    scores = [{"layer": n, "precision": p, "metric": "kl", "value": v, "estimate": False}
              for n, p, v in (("a", "w4a8", 0.3), ("a", "w8a8", 9.0), ("b", "w8a8", 0.1), ("b", "w4a8", 9.0))]
    html = render(Facts({"layers": layers}, sensitivity={"mode": "one-on", "samples": 128, "scores": scores}))
    assert "a: 0.3 nats" in html and "b: 0.1 nats" in html and "the sum: 0.4 nats" in html and "1 layer of 2 makes half of the sum" in html


def test_names_lose_what_they_share_but_stay_apart() -> None:
    names = ["features.0.conv", "features.1.expand.conv", "features.1.project.conv", "classifier"]
    assert short_names(names) == ["0", "1.expand", "1.project", "classifier"]
    assert short_names(["a.x", "b.x", "a"]) == ["a.x", "b.x", "a"]
    assert short_names([]) == [] and short_names(["one"]) == ["one"]


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-3.0, 7.0), (0.90, 0.91), (5.0, 5.0), (0.0, float("inf")), (61_000.0, 140_000.0)])
def test_ticks_are_round_and_inside(low: float, high: float) -> None:
    found = ticks(low, high, 5)
    assert 1 <= len(found) <= 12 and all(low - 1e-9 <= t <= high + 1e-9 for t in found)


def visit(chromium: str, path: Path) -> dict[str, Any]:
    """What a browser without a network sees of the page."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        window = browser.new_context(viewport={"width": 900, "height": 1000}, offline=True).new_page()
        said: list[str] = []
        window.on("console", lambda m: said.append(m.text))
        window.on("pageerror", lambda e: said.append(str(e)))
        window.on("request", lambda r: said.append(r.url) if not r.url.startswith(("file:", "data:")) else None)
        window.goto(path.as_uri())
        seen = {"font": window.evaluate("document.fonts.ready.then(() => document.fonts.check('13px Inter'))"), "said": said,
                "fits": window.evaluate("document.documentElement.scrollWidth <= innerWidth"),
                "drawings": window.locator("section svg").count(), "sections": window.locator("h2").count(),
                "pdf": window.pdf(prefer_css_page_size=True, print_background=True)}
        browser.close()
        return seen


@pytest.mark.e2e
def test_it_opens_with_the_network_blocked_and_prints(exported: Path, page: str) -> None:
    pytest.importorskip("playwright.sync_api")
    chromium = next((p for n in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(n))), None)
    if chromium is None:
        pytest.skip("no Chromium")
    with ThreadPoolExecutor(1) as pool:  # a thread of its own: another test's browser may hold this one's event loop
        seen = pool.submit(visit, chromium, exported.parent / "page.html").result()
    assert seen["said"] == [] and seen["font"] and seen["fits"]
    assert seen["drawings"] >= 2 and seen["sections"] >= 6
    assert seen["pdf"].startswith(b"%PDF") and 2 <= len(re.findall(rb"/Type\s*/Page\b", seen["pdf"])) <= 8
