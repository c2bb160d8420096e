"""The network as a graph: coloured by precision, sensitivity or share of the size; one selection with rack and table."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from app import markup, state, views
from app.bench import Bench
from app.components.graph import graph
from app.graph.level import TangledError
from app.graph.live import facts, live
from app.graph.picture import block_names, known_folds, number, picture
from app.state import Desk

VERB = "graph"
MANY = 1000  # nodes from which on a network begins with its blocks folded
LONGEST = 4000  # names of folded blocks that a browser may ask for


@dataclass
class GraphView:
    """What one window looks at: folded blocks (None: none was folded or opened yet), the panel's aspect, and the pictures that its
    browser has been sent."""

    folded: tuple[str, ...] | None = None
    aspect: float = 1.5
    sent: set[str] = field(default_factory=set)
    rev: int = 0
    ack: int = 0


def of(project: str) -> GraphView:
    """The view of a project in this window."""
    return views.of("graph", project, GraphView)


def draw(found: Bench, desk: Desk, height: int = 0) -> None:
    """The panel's content, `height` px tall (0: as the Desk's lower panels); asks the engine for the network where it is not known yet."""
    client = state.client()
    drawing = client.latest(found.project.id, VERB)
    if drawing is None:
        _ask(client, found)
    elif drawing.get("note") or not drawing["nodes"]:
        st.html(markup.title("Network", "") + markup.text(str(drawing.get("note") or "There is nothing to draw.")))
    else:
        _shown(found, desk, drawing, height)


def _shown(found: Bench, desk: Desk, drawing: Mapping[str, Any], height: int) -> None:
    try:
        data = graph_data(found, desk, drawing, of(found.project.id), height)
    except TangledError:
        st.html(markup.title("Network", "") + markup.text("This network is so tangled that a picture of it would show nothing."))
        return
    graph(data, _on_act)


def _ask(client: Any, found: Bench) -> None:
    job = next((j for j in found.jobs if j.verb == VERB), None)
    if job is not None and job.state in ("failed", "cancelled"):
        st.html(markup.title("Network", "") + markup.text("The network could not be drawn; the jobs tray says why."))
        return
    st.html(markup.title("Network", "") + markup.text("Drawing the network\u2026"))
    if job is None and not found.stopped:
        client.submit(found.project.id, VERB)
        st.session_state["again"] = True  # the frame begins to watch the job


def graph_data(found: Bench, desk: Desk, drawing: Mapping[str, Any], view: GraphView, height: int) -> dict[str, Any]:
    """All that the component shows. What a browser has been sent once is not sent again, unless it says that it lacks it."""
    wanted = (block_names(drawing) if len(drawing["nodes"]) > MANY else []) if view.folded is None else view.folded
    folded = known_folds(drawing, wanted)
    place = number(drawing, folded, view.aspect)
    data: dict[str, Any] = {
        "theme": state.theme(), "graph": drawing["hash"], "place": place, "folded": sorted(folded), "height": height,
        "sel": desk.selected, "cur": desk.current, "rev": view.rev, "ack": view.ack, "live": live(found, drawing),
    }
    if drawing["hash"] not in view.sent:
        data["facts"] = facts(drawing, found.layers)
    if place not in view.sent:
        data["places"] = picture(drawing, folded, view.aspect)
    view.sent |= {str(drawing["hash"]), place}
    return data


def _on_act() -> None:
    said = st.session_state["graph"].act
    found: Bench | None = st.session_state.get("bench")
    if found is None:
        return
    for one in said if isinstance(said, list) else [said]:
        if isinstance(one, Mapping):
            act(found, state.window().desk(found.project.id), of(found.project.id), one)


def act(found: Bench, desk: Desk, view: GraphView, said: Mapping[str, Any]) -> None:
    """What the hand did: a selection of layers, other folds or another shape of the panel, or pictures that are lacking."""
    view.rev += 1
    chosen = said.get("sel")
    if isinstance(chosen, list):
        view.ack = int(said["seq"]) if isinstance(said.get("seq"), int) else view.ack
        ids = sorted({int(i) for i in chosen if isinstance(i, int) and 0 <= i < len(found.layers)})
        desk.selected = ids
        current = said.get("cur")
        if isinstance(current, int) and 0 <= current < len(found.layers):
            desk.current = current
    folded = said.get("folded")
    if isinstance(folded, list):
        view.folded = tuple(sorted({str(b) for b in folded[:LONGEST]}))
    aspect = said.get("aspect")
    if isinstance(aspect, (int, float)):
        view.aspect = min(max(round(float(aspect), 1), 0.2), 6.0)
    if said.get("a") == "lacks":
        view.sent.clear()
