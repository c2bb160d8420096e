"""Buttons whose deed is done before anything is drawn, so that no click is lost.

Streamlit tells a click to one run of the script alone. Where that run also draws the bar, and the bar finds that a job
has ended and starts the page over, a button further down would never hear of its click. A callback runs before all
drawing: what it does is done, however often the page starts over afterwards. Values of other widgets are read in the
callback from `st.session_state`: what the last drawing saw may be older than the click.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from app import state
from engine.errors import MixdownError

PRESSED = "pressed"


def button(place: Any, label: str, key: str, do: Callable[..., Any], *args: Any, **looks: Any) -> None:
    """A button in `place` (`st` or a container) that calls `do(*args)`; a `MixdownError` of it is shown over the page."""
    place.button(label, key=key, on_click=press, args=(do, *args), **looks)


def press(do: Callable[..., Any], *args: Any) -> None:
    """Does it, and lets the whole page be drawn anew."""
    st.session_state[PRESSED] = True
    try:
        do(*args)
    except MixdownError as error:
        state.window().error = str(error)


def heard(component: str, act: Callable[..., Any], *known: Any, take: Callable[[Any], Any] | None = None) -> None:
    """The trigger `act` of a component, as a press: `act(*known, action, value)`. `take` is first given the document that came with it, so
    that what is done is done to what is seen."""
    said = st.session_state[component].act
    if said:
        if take is not None:
            take(said.get("doc"))
        press(act, *known, str(said.get("a")), said.get("v"))


def answered() -> None:
    """For the frame of a whole page: this run draws what a press changed."""
    st.session_state.pop(PRESSED, None)


def anew() -> None:
    """For the start of a fragment: a press in it may have changed more than the fragment draws."""
    if st.session_state.pop(PRESSED, False):
        st.rerun()


def value(key: str, otherwise: Any = None) -> Any:
    """What another widget holds now."""
    return st.session_state.get(key, otherwise)
