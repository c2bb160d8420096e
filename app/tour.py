"""A tour of the bundled sample in five steps: a small card at the bottom right that outlines what it speaks about.

It never stands in the way: it takes no clicks but its own, moves on with Next, and is over for good with Skip (kept in
the home, so that no other window offers it again). `MIXDOWN_TOUR=off` leaves it out, for kiosks and for tests.
"""
from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import streamlit as st

from app import markup, press, state

SETTING = "tour"
OVER = "over"


@dataclass(frozen=True)
class Step:
    """What is said, on which page, and what is outlined: a selector of the page, or a part of the bar by its own property."""

    title: str
    words: str
    page: str
    target: str = ""
    part: str = ""


STEPS = (
    Step("The price of fewer bits", "The drop is float minus quantized on the same images, with its interval and the images lost and "
         "won. It follows every move you make.", "desk", part="drop"),
    Step("One strip a layer", "The meter shows what a layer loses, the fader moves its bits, S lets it be quantized alone, M keeps it in "
         "float. Drag one and watch the drop.", "desk", ".st-key-rack"),
    Step("Why this layer", "What the selected layer's weights and tensors look like on their grid, and why it has the precision that it "
         "has.", "desk", ".st-key-panel_desk_layer"),
    Step("Who suffers most", "Every layer at every precision, worst first, with what is settled and what is noise. A click shows causes "
         "and remedies.", "sensitivity", ".st-key-panel_heat"),
    Step("Files with proof", "Export writes what a device needs, reads it back, runs it, and certifies that it does what the desk "
         "showed.", "export", ".st-key-panel_make"),
)


def draw(page: str, found: Any) -> None:
    """The card, on pages of a bundled sample's project, until the tour is over."""
    client = state.client()
    if found is None or not found.project.sample or not found.layers or over(client):
        return
    number = at(client)
    step = STEPS[number]
    st.html(f"<style>{outline(step, page)}</style>")
    with st.container(key="tour"):
        here = "" if page == step.page else f" This step is on {state.PAGES[step.page]}."
        st.html(f"<div class=md-tour role=note aria-label='Tour'><span>{number + 1} of {len(STEPS)}</span>"
                f"<b>{markup.escape(step.title)}</b><p>{markup.escape(step.words + here)}</p></div>")
        skip, following = st.columns([1.2, 1], gap="small")
        press.button(skip, "Skip for good", "tour-skip", end, client, type="tertiary")
        last = number + 1 == len(STEPS)
        if here:
            press.button(following, "Go there", "tour-there", _go, step.page, type="primary", width="stretch")
        else:
            press.button(following, "Done" if last else "Next", "tour-next", end if last else forward, client, type="primary",
                         width="stretch")


def outline(step: Step, page: str) -> str:
    """The rules that outline the step's target on its page; parts of the bar hear of it through a property."""
    if page != step.page:
        return ""
    line = "2px solid var(--accent)"
    if step.part:
        return f":root {{ --tour-{step.part}: {line}; }}"
    return f":is({step.target}) {{ outline: {line}; outline-offset: 2px; border-radius: 8px; }}"


def off() -> bool:
    """Whether this server never shows it."""
    return os.environ.get("MIXDOWN_TOUR", "").lower() in ("off", "0", "no", "false")


def over(client: Any) -> bool:
    """Whether it was skipped or gone through, in any window, or is off."""
    return off() or OVER in (client.setting(SETTING), st.session_state.get(SETTING))


def at(client: Any) -> int:
    """The step that is shown."""
    kept = client.setting(SETTING, 0)
    number = st.session_state.get(SETTING, kept if isinstance(kept, int) else 0)
    return min(max(int(number), 0), len(STEPS) - 1)


def forward(client: Any) -> None:
    """To the next step, and its page."""
    number = at(client) + 1
    _keep(client, number)
    if STEPS[number].page != STEPS[number - 1].page:
        _go(STEPS[number].page)


def end(client: Any) -> None:
    """Over for good."""
    _keep(client, OVER)


def again(client: Any) -> None:
    """From the start."""
    _keep(client, 0)


def _keep(client: Any, value: int | str) -> None:
    st.session_state[SETTING] = value  # this window at least, where the home cannot be written
    if not client.read_only():
        client.keep_setting(SETTING, value)


def _go(page: str) -> None:
    state.window().goto = page
