"""What a bundled sample brings along: results that its script made once, keyed by the content of its files.

`known.json` beside a sample's model holds the hashes of model and data, and questions with their answers. They become
results of a new project of the sample only while every hash is that of the file beside it and the answers have the
present shape; else the worker makes them anew, as for any model.
"""
from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app.results import RESULTS_VERSION, Results, thumbnail
from app.samples import Sample
from engine.store import Store, strict_json

FILE = "known.json"
FILES = ("model", "evaluation", "calibration")
Known = dict[str, Any]


def content(sample: Sample) -> dict[str, str]:
    """The sha256 of each file that the answers depend on."""
    return {name: hashlib.sha256(getattr(sample, name).read_bytes()).hexdigest() for name in FILES}


def load(sample: Sample) -> list[Known]:
    """The answers that still hold, as `{verb, args, result}`; none where there is no file or something has changed."""
    path = sample.model.parent / FILE
    if not path.is_file():
        return []
    kept = json.loads(path.read_text(encoding="utf-8"))
    if kept["version"] != RESULTS_VERSION or kept["content"] != content(sample):
        return []
    return list(kept["answers"])


def adopt(store: Store, results: Results, project: str, sample: Sample) -> int:
    """Enters them as results of a project of the sample; returns how many."""
    answers = load(sample)
    for answer in answers:
        result = dict(answer["result"])
        if answer["verb"] == "open":
            result["model"] = dict(result["model"]) | {"path": str(sample.model)}
        if answer["verb"] == "measure":
            store.projects.update(project, thumbnail=thumbnail(result))
        store.runs.add(project, results.key(project, answer["verb"], answer["args"]), answer["verb"], result)
    return len(answers)


def write(sample: Sample, answers: list[Mapping[str, Any]]) -> Path:
    """Keeps answers beside the sample's model."""
    path = sample.model.parent / FILE
    lines = ",\n".join(strict_json(_anywhere(a)) for a in answers)
    head = strict_json({"version": RESULTS_VERSION, "content": content(sample)})
    path.write_text(f"{head[:-1]}, \"answers\": [\n{lines}\n]}}\n", encoding="utf-8")
    return path


def _anywhere(answer: Mapping[str, Any]) -> Known:
    """The answer without the place of this checkout."""
    if answer["verb"] != "open":
        return dict(answer)
    result = answer["result"]
    return dict(answer) | {"result": dict(result) | {"model": {k: v for k, v in result["model"].items() if k != "path"}}}
