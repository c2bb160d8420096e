"""The layout of the graph view: nothing overlaps, ranks follow the edges, the same graph gives the same picture."""
from __future__ import annotations

import itertools
import random
import time
from typing import Any

import pytest

from app.graph import picture as pictures
from app.graph.blocks import chains
from app.graph.digraph import components, crossings, longest_path
from app.graph.level import Arc, Item, TangledError, lay_out
from app.graph.picture import known_folds, picture
from app.graph.trunk import trunk
from app.rack import blocks

Drawing = dict[str, Any]


def made(names: list[tuple[str, str]], arcs: list[tuple[int, int]]) -> Drawing:
    """A drawing of nodes (name, module) with an input in front; each is a layer."""
    nodes = [{"name": "x", "op": "Input", "kind": "input", "layer": -1, "module": "", "parts": [], "members": [], "tensors": ["x"],
              "shape": []}]
    nodes += [{"name": n, "op": "Conv", "kind": "layer", "layer": i, "module": m, "parts": ["Conv"], "members": [n],
               "tensors": [f"t{i + 1}"], "shape": [1, 8, 4, 4]} for i, (n, m) in enumerate(names)]
    edges = [{"from": a, "to": b, "tensor": nodes[a]["tensors"][0], "read": nodes[a]["tensors"][0], "via": []} for a, b in arcs]
    return {"nodes": nodes, "edges": edges, "hash": f"{hash((tuple(names), tuple(arcs))):x}", "note": ""}


def residual(blocks: int, gate: bool = True) -> Drawing:
    """Blocks of four nodes with a shortcut; every third also with a gate beside its trunk (squeeze and excite)."""
    names, arcs, last = [("stem", "stem")], [(0, 1)], 1
    for b in range(blocks):
        inner = ["expand", "depth", "project", "add"] + (["squeeze", "excite", "mul"] if gate and b % 3 == 0 else [])
        at = {n: len(names) + 1 + i for i, n in enumerate(inner)}
        names += [(f"blocks.{b}.{n}", f"blocks.{b}.{n}") for n in inner]
        trunk = "depth"
        arcs += [(last, at["expand"]), (at["expand"], at["depth"])]
        if "mul" in at:
            arcs += [(at["depth"], at["squeeze"]), (at["squeeze"], at["excite"]), (at["excite"], at["mul"]), (at["depth"], at["mul"])]
            trunk = "mul"
        arcs += [(at[trunk], at["project"]), (at["project"], at["add"]), (last, at["add"])]
        last = at["add"]
    return made(names, arcs)


def random_graph(count: int, seed: int) -> Drawing:
    """Any acyclic graph with modules at random: blocks run through each other."""
    rng = random.Random(seed)
    names = [(f"n{i}", rng.choice(["", "a.b", "a.c", "d", f"e.{i // 9}", f"f.{i // 5}.g"])) for i in range(count)]
    arcs = {(rng.randrange(max(0, i - 12), i), i) for i in range(1, count + 1) for _ in range(rng.randint(1, 3))}
    return made(names, sorted(arcs))


GRAPHS = {"residual": residual(12), "deep": residual(100), "random": random_graph(60, 1), "tangled": random_graph(150, 2),
          "one": made([("a", "")], [(0, 1)])}


def boxes(place: dict[str, Any]) -> list[list[float]]:
    return [b[:4] for b in place["nodes"] if b] + [b[:4] for b in place["folded"]]


def apart(a: list[float], b: list[float]) -> bool:
    return a[0] + a[2] <= b[0] + 0.2 or b[0] + b[2] <= a[0] + 0.2 or a[1] + a[3] <= b[1] + 0.2 or b[1] + b[3] <= a[1] + 0.2


def inside(a: list[float], b: list[float]) -> bool:
    return a[0] >= b[0] - 0.2 and a[1] >= b[1] - 0.2 and a[0] + a[2] <= b[0] + b[2] + 0.2 and a[1] + a[3] <= b[1] + b[3] + 0.2


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("aspect", [0.0, 0.5, 1.5, 3.2])
def test_nothing_overlaps_and_blocks_hold_their_own(name: str, aspect: float) -> None:
    drawing = GRAPHS[name]
    place = picture(drawing, (), aspect)
    for a, b in itertools.combinations(boxes(place), 2):
        assert apart(a, b)
    blocks = {b[4]: b[:4] for b in place["blocks"]}
    for a, b in itertools.combinations(blocks.values(), 2):
        assert apart(a, b) or inside(a, b) or inside(b, a)
    for box, chain in zip(place["nodes"], pictures.chains_of(drawing), strict=True):
        for block, frame in blocks.items():
            assert inside(box[:4], frame) == (block in chain), "a node is inside its blocks and in no other"
    assert all(inside(b, [0, 0, place["w"], place["h"]]) for b in boxes(place))


