"""Runs the peer's rounding (`aimet_rounding.py`) in its own environment, once for each task."""
from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any


def theirs(folder: Path) -> dict[str, Any] | None:
    """The peer's figures for FOLDER/task.json: those of an earlier run of the same task, or measured now where FOLDER/venv is there."""
    kept, done, task = folder / "aimet.json", folder / "task_done.json", (folder / "task.json").read_text()
    if kept.exists() and done.exists() and done.read_text() == task:
        return dict(json.loads(kept.read_text()))
    python = folder / "venv" / "bin" / "python"
    if not python.exists():
        print(f"aimet-onnx: not measured, {python} is not there; `pip install aimet-onnx==2.42.0 onnxruntime==1.32.0` into it")
        return None
    alone = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    script = Path(__file__).with_name("aimet_rounding.py")
    subprocess.run([str(python), "-W", "ignore", str(script), str(folder)], check=True, env=alone, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)
    done.write_text(task)
    return dict(json.loads(kept.read_text()))
