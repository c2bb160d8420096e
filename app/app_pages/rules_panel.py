"""The desk's panel Set: layers by name, module, pattern or type of op, and the model's inputs and outputs, in one line of the recipe."""
from __future__ import annotations

from typing import Any

from app import bench as benches
from app import press, recipes, rules, state
from app.bench import Bench
from app.components.setter import setter
from app.state import Desk
from engine.errors import BadInput

PATIENCE = 20.0  # seconds for the strict check, which takes a fraction of one
ENDS = ("input", "output")


def draw(found: Bench, desk: Desk) -> None:
    """The panel."""
    setter(setter_data(found, desk, state.theme()), lambda: press.heard("setter", act, found.project.id))


def setter_data(found: Bench, desk: Desk, theme: str) -> dict[str, Any]:
    """What there is to set, to what, and the lines that are there."""
    layers, model = found.layers, found.model or {}
    offered = list(dict.fromkeys([*recipes.candidates(found.doc), recipes.base(found.doc)]))
    kinds = list(dict.fromkeys([str(x.get("op_type") or "") for x in layers] + [str(o["op_type"]) for o in model.get("ops") or []]))
    ends = {f"{what}s": [str(t["name"]) for t in model.get(f"{what}s") or [] if str(t.get("dtype", "")).startswith(("float", "bfloat"))]
            for what in ENDS}
    here = str(layers[min(desk.current, len(layers) - 1)]["name"]) if layers else ""
    rows = [[str(x["name"]), str(x.get("module") or ""), str(x.get("op_type") or "")] for x in layers]
    return {"theme": theme, "rev": desk.rev, "layers": rows, "modules": rules.modules(layers), "types": kinds, **ends,
            "here": here, "precisions": offered, "kinds": types(offered),
            "lines": [[x.section, x.key, x.says, x.words] for x in rules.lines(found.doc, layers)],
            "single": sum(r.line for r in found.asked), "error": desk.error}


def types(precisions: list[str]) -> list[str]:
    """The types that a tensor may be given, of the precisions on offer."""
    return list(dict.fromkeys(f"a{p.partition('a')[2]}" if p.startswith("w") else p for p in precisions))


def act(project: str, action: str, value: Any = None) -> None:
    """Sets a line or removes one: one line of history."""
    if not isinstance(value, dict):
        return
    client, desk = state.client(), state.window().desk(project)
    found = benches.load(client, project, desk.current)
    doc = recipes.read(client.state(project).recipe)
    try:
        if action == "drop":
            new, label = rules.drop(doc, str(value.get("section")), str(value.get("key")))
        else:
            new, label = rules.put(doc, str(value.get("what")), str(value.get("which")), str(value.get("to")), found.layers)
            if value.get("strict"):
                _strictly(client, project, recipes.write(new))
        state.moved(desk, benches.edit(client, project, recipes.write(new), label))
    except BadInput as error:
        state.moved(desk, str(error))


def _strictly(client: Any, project: str, text: str) -> None:
    """Lets the engine resolve it strictly. Raises `BadInput` with its words where the target does not run it as asked."""
    job = client.wait(client.submit(project, "resolve", {"recipe": text, "strict": True}), PATIENCE)
    if job.state == "failed":
        raise BadInput(f"Strict: {job.error}")
    if job.state != "done":
        raise BadInput("Strict: the check did not end; nothing was set. Try again when the job that runs has ended")