@pytest.mark.parametrize("name", GRAPHS)
def test_every_edge_runs_down_from_its_node_to_its_reader(name: str) -> None:
    drawing = GRAPHS[name]
    place = picture(drawing, (), 0.0)
    for i, edge in enumerate(drawing["edges"]):
        a, b = place["nodes"][edge["from"]], place["nodes"][edge["to"]]
        assert a[1] + a[3] < b[1], "ranks follow the edges"
        parts = [p for p, edges, _ in place["lines"] if i in edges]
        ends = {(p[0], p[1]) for p in parts}, {(p[-2], p[-1]) for p in parts}
        assert any(abs(x - a[0] - a[2] / 2) < 0.2 and abs(y - a[1] - a[3]) < 0.2 for x, y in ends[0])
        assert any(b[0] <= x <= b[0] + b[2] and abs(y - b[1]) < 0.2 for x, y in ends[1])
        starts = [(x, y) for x, y in ends[0] if abs(y - a[1] - a[3]) > 0.2]
        assert all(any(abs(x - u) < 0.2 and abs(y - v) < 0.2 for u, v in ends[1]) for x, y in starts), "the parts are one line"


@pytest.mark.parametrize("name", ["residual", "deep", "random", "tangled"])
def test_no_line_runs_through_a_node(name: str) -> None:
    place = picture(GRAPHS[name], (), 0.0)
    for points, _, _ in place["lines"]:
        for x0, y0, x1, y1 in zip(points[::2], points[1::2], points[2::2], points[3::2], strict=False):
            if abs(x0 - x1) < 0.3:
                for x, y, w, h in boxes(place):
                    assert not (x + 1 < x0 < x + w - 1 and y0 < y + h - 1 and y1 > y + 1), "straight runs pass beside nodes"


def test_a_folded_block_is_one_box_and_its_inner_edges_are_gone() -> None:
    drawing = residual(9)
    place = picture(drawing, ["blocks.2", "blocks.3", "no.such.block"], 1.5)
    assert [b[4] for b in place["folded"]] == ["blocks.2", "blocks.3"]
    assert {b[4] for b in place["blocks"]} == {f"blocks.{i}" for i in (0, 1, 4, 5, 6, 7, 8)}
    hidden = {i for b in place["folded"] for i in b[6]}
    assert all((not place["nodes"][i]) == (i in hidden) for i in range(len(drawing["nodes"])))
    drawn = {e for _, edges, _ in place["lines"] for e in edges}
    within = {i for i, e in enumerate(drawing["edges"]) if any({e["from"], e["to"]} <= set(b[6]) for b in place["folded"])}
    assert within and drawn == set(range(len(drawing["edges"]))) - within


def test_a_long_network_breaks_into_columns_of_the_panels_shape() -> None:
    wide, tall, line = (picture(GRAPHS["deep"], (), a) for a in (3.2, 0.5, 0.0))
    assert 2.2 < wide["w"] / wide["h"] < 4.6
    assert 0.3 < tall["w"] / tall["h"] < 0.8
    assert line["h"] > 40 * line["w"]
    assert sum(wraps for _, _, wraps in wide["lines"]) > sum(wraps for _, _, wraps in tall["lines"]) > 0


@pytest.mark.parametrize("name", ["deep", "tangled"])
def test_the_same_graph_gives_the_same_picture(name: str) -> None:
    first = picture(GRAPHS[name], (), 1.5)
    pictures._KEPT.clear()
    assert picture(GRAPHS[name], (), 1.5) == first
    assert picture(GRAPHS[name], (), 1.5) is picture(GRAPHS[name], (), 1.5), "and is kept"


def test_a_shortcut_leaves_the_trunk_straight() -> None:
    drawing = residual(4, gate=False)
    place = picture(drawing, (), 0.0)
    middles = [b[0] + b[2] / 2 for b in place["nodes"]]
    assert max(middles) - min(middles) < 0.5


def gated(blocks: int) -> Drawing:
    """`residual` with the sizes of tensors: the gate beside a trunk makes one value a channel."""
    drawing = residual(blocks)
    for node in drawing["nodes"]:
        small = node["name"].endswith((".squeeze", ".excite"))
        node["shape"] = [1, 8, 1, 1] if small else [1, 8, 16, 16]
    return drawing | {"hash": f"gated{blocks}"}


