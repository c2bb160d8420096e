"""Latency by a table: what is taken and refused, what follows on the page, and that it goes where the project goes."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from app.app_pages import search_acts as acts
from app.app_pages import search_latency
from app.client import Client
from app.rack_codec import unpack
from app.search import ask, latency, view
from app.search.view import Targets, View
from engine.errors import BadInput
from engine.mixed.latency import MOST_BYTES, load_latency
from engine.search_ask import search_asked
from tests.app import test_search_page as page
from tests.app.test_search_page import ROOT, ended, known, shown

client, ready = page.client, page.ready  # the fixtures
HEAD = "op_type,precision,shape,microseconds\n"


def cases(client: Client, name: str, seen: View) -> list[tuple[str, str]]:
    found = acts.loaded(client, name)
    return latency.cases(found.layers, known(client, name, seen).frontiers.values(), ["w8a8"])


def full(client: Client, name: str, seen: View) -> str:
    """The template, filled in: eight bits take twice as long as four."""
    rows = latency.to_fill_in(cases(client, name, seen)).strip().splitlines()[1:]
    return HEAD + "".join(f"{row}{5 if ',w4' in row else 10}\n" for row in rows)


def with_table(ready: tuple[Client, str, View]) -> tuple[Client, str, View]:
    client, name, seen = ready
    latency.take(client, name, full(client, name, seen).encode(), "t.csv", cases(client, name, seen))
    assert acts.begin(client, acts.loaded(client, name), seen), "the frontiers are asked for anew, with the table"
    ended(client, name, "frontier", 5)
    return client, name, seen


def test_the_template_has_every_case_and_is_refused_until_it_is_filled_in(ready: tuple[Client, str, View]) -> None:
    client, name, seen = ready
    found = cases(client, name, seen)
    assert {("Conv", "w4a8"), ("Conv", "w8a16")} <= set(found)
    text = latency.to_fill_in(found)
    assert text.splitlines()[0] == HEAD.strip() and len(text.splitlines()) == len(found) + 1
    with pytest.raises(BadInput, match="line 2, column microseconds: it is ''"):
        latency.take(client, name, text.encode(), "t.csv", found)
    assert client.latency(name) == "" and not view.settle(client, name, seen, ["w8a8", "w4a8"], "%").table


@pytest.mark.parametrize(("data", "says"), [
    (b"", "line 1: no column"), (b"\xff\xfe\x00", "UTF-8"), (b"a" * (MOST_BYTES + 1), "more than"),
    (HEAD.encode() + b"Conv,w8a8,,fast\n", "line 2, column microseconds.*'fast'"),
    (HEAD.encode() + b"Conv,w8b8,,3\n", "line 2, column prec"),
    (HEAD.encode() + b",w8a8,,3\n", "line 2, column op_type"), (HEAD.encode() + b"Conv,w8a8,,3\n", "no row for Conv at w4a8"),
    (HEAD.encode() + b'"Conv,w8a8,,3\n', "no rows|line|not CSV"), (HEAD.encode() + b"Conv,w8a8,,-1\n", "from 0 up")])
def test_what_is_no_table_is_refused_in_words_and_the_old_one_stays(ready: tuple[Client, str, View], data: bytes, says: str) -> None:
    client, name, seen = ready
    before, needed = full(client, name, seen), cases(client, name, seen)
    latency.take(client, name, before.encode(), "good.csv", needed)
    with pytest.raises(BadInput, match=says):
        latency.take(client, name, data, "bad.csv", needed)
    assert client.latency(name) == before


def test_a_budget_by_it_reaches_the_worker_and_goes_when_it_goes(ready: tuple[Client, str, View]) -> None:
    client, name, seen = with_table(ready)
    said = shown(client, name, seen)
    part = said["space"]
    assert part["timed"] and {f["column"] for f in part["frontiers"]} == {"bops", "size", "latency"}
    assert part["frontiers"][0]["start"][4] == 9 * 5, "nine layers at four bits"
    seen.targets = Targets({"latency": 60.0, "size": 0.3}, aim="latency")
    acts.act(name, seen, "search")
    job = ended(client, name, "search")[0]
    assert job.args["max_latency_us"] == 60.0 and job.args["latency_table"] and job.args["aim"] == "latency_us"
    found = acts.loaded(client, name)
    given = acts.given(found, acts.settled(client, found, seen))
    assert "--max-latency 60" in client.reproduce(name, found.recipe, "shell", "search", given=given)
    search_latency.remove(name, seen)
    targets = acts.settled(client, acts.loaded(client, name), seen)
    assert targets.limits == {"size": 0.3} and targets.aim == "bops" and not targets.table
    assert "max_latency_us" not in ask.search(acts.loaded(client, name), targets)


def test_the_desk_has_its_latency_and_a_replaced_table_is_noticed(ready: tuple[Client, str, View]) -> None:
    client, name, seen = with_table(ready)
    found = acts.loaded(client, name)
    now = shown(client, name, seen)["now"]
    held = {x["name"]: x["precision"] for x in found.outcome["layers"]}
    rows = known(client, name, seen).frontiers["latency"]["layers"]
    options = {(r["name"], o["precision"]): o["latency_us"] for r in rows for o in r["options"]}
    wanted = [options.get(pair) for pair in held.items()]
    assert now["latency"] == (None if None in wanted else sum(wanted)) and len(unpack(now["p"])) == 9
    asked = ask.frontier(found, acts.settled(client, found, seen), "latency")
    client.keep_latency(name, full(client, name, seen).replace(",10", ",11"))
    number = client.submit(name, "frontier", {**asked, "score_samples": 7})
    assert "replaced or removed" in client.wait(number).error


def test_it_goes_with_a_copy_and_through_a_file(ready: tuple[Client, str, View]) -> None:
    client, name, _ = with_table(ready)
    text = client.latency(name)
    copy = client.duplicate_project(name)
    client.keep_latency(copy.id, HEAD + "Conv,w8a8,,1\n")
    assert client.latency(name) == text, "a copy's table is its own"
    back = client.import_project(client.export_project(name))
    assert client.latency(back.id) == text and latency.of(client, back.id).rows == text.count("\n") - 1
    client.keep_latency(back.id, "op_type\nodd\n")
    odd = latency.of(client, back.id)
    assert not odd.key and "line 1" in odd.error, "a stranger's table that is none says so and counts for nothing"


def test_the_drawer_tells_what_is_charged(ready: tuple[Client, str, View]) -> None:
    client, name, _ = ready
    client.keep_latency(name, HEAD + "Gemm,w8a8,,3\n")
    test = AppTest.from_file(str(ROOT / "app" / "main.py"), default_timeout=60)
    test.query_params["page"], test.query_params["project"] = "search", name
    test.run()
    assert not test.exception
    words = " ".join(str(x.proto.body) for x in test.get("html"))
    assert "Conv have no row and count as 0" in words and "1 of 9 layers are charged" in words


def test_python_takes_the_path_of_a_table(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(HEAD + "Conv,w8a8,,3\n")
    asked: Any = search_asked(["w8a8", "w4a8"], latency=str(tmp_path / "t.csv"), max_latency_us=4.0)
    assert asked.latency == load_latency(tmp_path / "t.csv")
    with pytest.raises(BadInput, match="no table of latencies"):
        search_asked(["w8a8", "w4a8"], max_latency_us=4.0)
