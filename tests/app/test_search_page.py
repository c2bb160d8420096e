"""The page Search by AppTest, on the real client and a worker whose budgets and searches are canned."""
from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from app import bench, recipes, state
from app.app_pages import search_acts as acts
from app.client import Client
from app.rack_codec import pack, unpack
from app.search import ask, data, marks, view
from app.search.view import Targets, View
from engine.errors import BadInput
from tests.app.test_repair_page import project

ROOT = Path(__file__).resolve().parents[2]
WINDOW = state.Window()


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    made = Client(tmp_path / "home", session="tests.app.canned:for_project")
    monkeypatch.setattr(state, "client", lambda: made)
    monkeypatch.setattr(Client, "ensure_sample", lambda self, name="": None)
    yield made
    made.shutdown()


@pytest.fixture
def ready(client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Client, str, View]:
    """A project whose frontiers are there, and the view of a window on it."""
    name, seen = project(client, tmp_path), View(targets=Targets({"size": 0.2}))
    monkeypatch.setattr(state, "window", lambda: WINDOW)
    assert acts.begin(client, acts.loaded(client, name), seen)
    ended(client, name, "frontier", 2)
    return client, name, seen


def ended(client: Client, name: str, verb: str, count: int = 1, state_of: str = "done") -> list[Any]:
    """The jobs of a verb, once so many of them have ended."""
    for _ in range(300):
        jobs = [j for j in client.jobs(name) if j.verb == verb]
        if len(jobs) >= count and not any(j.active for j in jobs):
            assert jobs[0].state == state_of, (jobs[0].state, jobs[0].error)
            return jobs
        time.sleep(0.05)
    raise AssertionError(f"{verb} did not end")


def known(client: Client, name: str, seen: View) -> ask.Known:
    found = acts.loaded(client, name)
    return ask.gather(client, found, acts.settled(client, found, seen))


def shown(client: Client, name: str, seen: View) -> dict[str, Any]:
    found = acts.loaded(client, name)
    return data.mixer_data(found, seen, acts.settled(client, found, seen), known(client, name, seen), "%", "dark")


def test_the_page_opens_and_without_data_says_what_is_missing(client: Client, tmp_path: Path) -> None:
    for stem, with_data in (("net_9", True), ("bare_9", False)):
        test = AppTest.from_file(str(ROOT / "app" / "main.py"), default_timeout=60)
        test.query_params["page"], test.query_params["project"] = "search", project(client, tmp_path, stem, with_data)
        test.run()
        assert not test.exception
        assert not any("could not be drawn" in str(x.proto.body) for x in test.get("html"))
    found = next(p.id for p in client.projects() if p.model.stem == "bare_9")
    assert "evaluation data" in shown(client, found, View())["state"]
    assert shown(client, found, View())["off"]


def test_frontiers_are_asked_for_once_and_travel_once(ready: tuple[Client, str, View]) -> None:
    client, name, seen = ready
    assert not acts.begin(client, acts.loaded(client, name), seen), "what is known is not asked for again"
    first, again = shown(client, name, seen), shown(client, name, seen)
    assert "space" in first and "space" not in again and first["part"] == again["part"]
    part = first["space"]
    assert {f["column"] for f in part["frontiers"]} == {"bops", "size"} and len(part["layers"]) == 9
    scores = [m[2] for m in part["frontiers"][0]["moves"]]
    assert scores == sorted(scores, reverse=True), "each move scores less"
    acts.act(name, seen, "need", part["hash"])
    assert "space" in shown(client, name, seen), "a reloaded window gets it again"


def test_an_edit_of_layers_keeps_the_frontier_unless_they_are_to_stay(ready: tuple[Client, str, View]) -> None:
    client, name, seen = ready
    doc = recipes.read(client.state(name).recipe)
    bench.edit(client, name, recipes.write({**doc, "layers": {"classifier": "w4a8"}}), "one layer")
    assert known(client, name, seen).frontiers
    seen.targets = Targets({"size": 0.2}, keep=True)
    assert not known(client, name, seen).frontiers


def test_the_proven_answer_is_loaded_as_one_line_and_undone(ready: tuple[Client, str, View]) -> None:
    client, name, seen = ready
    acts.solve(client, acts.loaded(client, name), seen)
    ended(client, name, "solve")
    before, told = client.state(name).recipe, shown(client, name, seen)["exact"]
    assert told["state"] == "known" and told["proven"] and len(unpack(told["p"])) == 9
    count = len(client.history(name))
    acts.act(name, seen, "load", {"exact": True, "p": told["p"], "base": told["base"], "label": "predicted, size 20 %"})
    assert len(client.history(name)) == count + 1 and client.history(name)[-1].label == "Search: predicted, size 20 %"
    exact = known(client, name, seen).exact or {"layers": {}}
    assert recipes.read(client.state(name).recipe)["layers"] == {k: v for k, v in exact["layers"].items() if v != "w8a8"}
    client.undo(name)
    assert client.state(name).recipe == before


