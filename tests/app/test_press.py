"""Buttons act in callbacks: a press is done before anything is drawn, and none is asked for its click in a drawing."""
from __future__ import annotations

import ast
from pathlib import Path

from streamlit.testing.v1 import AppTest

APP = Path(__file__).resolve().parents[2] / "app"


def test_no_page_waits_for_a_click_in_its_drawing() -> None:
    asks = []
    for file in APP.rglob("*.py"):
        if file.name == "press.py":
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("button", "form_submit_button"):
                owner = node.func.value
                if not (isinstance(owner, ast.Name) and owner.id == "press"):
                    asks.append(f"{file.relative_to(APP)}:{node.lineno}")
    assert asks == [], "these clicks are lost where another fragment starts the page over; use app.press.button"


def script() -> None:
    import streamlit as st

    from app import press, state
    from engine.errors import BadInput

    def deed() -> None:
        st.session_state["done"] = st.session_state.get("done", 0) + 1
        if st.session_state["done"] == 2:
            raise BadInput("the second press is refused")

    st.text(f"done {st.session_state.get('done', 0)} error {state.window().error!r}")
    if st.session_state.pop("restless", False):
        st.rerun()
    press.button(st, "Do", "do", deed)


def test_a_press_is_done_even_where_the_page_starts_over_before_the_button() -> None:
    test = AppTest.from_function(script).run()
    test.session_state["restless"] = True
    test.button(key="do").click().run()
    assert test.text[0].value == "done 1 error ''"


def test_a_refused_press_is_words_over_the_page() -> None:
    test = AppTest.from_function(script).run()
    test.button(key="do").click().run()
    test.button(key="do").click().run()
    assert not test.exception and "the second press is refused" in test.text[0].value
