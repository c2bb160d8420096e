"""Train: quantization-aware training as the recipe's last step; live curves, what it gave, and the search for its settings."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from app import bench as benches
from app import markup, polled, press, readouts, shell, state
from app.app_pages import reproduce_drawer
from app.app_pages import train_acts as acts
from app.bench import Bench
from app.components.curves import curves
from app.components.train import train
from app.components.trials import trials
from app.repair import ask as repairs
from app.repair import words as repair_words
from app.train import ask, bits, outcome, own_loop, panel, settings, words
from app.train import curves as figures
from app.train import trials as searches
from app.train import view as views
from app.train.ask import Known
from app.train.view import View

Facts = Mapping[str, Any]


def draw() -> None:
    """The page."""
    found = polled.opened("train", "train_page.css")
    if found is None:
        return
    if words.unable(found) or words.sets(found) is None:
        _empty(found)
    else:
        polled.body(_body, found)


def _empty(found: Bench) -> None:
    """Why there is nothing to train, and the way out."""
    unable = words.unable(found)
    with st.container(key="panel_train_empty"):
        st.html(markup.title("This model cannot be trained" if unable else "No data to train on"))
        st.html(markup.text(unable or words.NO_DATA))
        where, label = ("repair", "To Repair: the steps without gradients") if unable else ("model", "To Model: bring data")
        press.button(st, label, "train-way-out", shell.go, where, found.project.id, type="primary")


def _body(project: str, live: bool) -> None:
    """All below the bar; asks again by itself while a job runs."""
    press.anew()
    client, seen = state.client(), views.of(project)
    found = benches.load(client, project, -1)
    views.settle(client, project, seen, found.doc)
    listed, seen.asked = repairs.techniques(client, found, seen.asked)
    fields, known, unit = ask.fields(listed), ask.gather(client, found, seen.options), readouts.metric(found)
    with st.container(key="train_split"):
        left, right = st.columns([1, 2.7], gap="small")
    with left, st.container(key="panel_train"):
        train(panel.panel_data(found, seen, known, fields, state.theme()), lambda: acts.on_doc(project, seen),
              lambda: acts.on_act(project, seen))
    with right:
        with st.container(key="panel_curves"):
            _curves(found, seen, known, fields, unit)
        with st.container(key="stack_train"):
            one, other = st.columns([1, 1.15], gap="small")
        with one, st.container(key="panel_outcome"):
            _outcome(found, seen, known, unit)
        with other, st.container(key="panel_trials"):
            trials(searches.trials_data(client, found, seen, known, fields, state.theme()), lambda: acts.on_trials(project, seen))
    polled.ended(project, live)


def _curves(found: Bench, seen: View, known: Known, fields: Sequence[Facts], name_unit: tuple[str, str]) -> None:
    with st.container(key="train_head", horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.html(markup.title("Epoch by epoch", "on samples held out of training; the evaluation data stay unseen"), width="stretch")
        asked = str(ask.arguments(found, seen.options)["recipe"])
        reproduce_drawer.draw(found, "train", recipe=asked, more=(_own_loop(found, seen, fields),))
    st.html(markup.text(words.said(found, known, seen.options, name_unit[1], fields)))
    curves(figures.curves_data(known, seen.options, fields, state.theme()))
    layers = list((found.outcome or found.resolved_before or {}).get("layers") or [])
    if layers:
        ranges = str(settings.value(seen.options, fields, "ranges", "lsq"))
        title = "What is trained, layer by layer: bits of weights, a line for activations"
        st.html(markup.caption(title, bits.told(layers, ranges)) + bits.html(layers))


def _own_loop(found: Bench, seen: View, fields: Sequence[Facts]) -> tuple[str, str, str]:
    """For the drawer: the same training with the loop open to a person's own changes."""
    recipe = repairs.text(found.doc, settings.before(found.doc))
    epochs = int(settings.value(seen.options, fields, "epochs", 4) or 4)
    return "A loop of your own, with QuantModule", own_loop.example(found.project, recipe, epochs), "python"


def _outcome(found: Bench, seen: View, known: Known, name_unit: tuple[str, str]) -> None:
    name, unit = name_unit
    count = (known.result or {}).get("samples")
    note = f"{int(count):,} evaluation samples; whiskers: 95 %, paired" if count and known.start else ""
    st.html(markup.title("What training gave", note))
    if known.start is None:
        st.html(markup.text(outcome.WAIT))
        return
    repaired = ask.best_repair(state.client(), found)
    if repaired is not None and repaired[0] == repairs.text(found.doc, settings.before(found.doc)):
        repaired = None
    st.html(outcome.html(outcome.stages(known, repaired, unit), unit, repair_words.metric(name)))
    lines = [outcome.flips(known, unit)]
    if repaired is not None and known.after is not None:
        own = ask.arguments(found, seen.options)["recipe"]
        lines.append(outcome.over_repair(ask.against(state.client(), found, repaired[0], own), unit))
    notes = "".join(f"<li>{markup.escape(n)}</li>" for n in [*filter(None, lines), *words.notes(known)])
    if notes:
        st.html(f"<ul class=tr-notes>{notes}</ul>")