def test_a_budget_below_the_least_says_so(ready: tuple[Client, str, View]) -> None:
    client, name, seen = ready
    seen.targets = Targets({"size": 0.05})
    acts.solve(client, acts.loaded(client, name), seen)
    ended(client, name, "solve", state_of="failed")
    assert "the least possible" in shown(client, name, seen)["exact"]["error"]


def test_what_the_component_sends_is_checked(ready: tuple[Client, str, View]) -> None:
    client, name, seen = ready
    part = shown(client, name, seen)["space"]
    place = part["names"].index("w4a8")
    for p, base in (("", "w8a8"), (pack([place] * 8), "w8a8"), (pack([place] * 9), "w99a1"), (pack([25] * 9), "w8a8"), ("a999999", "w8a8")):
        with pytest.raises(BadInput):
            acts.act(name, seen, "load", {"p": p, "base": base})
    acts.act(name, seen, "load", {"p": pack([place] * 9), "base": "w8a8", "label": "x"})
    assert set(recipes.read(client.state(name).recipe)["layers"].values()) == {"w4a8"}
    acts.act(name, seen, "nonsense", 3)


def test_search_tells_its_points_decisions_and_promise_and_a_point_is_loaded(ready: tuple[Client, str, View]) -> None:
    client, name, seen = ready
    seen.targets = Targets({"drop": 0.02})
    acts.act(name, seen, "search")
    job = ended(client, name, "search")[0]
    assert job.args["max_drop"] == 0.02 and job.args["method"] == "search" and job.args["recipe"] == client.state(name).recipe
    said = shown(client, name, seen)
    kinds = [m["kind"] for m in said["marks"]]
    assert kinds.count("front") == 4 and kinds.count("chosen") == 1 and kinds.count("promise") == 1
    assert "Promise" in said["state"] and "1.10 pp" in said["state"] and "0.94" in said["certify"] and "0.90" in said["certify"]
    assert said["done"] == ["search"], "the same targets need no second search"
    assert [d[1] for d in said["decisions"]].count("chosen") == 1 and len(said["decisions"]) == 5
    one, other = (next(m for m in said["marks"] if m["kind"] == kind) for kind in ("promise", "chosen"))
    assert one["words"] != other["words"]
    acts.act(name, seen, "load", {"mark": "search:front:1", "label": "measured"})
    point = marks.point_of(known(client, name, seen), "search:front:1")
    assert point is not None and recipes.read(client.state(name).recipe)["layers"] == point["recipe"]["layers"]
    assert marks.point_of(known(client, name, seen), "search:front:99") is None
    assert len(shown(client, name, seen)["marks"]) == len(said["marks"]), "a loaded mix does not lose the points"


def test_a_tried_point_is_shown_and_loaded_as_one_line(ready: tuple[Client, str, View]) -> None:
    client, name, seen = ready
    seen.targets = Targets({"drop": 0.02})
    acts.act(name, seen, "search")
    ended(client, name, "search")
    said = shown(client, name, seen)
    mark = next(m for m in said["marks"] if m["kind"] == "tried")
    assert {m["id"] for m in said["marks"]} >= {d[7] for d in said["decisions"]}, "every decision has its point in the plot"
    names = said["space"]["names"]
    assert [names[d] for d in unpack(mark["p"])] == ["w8a16", *["w4a8"] * 8] and mark["base"] == "w8a8"
    before, count = client.state(name).recipe, len(client.history(name))
    acts.act(name, seen, "load", {"mark": mark["id"], "p": mark["p"], "base": mark["base"], "label": "tried"})
    layers = [x["name"] for x in acts.loaded(client, name).layers]
    assert recipes.read(client.state(name).recipe)["layers"] == {layers[0]: "w8a16"} | dict.fromkeys(layers[1:], "w4a8")
    assert len(client.history(name)) == count + 1
    client.undo(name)
    assert client.state(name).recipe == before


@pytest.mark.parametrize("point", [{"mix": None}, {}, {"mix": "a999999"}, {"mix": "z9"}, {"mix": "a2"}])
def test_a_tried_point_without_its_mix_cannot_be_loaded(point: dict[str, Any]) -> None:
    run = {"mix": {"layers": ["a", "b", "c"], "precisions": ["w8a8", "w4a8"]}, "tried": [point]}
    assert marks.held(run, point) == {} and marks.held({}, {"mix": "a3"}) == {}
    assert marks.point_of(ask.Known(runs={"search": run}), "search:tried:0") is None
    assert marks.held(run, {"mix": "ab2"}) == {"a": "w8a8", "b": "w4a8", "c": "w4a8"}


def test_the_desk_has_its_place_on_every_axis(ready: tuple[Client, str, View]) -> None:
    client, name, seen = ready
    bench.ensure(client, acts.loaded(client, name))
    ended(client, name, "measure")
    now = shown(client, name, seen)["now"]
    assert now["kl"] == pytest.approx(0.0123) and now["measured"] and now["size"] and now["bops"]


