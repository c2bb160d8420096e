"""Every metric, score and readout that the app shows has its sentence, and each sentence says unit and direction."""
from __future__ import annotations

import re
from typing import Any

import pytest

from app import certificate, choices, markup, ranges, tooltips, words
from app.sensitivity import view
from engine.analysis.sensitivity import kinds, scorer
from engine.data import builtin_metrics, metrics
from tests.app.test_readouts import make

DIRECTED = [*choices.METRICS, *view.SCORES, "drop", "lost", "won", "size", "compute", "accuracy", "bops", "max_lsb", "mean_lsb", "p"]


def shown() -> list[str]:
    """Names of figures, collected from where the app and the engine define them."""
    found = make()
    layer = found.layers[0]
    known = [*filter(None, choices.METRICS), *view.SCORES, *view.SCORES.values(), *kinds.SCORES, scorer.DROP, *metrics.METRICS]
    known += [label for label, *_ in words.layer_facts(found, layer, words.resolved_layer(found, layer["name"]))]
    known += [name for name, kind in certificate.COLUMNS if kind == "n"]
    known += [c for c in ranges.frame([]).columns if c in ("low", "high") or c.startswith("clip")]
    return [*known, "lost", "won", "drop", "accuracy", "size", "compute", "predicted", "measured", "estimate", "exact", "float top1"]


def test_the_registries_that_this_reads_are_filled() -> None:
    assert builtin_metrics is not None and len(metrics.METRICS) >= 6 and len(kinds.SCORES) >= 5


@pytest.mark.parametrize("name", dict.fromkeys(shown()))
def test_every_name_has_a_sentence(name: str) -> None:
    sentence = tooltips.tip(name)
    assert sentence.endswith(".") and sentence[0].isupper() and sentence.count(". ") == 0, f"{name}: {sentence!r}"


@pytest.mark.parametrize("name", [n for n in DIRECTED if n])
def test_metrics_say_unit_and_direction(name: str) -> None:
    found = tooltips.find(name)
    assert found is not None and found.unit and found.better in ("higher", "lower")
    assert f"in {found.unit}" in found.sentence() and f"{found.better} is better" in found.sentence()


def test_directions_are_those_of_the_engine() -> None:
    for name, kind in kinds.SCORES.items():
        found: Any = tooltips.find(name)
        assert found.better == ("higher" if kind.higher_is_better else "lower"), name


def test_facts_and_tables_carry_them() -> None:
    html = markup.facts([("SQNR", "40", "dB"), ("no such figure", "1", "")]) + markup.table([("low", "n"), ("", "d")], [("1", "x")])
    titles = re.findall(r'<(\w+)[^>]* title="([^"]+)"', html)
    assert [tag for tag, _ in titles] == ["div", "th"] and titles[0][1].startswith("Signal")
