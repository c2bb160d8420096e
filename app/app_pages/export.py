"""Export: the files a device needs, the certificate that they do what the desk showed, and commands to paste."""
from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import streamlit as st

from app import certificate, choices, markup, numbers, press, recipe_command, shell, state
from app.bench import Bench
from engine.errors import MixdownError


def draw() -> None:
    """The page."""
    found = shell.frame("export")
    if found is None:
        return
    client = state.client()
    out = export_folder(found)
    result = client.latest(found.project.id, "quantize", found.recipe, out=out)
    with st.container(key="stack_export"):
        left, right = st.columns([1, 1.55], gap="small")
    with left, st.container(key="panel_make"):
        _make(found, result, out)
    with right, st.container(key="panel_certificate"):
        _certificate(found, result)
    with left, st.container(key="panel_files"):
        _files(result)
    with right, st.container(key="panel_commands"):
        _commands(found, result)


def export_folder(found: Bench) -> str:
    """The folder of this recipe's export inside the project's `exports`."""
    return recipe_command.export_folder(found.recipe)


def _make(found: Bench, result: Mapping[str, Any] | None, out: str) -> None:
    st.html(markup.title("This mix", f"for {choices_title(found)}"))
    cost = (found.resolved or {}).get("cost", {})
    illegal = [x["name"] for x in (found.resolved or {}).get("layers", []) if not x.get("legal", True)]
    size, unit = numbers.size(float(cost.get("size_bytes") or 0))
    own = len(found.doc.get("layers") or {}) + len(found.doc.get("bypass") or [])
    st.html(markup.facts([("base", str(found.doc.get("precision", "w8a8")).upper(), ""), ("set by hand", str(own), "lines"),
                          ("weights", size, unit)]))
    if illegal:
        st.html(markup.box(f"{len(illegal)} layers cannot run on this target, {illegal[0]} first. An export refuses them.", "hot",
                           "The Desk marks them and says why."))
    job = found.job("quantize")
    if job is not None and job.state in ("queued", "running"):
        press.button(st, "Cancel", "export-cancel", state.client().cancel, job.id, width="stretch")
    else:
        press.button(st, "Export and verify" if result is None else "Export again", "export-go", state.client().submit,
                     found.project.id, "quantize", {"recipe": found.recipe, "out": out}, type="primary", width="stretch",
                     disabled=found.model is None or bool(illegal))
    st.html(markup.foot("Simulates, writes the files, reads them back and runs them in ONNX Runtime against the simulation."))


def choices_title(found: Bench) -> str:
    """The target in words."""
    target = (found.resolved or found.resolved_before or {}).get("target") or {}
    return str(target.get("title") or target.get("name") or found.doc.get("target") or choices.FIRST)


def _certificate(found: Bench, result: Mapping[str, Any] | None) -> None:
    st.html(markup.title("Parity certificate", "the files against the simulation"))
    if result is None:
        running = found.job("quantize")
        waiting = running is not None and running.state in ("queued", "running")
        st.html(markup.text("Being made; the bar above shows how far it is." if waiting else
                            "Made with the export: the written files are read back, run in ONNX Runtime without and with its "
                            "optimizations, and compared with what the desk measured, sample by sample."))
        return
    proof = result.get("certificate") or {}
    st.html(markup.box(certificate.sentence(proof), "ok" if proof.get("passed") else "hot"))
    st.html(markup.table(certificate.COLUMNS, certificate.rows(proof)))
    for remark in certificate.remarks(proof):
        st.html(markup.text(remark))


def _files(result: Mapping[str, Any] | None) -> None:
    st.html(markup.title("Files", ""))
    if result is None:
        st.html(markup.text("model.onnx, model.encodings (1.0.0 and 0.6.1), model_qdq.onnx, recipe.yaml, report.json."))
        return
    for entry in result.get("files", []):
        path = Path(str(entry["path"]))
        words, button = st.columns([2.2, 1], gap="small", vertical_alignment="center")
        words.html(f"<div class=md-p><b>{markup.escape(entry['name'])}</b> {numbers.size_text(entry['bytes'])}<br>"
                   f"{markup.escape(certificate.file_kind(entry['name']))}</div>")
        if not path.is_file():
            button.html(markup.pill("gone", "hot"))
            continue
        with path.open("rb") as file:
            button.download_button("Download", file, path.name, key=f"file-{path.name}", width="stretch", on_click="ignore")


def _commands(found: Bench, result: Mapping[str, Any] | None) -> None:
    st.html(markup.title("Commands", "to paste"))
    try:
        words = str(state.client().reproduce(found.project.id, found.recipe))
    except MixdownError as error:
        words = str(error)
    st.html(markup.heading("Reproduce these figures without the workbench"))
    st.code(words, language=None, wrap_lines=True)
    for title, text in certificate.commands(result or {}):
        st.html(markup.heading(title))
        st.code(text, language=None, wrap_lines=True)
