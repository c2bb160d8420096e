"""The house: who may import whom. Imports run downwards only, and the interface process stays light."""
from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOP = {"session", "room", "rooms", "repairing", "ranging", "foreseeing", "exporting", "answering", "predicting", "searching", "taking",
       "taking_long",
       "search_ask", "search_bench", "arguments_search", "arguments_resolve", "score_mix", "solving", "group_scores", "training", "tuning",
       "worker", "worker_protocol", "worker_inbox", "cli", "verbs", "verbs_sensitivity", "verbs_report", "verbs_repair",
       "verbs_resolve", "verbs_search", "__main__", "terminal", "store"}
PLAIN = {"errors", "progress", "setting", "safe_yaml", "recipe", "quant.precision", "quant.granularity"}
MAY_USE = {
    "ops": set(),
    "quant": set(),
    "graph": {"ops"},
    "data": set(),
    "targets": {"quant", "graph"},
    "sim": {"targets", "quant", "graph", "ops"},
    "ptq": {"sim", "data", "targets", "quant", "graph", "ops"},
    "qat": {"sim", "data", "targets", "quant", "graph", "ops"},
    "analysis": {"sim", "data", "targets", "quant", "graph", "ops"},
    "mixed": {"sim", "data", "targets", "quant", "graph", "ops"},
    "export": {"sim", "data", "targets", "quant", "graph", "ops"},
    "recipe": {"quant"},
    "report": set(),
    "store": {"recipe"},
}
ROOMS = sorted((ROOT / "engine").rglob("*.py"))


def imports(path: Path) -> list[str]:
    """Every module that a file imports, at any depth."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.append(node.module)
    return found


@pytest.mark.parametrize("path", ROOMS, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_run_downwards(path: Path) -> None:
    parts = path.relative_to(ROOT / "engine").parts
    room = parts[0].removesuffix(".py")
    for name in imports(path):
        assert name.split(".")[0] not in ("streamlit", "plotly", "app"), f"{path}: the engine must not import {name}"
        if not name.startswith("engine.") or room in TOP or room == "__init__":
            continue
        inner = name.removeprefix("engine.")
        used = inner.split(".")[0]
        if used == room or inner in PLAIN or used in PLAIN:
            continue
        assert used in MAY_USE.get(room, set()), f"{path}: {room} must not import {name}"


@pytest.mark.parametrize("path", sorted((ROOT / "app").rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_the_app_never_imports_the_heavy_libraries(path: Path) -> None:
    for name in imports(path):
        assert name.split(".")[0] not in ("torch", "onnx", "onnxruntime", "onnx_ir", "onnxscript"), f"{path} imports {name}"
        if name.startswith("engine") and path.name not in ("client.py", "worker_process.py"):
            allowed = {"engine.errors", "engine.recipe", "engine.safe_yaml", "engine.store"}
            assert any(name == a or name.startswith(a + ".") for a in allowed), f"{path}: pages go through client, not {name}"


def test_the_client_loads_no_heavy_library() -> None:
    code = "import sys, app.client; print([m for m in ('torch', 'onnx', 'onnxruntime') if m in sys.modules])"
    env = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin"}
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, env=env)
    assert out.stdout.strip() == "[]", "the interface process must stay light"


def test_there_is_no_machine_path_in_the_repository() -> None:
    listed = subprocess.run(["git", "grep", "-nIE", r"/(work|farm|root|home/[a-z]+)/", "--", ".", ":!*.svg", ":!tests/test_layering.py"],
                            cwd=ROOT, capture_output=True, text=True, check=False)
    assert listed.stdout == ""