def test_a_stopped_search_offers_the_best_so_far(client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name, seen = project(client, tmp_path, "slow_9"), View(targets=Targets({"drop": 0.02}))
    monkeypatch.setattr(state, "window", lambda: WINDOW)
    acts.begin(client, acts.loaded(client, name), seen)
    ended(client, name, "frontier", 2)
    acts.act(name, seen, "search")
    for _ in range(300):
        if (known(client, name, seen).runs.get("search") or {}).get("chosen"):
            break
        time.sleep(0.02)
    running = shown(client, name, seen)
    assert running["job"]["name"] == "search" and any(m["kind"] == "chosen" for m in running["marks"])
    acts.act(name, seen, "cancel")
    ended(client, name, "search", state_of="cancelled")
    said = shown(client, name, seen)
    assert "Stopped after" in said["state"] and "nothing is promised" in said["state"]
    assert not any(m["kind"] == "promise" for m in said["marks"])
    acts.act(name, seen, "load", {"mark": "search:chosen:0", "label": "best so far"})
    assert client.history(name)[-1].label == "Search: best so far"


def test_a_move_is_tried_and_taken_back(ready: tuple[Client, str, View]) -> None:
    client, name, seen = ready
    seen.targets = Targets({"drop": 0.005})
    acts.act(name, seen, "takes")
    ended(client, name, "takes")
    before, listed = client.state(name).recipe, shown(client, name, seen)["takes"]
    assert [m["known"] for m in listed["moves"]] == ["predicted", "measured", "measured", "estimate"] and listed["moves"][0]["reaches"]
    assert "misses" in listed["note"] and listed["moves"][0]["gain"] == pytest.approx(0.7)
    acts.act(name, seen, "try", 2)
    assert recipes.read(client.state(name).recipe)["steps"] == ["fold_batch_norm", "bias_correction"]
    acts.act(name, seen, "try", 0)
    doc = recipes.read(client.state(name).recipe)
    assert "steps" not in doc and list(doc["layers"].values()) == ["w8a16"], "one move at a time"
    assert shown(client, name, seen)["takes"]["tried"] == 0
    acts.act(name, seen, "undo")
    assert client.state(name).recipe == before and shown(client, name, seen)["takes"]["tried"] == -1


def test_training_is_started_from_its_own_page(ready: tuple[Client, str, View], monkeypatch: pytest.MonkeyPatch) -> None:
    client, name, seen = ready
    seen.targets, before = Targets({"drop": 0.005}), client.state(name).recipe
    acts.act(name, seen, "takes")
    ended(client, name, "takes")
    assert shown(client, name, seen)["takes"]["moves"][3]["train"]
    acts.act(name, seen, "train")
    assert WINDOW.goto == "train" and client.state(name).recipe == before, "nothing is changed or begun without a click there"


def test_a_search_needs_a_target(ready: tuple[Client, str, View]) -> None:
    _, name, seen = ready
    seen.targets = Targets({})
    with pytest.raises(BadInput, match="no target"):
        acts.act(name, seen, "search")


def test_targets_are_kept_and_odd_documents_are_refused(ready: tuple[Client, str, View]) -> None:
    client, name, seen = ready
    limits = {"drop": 0.004, "size": float("nan"), "odd": 1}
    doc = {"lim": limits, "on": ["w8a8", "w4a8"], "keep": True, "judge": "bound", "aim": "size", "seq": 3}
    assert view.take(client, name, seen, doc) and seen.targets == Targets({"drop": 0.004}, ("w8a8", "w4a8"), True, "bound", "size")
    assert not view.take(client, name, seen, {**doc, "seq": 2}) and not view.take(client, name, seen, {**doc, "seq": 9, "judge": "luck"})
    fresh = View()
    assert view.settle(client, name, fresh, ["w8a16", "w8a8", "w4a8"], "%") == seen.targets, "as after F5"
    assert view.settle(client, name, fresh, ["w8a16", "w8a8"], "%").on == ("w8a16", "w8a8"), "candidates that are gone go"


def test_the_command_line_says_the_same(ready: tuple[Client, str, View]) -> None:
    client, name, _ = ready
    found = acts.loaded(client, name)
    targets = Targets({"drop": 0.01, "size": 0.3}, ("w8a8", "w4a8"), True, "bound", "size")
    shell = client.reproduce(name, found.recipe, "shell", "search", given=acts.given(found, targets))
    for words in ("engine search", "--max-drop 0.01", "--max-size 0.3", "--precisions w8a8,w4a8", "--keep", "--judge bound",
                  "--aim size_bytes"):
        assert words in shell
    from engine.cli import build_parser  # the words are the parser's own

    assert build_parser().parse_args(shell.split("engine ", 1)[1].split()).max_drop == 0.01
    code = client.reproduce(name, found.recipe, "python", "search", given=acts.given(found, targets))
    assert "session.search_report(['w8a8', 'w4a8'], recipe" in code and "max_drop=0.01" in code
    compile(code, "search", "exec")
