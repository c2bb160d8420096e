"""A small drawer on a result: the exact command line and the Python that make it again without the workbench."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from app import markup, state
from app.bench import Bench
from engine.errors import MixdownError

# What the command line does where it has no verb of that name.
NOTES = {"calibrate": "The export holds the ranges: ranges/model.encodings.", "float": "The report's fp32 is the float model's value."}


def draw(found: Bench, what: str, place: Any = st, recipe: str = "", layers: Sequence[str] | None = None,
         more: Sequence[tuple[str, str, str]] = (), given: Mapping[str, Any] | None = None) -> None:
    """A popover `Reproduce`; `what` as in `app.reproduce`, `recipe` where it is not the desk's, `more`: title, code, language."""
    with place.popover("Reproduce", width="content"):
        for title, language, colour in (("Command line", "shell", "bash"), ("Python", "python", "python")):
            st.html(markup.heading(title))
            st.code(text(found, what, language, recipe or found.recipe, layers, given), language=colour, wrap_lines=True, width=520)
        for title, code, colour in more:
            st.html(markup.heading(title))
            st.code(code, language=colour, wrap_lines=True, width=520)
        if what in NOTES:
            st.html(markup.foot(NOTES[what]))


def text(found: Bench, what: str, language: str, recipe: str, layers: Sequence[str] | None = None,
         given: Mapping[str, Any] | None = None) -> str:
    """The text, or why there is none: a recipe that cannot be read."""
    try:
        return str(state.client().reproduce(found.project.id, recipe, language, what, layers, given))
    except MixdownError as error:
        return str(error)
