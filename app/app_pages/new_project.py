"""The form for a new project: model and data by upload or by a path on the server."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

from app import choices, markup, press, shell

FILES = {"model": ("Model, .onnx", ["onnx"], "/models/net.onnx"),
         "evaluation": ("Evaluation data, .npz", ["npz"], "/data/evaluation.npz"),
         "calibration": ("Calibration data, .npz", ["npz"], "/data/calibration.npz")}


def draw(client: Any) -> None:
    """The form."""
    st.html(markup.title("New project", "a model is enough to begin; its page then says which data it needs"))
    round_ = st.session_state.setdefault("new-round", 0)
    name, target, metric = st.columns([1.4, 1, 1.4], gap="small")
    name.text_input("Name", key=f"new-name-{round_}", placeholder="as the model's file")
    target.selectbox("Target", choices.targets(), key=f"new-target-{round_}")
    metric.selectbox("Metric", list(choices.METRICS), format_func=choices.metric_name, key=f"new-metric-{round_}")
    for column, (role, (label, kinds, example)) in zip(st.columns(3, gap="small"), FILES.items(), strict=True):
        column.file_uploader(label, type=kinds, key=f"new-{role}-{round_}")
        column.text_input(f"{role} path", key=f"new-{role}-path-{round_}", placeholder=f"or a server path: {example}",
                          label_visibility="collapsed")
    press.button(st, "Create project", "new-go", _create, client, round_, type="primary", disabled=_given("model", round_) is None)


def _given(role: str, round_: int) -> Any:
    """The upload, else the path, else None."""
    upload = press.value(f"new-{role}-{round_}")
    return upload if upload is not None else str(press.value(f"new-{role}-path-{round_}", "")).strip() or None


def _create(client: Any, round_: int) -> None:
    title, target, metric = (str(press.value(f"new-{field}-{round_}", "")) for field in ("name", "target", "metric"))
    given = {role: _given(role, round_) for role in FILES}
    paths = {role: _path(client, value) for role, value in given.items() if value is not None}
    name = title.strip() or paths["model"].stem
    project = client.create_project(name, paths.pop("model"), target=target, metric=metric, **paths)
    st.session_state["new-round"] = round_ + 1  # fresh fields: the uploads leave the server's memory
    shell.go("model", project.id)


def _path(client: Any, value: Any) -> Path:
    if isinstance(value, str):
        return Path(value)
    return Path(client.import_upload(value, value.name, size=value.size))
