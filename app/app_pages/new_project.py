"""The form for a new project: model and data by upload or by a path on the server."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

from app import choices, markup, shell, state
from engine.errors import MixdownError

FILES = {"model": ("Model, .onnx", ["onnx"], "/models/net.onnx"),
         "evaluation": ("Evaluation data, .npz", ["npz"], "/data/evaluation.npz"),
         "calibration": ("Calibration data, .npz", ["npz"], "/data/calibration.npz")}


def draw(client: Any) -> None:
    """The form."""
    st.html(markup.title("New project", "a model is enough to begin; its page then says which data it needs"))
    round_ = st.session_state.setdefault("new-round", 0)
    name, target, metric = st.columns([1.4, 1, 1.4], gap="small")
    title = name.text_input("Name", key=f"new-name-{round_}", placeholder="as the model's file")
    chosen = target.selectbox("Target", choices.targets(), key=f"new-target-{round_}")
    judged = metric.selectbox("Metric", list(choices.METRICS), format_func=choices.metric_name, key=f"new-metric-{round_}")
    given: dict[str, Any] = {}
    for column, (role, (label, kinds, example)) in zip(st.columns(3, gap="small"), FILES.items(), strict=True):
        upload = column.file_uploader(label, type=kinds, key=f"new-{role}-{round_}")
        path = column.text_input(f"{role} path", key=f"new-{role}-path-{round_}", placeholder=f"or a server path: {example}",
                                 label_visibility="collapsed")
        given[role] = upload if upload is not None else path.strip() or None
    if st.button("Create project", type="primary", key="new-go", disabled=given["model"] is None):
        _create(client, title, given, str(chosen), str(judged))


def _create(client: Any, title: str, given: dict[str, Any], target: str, metric: str) -> None:
    try:
        paths = {role: _path(client, value) for role, value in given.items() if value is not None}
        name = title.strip() or paths["model"].stem
        project = client.create_project(name, paths.pop("model"), target=target, metric=metric, **paths)
    except MixdownError as error:
        state.window().error = str(error)
        st.rerun()
    st.session_state["new-round"] += 1  # fresh fields: the uploads leave the server's memory
    shell.go("model", project.id)
    st.rerun()


def _path(client: Any, value: Any) -> Path:
    if isinstance(value, str):
        return Path(value)
    return Path(client.import_upload(value, value.name, size=value.size))
