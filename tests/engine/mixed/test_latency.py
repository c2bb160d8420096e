"""Tables of latencies from people: read strictly, shapes over op types, and into the problem."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import BadInput
from engine.mixed.build import Wish, space_of
from engine.mixed.goal import Goal
from engine.mixed.latency import load_latency, parse_latency
from engine.mixed.solve import Solver
from engine.quant.precision import Precision
from engine.recipe import Recipe
from engine.sim.quantsim import QuantSim
from tests.engine.targets.graphs import chain

HEAD = "op_type,precision,shape,microseconds\n"


def test_a_row_with_the_layers_shape_beats_one_without() -> None:
    table = parse_latency(HEAD + "Conv,w8a8,4x4x1x1,7\nConv,W8A8,,9\nConv,w4a8,,3\n")
    layer = chain(1).layers[0]
    assert table.of(layer, Precision.parse("w8a8"), []) == 7
    assert table.of(layer, Precision.parse("w4a8"), []) == 3
    with pytest.raises(BadInput, match="rows for w4a8, w8a8"):
        table.of(layer, Precision.parse("w8a16"), [])
    notes: list[str] = []
    assert parse_latency(HEAD + "Gemm,w8a8,,1\n").of(layer, Precision.parse("w8a8"), notes) == 0
    assert "Conv" in notes[0]


@pytest.mark.parametrize(("text", "says"), [
    ("", "no column"), ("op,precision,microseconds\n", "op_type"), (HEAD, "no rows"), (HEAD + "Conv,w8a8,,fast\n", "line 2.*'fast'"),
    (HEAD + "Conv,w8a8,,-1\n", "from 0 up"), (HEAD + "Conv,w99a8,,1\n", "line 2"), (HEAD + "Conv,w8a8,,1\nConv,w8a8,,2\n", "second row"),
    (HEAD + "Conv,w8a8,,nan\n", "number"), (HEAD + "Conv,w8a8,,1e999\n", "number")])
def test_what_is_wrong_is_named_with_its_line(text: str, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        parse_latency(text)


def test_files_that_are_no_tables(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(BadInput, match="UTF-8"):
        load_latency(tmp_path / "a.csv")
    with pytest.raises(BadInput, match="cannot be read"):
        load_latency(tmp_path / "none.csv")
    (tmp_path / "big.csv").write_bytes(b"a" * 5_000_000)
    with pytest.raises(BadInput, match="at most"):
        load_latency(tmp_path / "big.csv")


def test_a_latency_is_a_limit_like_the_others() -> None:
    sim = QuantSim(chain(4), Recipe())
    scores = {f"c{i}": {"w8a8": 0.01 * (i + 1), "w4a8": 0.1 * (i + 1)} for i in range(4)}
    table = parse_latency(HEAD + "Conv,w8a8,,10\nConv,w4a8,,4\n")
    space = space_of(sim, Wish((Precision.parse("w8a8"), Precision.parse("w4a8"))), scores, table)
    found = Solver([space]).exact(Goal({"latency_us": 30.0})).solution
    assert {k: str(p) for k, p in space.named(found.choice).items()} == {"c0": "w4a8", "c1": "w4a8", "c2": "w8a8", "c3": "w8a8"}