@pytest.mark.parametrize("folded", [[], ["blocks.1"]])
def test_the_trunk_runs_straight_past_the_gates_beside_it(folded: list[str]) -> None:
    drawing = gated(5)
    main = trunk(drawing)
    names = [drawing["nodes"][e["to"]]["name"].rpartition(".")[2] for i, e in enumerate(drawing["edges"]) if i in main]
    assert not {"squeeze", "excite"} & set(names) and names.count("mul") == 2 and names.count("add") == 5
    place = picture(drawing, folded, 0.0)
    on = {n for i in main for n in (drawing["edges"][i]["from"], drawing["edges"][i]["to"])}
    middles = {i: b[0] + b[2] / 2 for i, b in enumerate(place["nodes"]) if b}
    straight = [x for i, x in middles.items() if i in on]
    assert max(straight) - min(straight) < 0.5, "one straight line"
    beside = [x for i, x in middles.items() if i not in on]
    assert beside and all(abs(x - straight[0]) > 10 for x in beside)
    for points, edges, _ in place["lines"]:
        if main & set(edges):
            assert max(points[::2]) - min(points[::2]) < 0.6, "and so are its lines"


def test_a_sum_is_reached_through_its_branch_and_a_concatenation_through_the_longer_way() -> None:
    drawing = made([("down", ""), ("deep", ""), ("up", ""), ("cat", "")], [(0, 1), (1, 2), (2, 3), (3, 4), (1, 4)])
    drawing["nodes"][3]["shape"] = [1, 4, 4, 4]  # half as many channels as the skip connection
    assert trunk(drawing) == {0, 1, 2, 3}


def test_the_rack_and_the_graph_call_blocks_alike() -> None:
    names = [f"encoder.layer.{b}.{part}" for b in range(4) for part in ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")]
    drawing = made([(n, n) for n in ["stem", *names, "head"]], [(i, i + 1) for i in range(18)])
    drawing["nodes"].append({**drawing["nodes"][3], "name": "add", "kind": "op", "layer": -1, "module": "encoder.layer.0.attn"})
    drawing["edges"].append({"from": 3, "to": 19, "tensor": "t", "read": "t", "via": []})
    found = pictures.chains_of(drawing)
    assert [c[-1] if c else n["name"] for c, n in zip(found[1:19], drawing["nodes"][1:19], strict=True)] == blocks(drawing["nodes"][1:19])
    assert found[2] == ("encoder.layer.0", "encoder.layer.0.attn") == found[19], "an op is where its module is"
    parts = [f"b.{k}.{part}" for k in range(3) for part in ("expand", "se.fc1", "se.fc2", "project")]
    assert blocks([{"name": n, "module": n} for n in ["stem", *parts]]) == ["stem", *(n[:3] for n in parts)], "a gate tears no block apart"


def test_a_hopeless_tangle_is_refused() -> None:
    rng = random.Random(1)
    arcs = sorted({(rng.randrange(0, i), i) for i in range(1, 901) for _ in range(40)})
    with pytest.raises(TangledError):
        picture(made([(f"n{i}", "") for i in range(900)], arcs), (), 1.5)


def test_time(capsys: pytest.CaptureFixture[str]) -> None:
    for graph, words in ((residual(200), "1,000 nodes in 200 blocks"), (random_graph(1000, 3), "1,000 nodes at random")):
        begin = time.perf_counter()
        picture(graph, (), 1.5)
        with capsys.disabled():
            print(f"\nlayout of {len(graph['nodes'])} nodes ({words}): {1000 * (time.perf_counter() - begin):.0f} ms")


def test_blocks_that_run_through_each_other_are_dissolved_and_what_is_between_joins() -> None:
    nodes = made([("a0", "a.x"), ("b0", "b.x"), ("a1", "a.y"), ("b1", "b.y"), ("c0", "c.x"), ("loose", ""), ("c1", "c.y")], [])["nodes"][1:]
    arcs = [(i, i + 1) for i in range(6)]
    assert chains(nodes, arcs) == [(), (), (), (), ("c",), ("c",), ("c",)]


def test_the_small_algorithms() -> None:
    assert sorted(map(sorted, components([1, 2, 3, 4], [(1, 2), (2, 3), (3, 2), (3, 4)]))) == [[1], [2, 3], [4]]
    assert longest_path("abcd", [("a", "b"), ("b", "c"), ("d", "c")]) == {"a": 0, "b": 1, "c": 2, "d": 1}
    with pytest.raises(ValueError, match="circle"):
        longest_path("ab", [("a", "b"), ("b", "a")])
    assert crossings([["a", "b"], ["c", "d"]], {"a": ["d"], "b": ["c"]}) == 1
    level = lay_out([Item(k, 40, 20) for k in "abcdxy"], [Arc("a", "d", "a"), Arc("b", "c", "b"), Arc("x", "a", "x"), Arc("x", "b", "x"),
                                                          Arc("c", "y", "c"), Arc("d", "y", "d")])
    after: dict[str, list[str]] = {}
    for link in itertools.chain(*level.links):
        after.setdefault(link.start, []).append(link.end)
    assert crossings(level.ranks, after) == 0, "sweeps undo a crossing"
    assert known_folds(residual(2), ["blocks.1", "x"]) == {"blocks.1"}
