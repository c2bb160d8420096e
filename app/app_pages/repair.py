"""Repair: a chain of steps that win accuracy back at the same bits, what each of them gave, and what it did to each layer."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from app import bench as benches
from app import markup, polled, press, readouts, state
from app.app_pages import repair_acts as acts
from app.app_pages import repair_layer, reproduce_drawer
from app.bench import Bench
from app.components.chain import chain
from app.components.waterfall import waterfall
from app.repair import ask, falls, ladder, words
from app.repair import chain as chains
from app.repair import view as views
from app.repair.ask import Known
from app.repair.view import View


def draw() -> None:
    """The page."""
    found = polled.opened("repair", "repair.css")
    if found is not None:
        polled.body(_body, found)


def _body(project: str, live: bool) -> None:
    """All below the bar; asks again by itself while a job runs."""
    press.anew()
    client, seen = state.client(), views.of(project)
    found = benches.load(client, project, -1)
    views.settle(client, project, seen, found.doc)
    acts.take_ladder(client, found, seen)
    listed, seen.asked = ask.techniques(client, found, seen.asked)
    known, name_unit = ask.gather(client, found, seen.lines), readouts.metric(found)
    with st.container(key="repair_split"):
        left, right = st.columns([1, 2.7], gap="small")
    with left, st.container(key="panel_chain"):
        _chain(found, seen, known, listed, name_unit[1])
    with right:
        with st.container(key="panel_falls"):
            _falls(found, seen, known, name_unit)
        again = repair_layer.draw(found, seen, known)
    polled.ended(project, live, again)


def _chain(found: Bench, seen: View, known: Known, listed: Mapping[str, Any], unit: str) -> None:
    client = state.client()
    data = chains.chain_data(found, seen, known, listed, unit, state.theme())
    data["auto"] = ladder.ladder_data(client, found, seen, listed, unit)
    chain(data, lambda: acts.on_doc(found.project.id, seen), lambda: acts.on_act(found.project.id, seen))


def _falls(found: Bench, seen: View, known: Known, name_unit: tuple[str, str]) -> None:
    name, unit = name_unit
    with st.container(key="repair_head", horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.html(markup.title("What each step gives", falls.note(known, words.metric(name))), width="stretch")
        reproduce_drawer.draw(found, "repair", recipe=str(ask.arguments(found, seen.lines)["recipe"]))
    data = falls.falls_data(seen.lines, known, unit, state.theme(), seen.place, name)
    st.html(markup.text(_said(found, seen, known, data["words"])))
    waterfall(data, lambda: acts.on_fall(found.project.id, seen))


def _said(found: Bench, seen: View, known: Known, verdict: str) -> str:
    """One sentence over the picture: what came out, what runs, or what to do."""
    if not benches.measurable(found):
        return words.NO_DATA
    if known.job is not None:
        now = words.moving(known.running, str(known.job.message or "")) if known.job.state == "running" else "waiting for the worker"
        return f"Running: {now}"
    if known.ended is not None and not known.whole:
        how = "Stopped" if known.ended.state == "cancelled" else f"Failed: {known.ended.error}"
        done = len(known.rows) - 1
        kept = "" if done < 1 else f" The first {'step is' if done == 1 else f'{done} steps are'} measured and can be accepted."
        return f"{how}.{kept}"
    if known.whole:
        return verdict or words.NOTHING
    if not seen.lines:
        return words.EMPTY
    return f"{verdict}. The rest is not measured yet: Run does it." if verdict else words.BEFORE
