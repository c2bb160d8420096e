"""The form for a new project: any number of files dropped at once, or paths on the server; a model is enough."""
from __future__ import annotations

from typing import Any

import streamlit as st

from app import choices, markup, numbers, press, shell, staging
from app.staging import Staged

PATHS = {"model": ("Model", "/models/net.onnx"), "evaluation": ("Evaluation data", "/data/evaluation.npz"),
         "calibration": ("Calibration data", "/data/calibration.npz")}


def draw(client: Any) -> None:
    """The form."""
    st.html(markup.title("New project", "a model is enough to begin; its page then says which data it needs"))
    round_, drop = st.session_state.setdefault("new-round", 0), st.session_state.setdefault("new-drop", 0)
    staged: list[Staged] = st.session_state.setdefault("new-staged", [])
    st.file_uploader("Model and data: all files at once", accept_multiple_files=True, key=f"new-files-{drop}", on_change=press.press,
                     args=(_dropped, client, staged, f"new-files-{drop}"),
                     help="A model (.onnx, with its weights' file where it has one) and data (.npz). They go to disk as they arrive.")
    for number, file in enumerate(staged):
        _row(staged, file, number)
    for column, (part, (label, example)) in zip(st.columns(3, gap="small"), PATHS.items(), strict=True):
        column.text_input(f"{label} on this server", key=f"new-{part}-path-{round_}", placeholder=f"or a server path: {example}")
    name, target, metric = st.columns([1.4, 1, 1.4], gap="small")
    name.text_input("Name", key=f"new-name-{round_}", placeholder="as the model's file")
    target.selectbox("Target", choices.targets(), key=f"new-target-{round_}")
    metric.selectbox("Metric", list(choices.METRICS), format_func=choices.metric_name, key=f"new-metric-{round_}")
    given = any(s.part == "model" for s in staged) or bool(str(press.value(f"new-model-path-{round_}", "")).strip())
    press.button(st, "Create project", "new-go", _create, client, staged, round_, type="primary", disabled=not given,
                 help=None if given else "Needs a model: drop an .onnx file, or give its path")


def _dropped(client: Any, staged: list[Staged], key: str) -> None:
    st.session_state["new-drop"] += 1  # a fresh field: the uploads leave the server's memory
    staging.stage(client, staged, press.value(key) or [])


def _row(staged: list[Staged], file: Staged, number: int) -> None:
    words, part, away = st.columns([2.4, 1.5, 0.5], gap="small", vertical_alignment="center")
    words.html(f"<div class=md-p><b>{markup.escape(file.name)}</b> {numbers.size_text(file.size)}</div>")
    parts = list(staging.PARTS)
    key = f"new-part-{file.path.parent.name}"
    part.selectbox("Part", parts, parts.index(file.part), format_func=staging.PARTS.__getitem__, key=key, label_visibility="collapsed",
                   on_change=_choose, args=(file, key))
    press.button(away, "✕", f"new-away-{number}", staged.remove, file, help=f"Leave out {file.name}", width="stretch")


def _choose(file: Staged, key: str) -> None:
    file.part = str(press.value(key, ""))


def _create(client: Any, staged: list[Staged], round_: int) -> None:
    title, target, metric = (str(press.value(f"new-{field}-{round_}", "")) for field in ("name", "target", "metric"))
    typed = {part: str(press.value(f"new-{part}-path-{round_}", "")) for part in PATHS}
    files, beside = staging.project_files(staged, typed)
    name = title.strip() or files["model"].stem
    project = client.create_project(name, files.pop("model"), target=target, metric=metric, beside=beside, **files)
    staged.clear()
    st.session_state["new-round"] = round_ + 1
    shell.go("model", project.id)
