"""Figures and markup: pure functions, so their tests need no browser."""
from __future__ import annotations

import plotly.graph_objects as go
import pytest

from app import cards, certificate, markup, theme
from app.figures.histogram import channels_figure, grid_every, grid_lines, histogram_figure, outside
from app.figures.treemap import tree, treemap_figure
from tests.app.canned import make_layers

HISTOGRAM = {"edges": [-2.0, -1.0, 0.0, 1.0, 2.0], "counts": [1, 5, 5, 1]}


@pytest.mark.parametrize("name", ["dark", "light"])
def test_plotly_accepts_every_figure(name: str) -> None:
    for figure in (histogram_figure(name, HISTOGRAM, -1.0, 1.0, 2 / 15), histogram_figure(name, HISTOGRAM, None, None),
                   channels_figure(name, [-1.0, -2.0], [1.0, 2.0]), treemap_figure(name, make_layers(30), "macs")):
        assert go.Figure(figure).layout.paper_bgcolor == theme.tokens(name)["surface"]


def test_what_is_clipped_is_hot_and_counted() -> None:
    figure = histogram_figure("dark", HISTOGRAM, -1.0, 1.0)
    hot = theme.tokens("dark")["hot"]
    assert [c == hot for c in figure["data"][0]["marker"]["color"]] == [True, False, False, True]
    assert outside(HISTOGRAM, -1.0, 1.0) == pytest.approx(2 / 12)


def test_the_grid_is_thinned_to_what_can_be_seen() -> None:
    assert len(grid_lines(-1.0, 1.0, 2 / 15)) == 16
    assert grid_every(-1.0, 1.0, 2 / 255) == 8
    assert grid_lines(-1.0, 1.0, 0.0) == []


def test_modules_add_up_and_chains_are_one() -> None:
    layers = make_layers(7)
    nodes = tree(layers, "params")
    top = [n for n in nodes if n[2] == ""]
    assert sum(n[3] for n in top) == sum(x["params"] for x in layers)
    assert {n[1] for n in nodes if n[2] == "features"} == {"0.conv", "1.conv"}
    assert {n[2] for n in nodes} <= {n[0] for n in nodes} | {""}, "every parent is there"


def test_names_from_a_model_are_never_markup() -> None:
    evil = "<img src=x onerror=alert(1)>"
    for text in (markup.table([("a", "m")], [[evil]]), markup.box(evil), markup.title(evil, evil), markup.facts([(evil, evil, evil)])):
        assert "<img" not in text


def test_a_card_without_measurements_and_one_with() -> None:
    from pathlib import Path
    from types import SimpleNamespace

    project = SimpleNamespace(name="<b>", model=Path("m.onnx"), target="htp_v73", metric="", thumbnail=None, updated=0.0)
    assert "not measured" in cards.card(project) and "<b>&lt;" not in cards.card(project) and "&lt;b&gt;" in cards.card(project)
    seen = {"layers": [{"precision": "w4a8"}, {"precision": "w8a8"}], "fp32": {"value": 0.92}, "quantized": {"value": 0.91},
            "cost": {"size_bytes": 1000, "fp32_size_bytes": 4000}}
    project.thumbnail = seen
    assert "92.00 → 91.00" in cards.card(project) and "4.0×" in cards.card(project)
    assert cards.strips(seen).count("<i ") == 2


def test_the_certificate_in_words() -> None:
    proof = {"passed": True, "parity": [{"optimizations": "off", "max_lsb": 1, "mean_lsb": 0.1, "sqnr_db": 60.0, "agreement": 1.0}],
             "statements": ["x"], "first_divergence": None, "missing_encodings": []}
    assert certificate.rows(proof)[0][1] == "100.00 %"
    assert "Every quantizer is present once." in certificate.remarks(proof)
    assert "t7" in certificate.remarks({"missing_encodings": ["t7"]})[-1]
