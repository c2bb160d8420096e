"""The questions to the worker, and what is known of their answers: frontiers, the exact solution, searches, moves."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app import prediction, recipes
from app.bench import STOPPED, Bench
from app.search.view import AIMS, Targets
from engine.errors import BadInput
from engine.store.latency_file import ARGUMENT

Result = Mapping[str, Any]
COLUMNS = {"bops": "max_bops", "size": "max_size"}
TIMED = COLUMNS | {"latency": "max_latency_us"}
UNBOUND = 1e12  # microseconds: a frontier has no limit, its question names the cost
METHODS = ("search", "amp", "lite")
LAYERWISE = ("layers", "precision", "candidates")


@dataclass(frozen=True)
class Known:
    """What is known for the targets.

    Attributes:
        frontiers: by what they cost, `bops` and `size`; empty until the scores are there.
        waiting: the job that makes a frontier.
        failed: why there is no frontier, in words.
        runs: method → the newest answer, whole or as far as it got.
        job: the search, baseline or list of moves that waits or runs.
        ended: the newest search, where it was stopped or failed.
        exact: the proven answer to the present budgets; `exact_job` while it is made.
        takes: the moves, and the job that they are of.
        done: methods that have answered just these targets on the recipe on the desk.
    """

    frontiers: Mapping[str, Result] = field(default_factory=dict)
    waiting: Any | None = None
    failed: str = ""
    runs: Mapping[str, Result] = field(default_factory=dict)
    job: Any | None = None
    ended: Any | None = None
    exact: Result | None = None
    exact_error: str = ""
    exact_job: Any | None = None
    takes: Result | None = None
    takes_job: Any | None = None
    done: tuple[str, ...] = ()


def scores(found: Bench) -> tuple[str, int]:
    """The kind of scores that are summed, and on how many samples they were taken: the curve's, so that its formula holds; 0: the usual."""
    if found.curve is None:
        return "estimate", 0
    return str(found.curve["kind"]), int((found.curve.get("score") or {}).get("samples") or 0)


def shared(found: Bench, targets: Targets) -> dict[str, Any]:
    """What all questions over scores are given. Lines of layers go where they do not count, so that an edit keeps the frontier."""
    kind, samples = scores(found)
    doc = found.doc if targets.keep else _bare(found.doc, targets)
    table = {ARGUMENT: targets.table} if targets.table else {}
    return {"recipe": recipes.write(doc), "precisions": list(targets.on), "kind": kind, "score_samples": samples,
            "keep": targets.keep} | table


def columns(targets: Targets) -> dict[str, str]:
    """What frontiers are by, as the page and as the worker call it: latency too where there is a table."""
    return TIMED if targets.table else COLUMNS


def _bare(doc: recipes.Doc, targets: Targets) -> recipes.Doc:
    """Without lines of layers, at a base that a loaded mix does not change: the candidate with the fewest bits of activations."""
    base = min(targets.on, key=lambda p: (activations(p), -weights(p)), default=recipes.base(doc))
    return {k: v for k, v in doc.items() if k not in LAYERWISE} | {"precision": base}


def weights(precision: str) -> int:
    """Bits of a weight, by the name of the precision."""
    return _bits(precision, 0)


def activations(precision: str) -> int:
    """Bits of an activation, by the name of the precision."""
    return _bits(precision, 1)


def _bits(precision: str, place: int) -> int:
    parts = precision.removeprefix("w").split("a")
    if len(parts) == 2 and all(p.isdigit() for p in parts):
        return int(parts[place])
    return 16 if "16" in precision else 32


def frontier(found: Bench, targets: Targets, column: str) -> dict[str, Any]:
    """The question for the frontier by one cost."""
    return shared(found, targets) | {TIMED[column]: UNBOUND if column == "latency" else 1.0}


def budgets(targets: Targets) -> dict[str, float]:
    """The limits other than the drop, as the worker calls them."""
    names = columns(targets) | {"bits": "average_bits"}
    return {names[k]: v for k, v in targets.limits.items() if k in names}


def solve(found: Bench, targets: Targets) -> dict[str, Any] | None:
    """The question for the exact answer; None where the drop's score is not known, or nothing is asked for."""
    asked, drop = shared(found, targets) | budgets(targets) | {"aim": AIMS[targets.aim]}, targets.limits.get("drop")
    if drop is None:
        return asked if budgets(targets) else None
    cap = score_cap(found.curve, drop, targets.judge)
    return None if cap is None else asked | {"max_drop": drop, "max_score": cap}


