"""A page whose body looks again by itself while a job runs, and what it shows until the model is read."""
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import streamlit as st

from app import bench as benches
from app import markup, shell, state
from app.bench import Bench

STATIC = Path(__file__).resolve().parent / "static"
POLL = 0.5  # seconds


def opened(page: str, style: str = "") -> Bench | None:
    """Draws the frame, with the page's own stylesheet of that name; None where there is nothing more to draw yet."""
    found = shell.frame(page)
    if found is None:
        return None
    if style:
        st.html(f"<style>{(STATIC / style).read_text(encoding='utf-8')}</style>")
    return found if found.layers else waiting(found)


def waiting(found: Bench) -> None:
    """What stands there until the layers are known."""
    with st.container(key="panel_waiting"):
        if found.active:
            st.html(markup.title("Reading the model", "layers, shapes and costs appear here in a moment"))
        else:
            st.html(markup.title("The model could not be read", "the red box says why; Model shows its file"))


def body(draw: Callable[[str, bool], None], found: Bench, begun: bool = False, every: float = POLL) -> None:
    """Draws all below the bar with `draw(project, live)`, again and again while a job runs or has just begun."""
    live = bool(found.active) or begun
    st.fragment(draw, run_every=every if live else None)(found.project.id, live)


def ended(project: str, live: bool, again: bool = False) -> None:
    """The last line of a body, so that a click on anything above has been answered: starts the whole page over where jobs have begun
    or ended since it was drawn, or where `again` asks for it."""
    if again or bool(benches.load(state.client(), project, -1).active) != live:
        st.rerun()
