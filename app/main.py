"""The workbench's entry: page config and navigation. Run with `streamlit run app/main.py`.

Pages are chosen by the query (`?page=desk&project=…`), not by a path: one address keeps F5, a second window
and the readout bar's links alike, and the browser asks for nothing that is not there.
"""
from __future__ import annotations

import sys
from pathlib import Path

import streamlit as st

ROOT = str(Path(__file__).resolve().parents[1])
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)

from app import shell, state  # noqa: E402
from app.app_pages import compare, desk, export, model, projects, repair, report, search, sensitivity, train  # noqa: E402

DRAW = {"projects": projects.draw, "model": model.draw, "desk": desk.draw, "sensitivity": sensitivity.draw,
        "repair": repair.draw, "train": train.draw, "search": search.draw, "compare": compare.draw, "export": export.draw,
        "report": report.draw}

st.set_page_config(page_title="Mixdown", page_icon="🎚️", layout="wide", initial_sidebar_state="collapsed",
                   menu_items={"About": "Mixdown: a mixing desk for neural-network precision."})
shell.route()
shell.guarded(DRAW[state.page()])