def score_cap(curve: Result | None, drop: float, judge: str) -> float | None:
    """The greatest sum of scores that is predicted to keep to a drop; None without a curve."""
    if curve is None or not curve["enough"] or not curve["knots"]:
        return None
    high = float(curve["knots"][-1][0])
    low = 0.0
    for _ in range(50):
        middle = (low + high) / 2
        told = prediction.at(curve, middle)
        if told is not None and told[2 if judge == "bound" else 0] <= drop:
            low = middle
        else:
            high = middle
    return low


def search(found: Bench, targets: Targets, method: str = "search") -> dict[str, Any]:
    """The question for a search, or for a procedure to compare with; it writes into the recipe on the desk."""
    drop = targets.limits.get("drop")
    return shared(found, targets) | budgets(targets) | ({} if drop is None else {"max_drop": drop}) | {
        "recipe": found.recipe, "judge": targets.judge, "aim": AIMS[targets.aim], "method": method}


def moves(found: Bench, targets: Targets) -> dict[str, Any]:
    """The question 'what does it take?'."""
    return {"recipe": found.recipe, "precisions": list(targets.on), "max_drop": targets.limits.get("drop", 0.01)}


def gather(client: Any, found: Bench, targets: Targets) -> Known:
    """All that is known."""
    asked = {name: frontier(found, targets, name) for name in columns(targets)}
    known = {name: r for name, a in asked.items() if (r := latest(client, found, "frontier", a)) is not None}
    jobs = [j for j in found.jobs if j.verb == "frontier" and dict(j.args) in asked.values()]
    failed = next((str(j.error) for j in jobs if j.state == "failed"), "") if len(known) < len(asked) else ""
    searches = [j for j in found.jobs if j.verb == "search" and same(j.args, found)]
    busy = next((j for j in found.jobs if j.verb in ("search", "takes") and j.active), None)
    question = solve(found, targets)
    exact = None if question is None else latest(client, found, "solve", question)
    solving = next((j for j in found.jobs if j.verb == "solve" and dict(j.args) == question), None)
    moved, taking = _moves(client, found)
    newest = next((j for j in searches if method_of(j) == "search"), None)
    done = tuple(m for m in METHODS if searches and latest(client, found, "search", search(found, targets, m)) is not None)
    return Known(known, next((j for j in jobs if j.active), None), failed, _runs(client, searches), busy,
                 newest if newest is not None and newest.state in STOPPED else None, exact,
                 str(solving.error) if solving is not None and solving.state == "failed" else "",
                 solving if solving is not None and solving.active else None, moved, taking, done)


def latest(client: Any, found: Bench, verb: str, asked: Mapping[str, Any]) -> Result | None:
    """The answer to exactly this question."""
    rest = {k: v for k, v in asked.items() if k != "recipe"}
    result: Result | None = client.latest(found.project.id, verb, asked["recipe"], **rest)
    return result


def method_of(job: Any) -> str:
    """Which procedure a job of the verb `search` runs."""
    return str(job.args.get("method", "search"))


def _runs(client: Any, jobs: list[Any]) -> dict[str, Result]:
    """Method → the newest answer; of a job that was stopped, what it had by then."""
    out: dict[str, Result] = {}
    for job in jobs:
        answer = (client.result(job.id) if job.state == "done" else job.partial) or {}
        if answer.get("pareto") and method_of(job) not in out:
            out[method_of(job)] = answer
    return out


def _moves(client: Any, found: Bench) -> tuple[Result | None, Any | None]:
    """The newest list of moves, and its job: it stays while a move is tried."""
    for job in found.jobs:
        if job.verb == "takes":
            answer = client.result(job.id) if job.state == "done" else job.partial
            if answer is not None or job.active:
                return answer, job
    return None, None


def same(args: Mapping[str, Any], found: Bench) -> bool:
    """Whether a job was about this model under the same recipe but for its bits."""
    try:
        doc = recipes.read(str(args.get("recipe") or ""))
    except BadInput:
        return False
    return _rest(doc) == _rest(found.doc)


def _rest(doc: recipes.Doc) -> recipes.Doc:
    """A recipe but for its bits; a calibration that says what is usual says nothing."""
    usual = {"method": {"min_max": {}}, "samples": 256, "seed": 0}
    rest = {k: v for k, v in doc.items() if k not in (*LAYERWISE, "model", "mixdown")}
    given = rest.pop("calibration", None)
    if isinstance(given, Mapping):
        own = {k: v for k, v in given.items() if v not in (usual.get(k), "min_max")}
        rest |= {"calibration": own} if own else {}
    return rest
