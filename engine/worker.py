"""A Session in a process of its own: commands in on stdin, progress and results out on stdout, one JSON a line.

    python -m engine.worker --home HOME --project ID

in:   {"id": 7, "verb": "measure", "args": {...}}   {"cancel": 7}   {"quit": true}
out:  {"event": "ready", "pid": ...}   and for each id: started, progress, partial, then result or error.

One job at a time. What a person waits for (`worker_inbox.QUICK`) goes first, and runs between the batches of a long job, which
then goes on; a newer `measure`, `resolve` or `solve` supersedes an older unfinished one.
The process ends with its stdin, and with the process that started it: there are no orphans.
"""
from __future__ import annotations

import argparse
import contextlib
import ctypes
import faulthandler
import importlib
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from engine.errors import BadInput, Cancelled, IllegalPrecision, MixdownError
from engine.progress import Later
from engine.store import Project, Store, doing
from engine.store.files import file_identity
from engine.store.latency_file import ARGUMENT as TABLE
from engine.store.latency_file import table_text
from engine.worker_inbox import Command, Inbox
from engine.worker_protocol import Channel, Reporter

SESSION = "engine.session:Session.for_project"
Factory = Callable[[Project, Store], Any]
SEARCH_NUMBERS = ("max_drop", "max_size", "max_bops", "average_bits", "max_latency_us", "percent")
SEARCH: dict[str, type] = {
    "judge": str, "aim": str, "kind": str, "method": str, "score_samples": int, "samples": int, "points": int, "rounds": int,
    "keep": bool, "with_steps": bool, "allow_illegal": bool}
CURVE = {"kind": str, "score_samples": int, "samples": int, "mixtures": int}


def _recipe(args: dict[str, Any]) -> Any:
    from engine.recipe import Recipe

    text = args.get("recipe")
    if not isinstance(text, str):
        raise BadInput(f"the recipe came as {type(text).__name__}: expected YAML text")
    return Recipe.from_yaml(text)


def _text(args: dict[str, Any], key: str) -> str:
    value = args.get(key)
    if not isinstance(value, str) or not value:
        raise BadInput(f"{key} came as {value!r:.60}: expected a text")
    return value


def _names(args: dict[str, Any]) -> list[str] | None:
    names = args.get("layers")
    if names is not None and not (isinstance(names, list) and all(isinstance(n, str) for n in names)):
        raise BadInput(f"layers came as {names!r:.60}: expected a list of names")
    return names


def _run(args: dict[str, Any], key: str) -> Any:
    """A recipe, or None for the float model."""
    text = _text(args, key)
    return None if text == "float" else _recipe({"recipe": text})


def _precisions(args: dict[str, Any]) -> list[str]:
    names = args.get("precisions")
    if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
        raise BadInput(f"precisions came as {names!r:.60}: expected a list such as [w8a8, w4a8]")
    return names


def _some(args: dict[str, Any], kinds: dict[str, type]) -> dict[str, Any]:
    """The arguments that are there, each of its type."""
    found = {key: args[key] for key in kinds if key in args}
    for key, value in found.items():
        if type(value) is not kinds[key]:
            raise BadInput(f"{key} came as {value!r:.60}: expected {kinds[key].__name__}")
    return found


def _techniques() -> dict[str, Any]:
    """What the page Repair makes its menu and its forms from."""
    from engine import training  # noqa: F401  (importing registers the step qat)
    from engine.ptq.describe import describe

    return describe()


def _number(args: dict[str, Any], key: str) -> float:
    value = args.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadInput(f"{key} came as {value!r:.60}: expected a number")
    return float(value)


def _search(args: dict[str, Any]) -> dict[str, Any]:
    """The target of a search; numbers may come whole. A table of latencies comes as CSV text."""
    numbers = {k: float(args[k]) for k in SEARCH_NUMBERS if type(args.get(k)) in (int, float)}
    found = _some({k: v for k, v in args.items() if v is not None} | numbers, dict.fromkeys(SEARCH_NUMBERS, float) | SEARCH)
    if "latency" in args and args["latency"] is not None:
        from engine.mixed.latency import parse_latency

        found["latency"] = parse_latency(_text(args, "latency"))
    return found


def _space(args: dict[str, Any]) -> dict[str, Any]:
    """What a search over training settings is told; it checks its own fields."""
    given = args.get("space") or {}
    if not isinstance(given, dict):
        raise BadInput(f"space came as {given!r:.60}: expected a mapping")
    return {str(key): value for key, value in given.items()}


def _question(args: dict[str, Any]) -> Any:
    from engine.analysis.sensitivity.kinds import Question
    from engine.quant.precision import Precision

    names = _precisions(args)
    given = {k: args[k] for k in ("mode", "what", "items", "samples") if k in args}
    return Question(tuple(Precision.parse(n) for n in names), **given)


# verb → how the session is called; `r` reports: it is the progress, and `r.partial` sends partial results.
VERBS: dict[str, Callable[[Any, dict[str, Any], Reporter], Any]] = {
    "open": lambda s, a, r: s.open(progress=r),
    "graph": lambda s, a, r: s.graph(progress=r),
    "steps": lambda s, a, r: _techniques(),
    "float": lambda s, a, r: s.float_value(progress=r),
    "resolve": lambda s, a, r: s.resolve(_recipe(a), progress=r, **_some(a, {"strict": bool})),
    "measure": lambda s, a, r: s.measure(_recipe(a), progress=r, partial=r.partial),
    # A worker that has not run yet, on a recipe whose figures are known: the first move is then as quick as the later ones.
    "ready": lambda s, a, r: {"samples": s.measure(_recipe(a), progress=r)["samples"]},
    "calibrate": lambda s, a, r: s.calibrate(_recipe(a), progress=r),
    "sensitivity": lambda s, a, r: s.sensitivity(_question(a), _recipe(a), str(a.get("on", "calibration")), bool(a.get("racing")),
                                                 progress=r, partial=r.partial),
    "diagnose": lambda s, a, r: s.diagnose(_recipe(a), _names(a), progress=r),
    "search": lambda s, a, r: s.search_report(_precisions(a), _recipe(a), progress=r, partial=r.partial, **_search(a)),
    "takes": lambda s, a, r: s.takes(_recipe(a), _precisions(a), _number(a, "max_drop"), progress=r, partial=r.partial),
    "frontier": lambda s, a, r: s.frontier(_precisions(a), _recipe(a), progress=r, **_search(a)),
    "solve": lambda s, a, r: s.solve(_precisions(a), _recipe(a), _number(a, "max_score") if "max_score" in a else None, progress=r,
                                     **_search(a)),
    "repair": lambda s, a, r: s.repair(_recipe(a), progress=r, partial=r.partial),
    # The same question, of a recipe that ends with training: under a name of its own, runs of repair and of training let each other be.
    "train": lambda s, a, r: s.repair(_recipe(a), progress=r, partial=r.partial),
    "trained": lambda s, a, r: s.training_kept(_recipe(a)),
    "tune": lambda s, a, r: s.tune(_recipe(a), progress=r, partial=r.partial, **_space(a)),
    "compare": lambda s, a, r: s.compare(_run(a, "left"), _run(a, "right"), progress=r),
    "curve": lambda s, a, r: s.curve(_recipe(a), _precisions(a), progress=r, partial=r.partial, **_some(a, CURVE)),
    "additivity": lambda s, a, r: s.additivity(_recipe(a), _precisions(a), progress=r, **_some(a, CURVE)),
    "layer": lambda s, a, r: s.layer_facts(_recipe(a), _text(a, "name"), progress=r),
    "quantize": lambda s, a, r: s.quantize(_recipe(a), Path(_text(a, "out")), progress=r),
    "verify": lambda s, a, r: s.verify(Path(_text(a, "dir")), progress=r),
}


class Worker:
    """Runs the commands of an inbox on the session of one project, one at a time."""

    def __init__(self, store: Store, project: str, factory: Factory, channel: Channel, inbox: Inbox) -> None:
        self._store, self._project, self._factory = store, project, factory
        self._channel, self._inbox = channel, inbox
        self._session: Any = None
        self._inputs: list[Any] = []

    def run(self) -> None:
        """Until the inbox is closed."""
        while (command := self._inbox.take()) is not None:
            self._answer(command)

    def _answer(self, command: Command) -> None:
        """Runs a command and sends what came of it, unless it is to be run again later."""
        self._channel.send({"id": command.id, "event": "started"})
        try:
            outcome = self._outcome(command)
        except Later as error:
            self._channel.send({"id": command.id, "event": "progress", "fraction": 0.0, "message": str(error), "eta": None})
            self._inbox.put_back(command.id, later=True)
            return
        if outcome.get("kind") == "Cancelled" and self._inbox.begins_again(command.id):
            self._inbox.put_back(command.id, later=False)
            return
        self._channel.send({"id": command.id} | outcome)
        self._inbox.done(command.id)

    def _let_pass(self, command: Command) -> None:
        """Runs what goes before a running command. In a thread of its own: torch's modes (no gradients, say) belong to one."""
        while (quick := self._inbox.take_before(command.id)) is not None:
            thread = threading.Thread(target=self._answer, args=(quick,), name=f"job-{quick.id}")
            thread.start()
            thread.join()

    def _outcome(self, command: Command) -> dict[str, Any]:
        reporter = Reporter(self._channel, command.id, partial(self._inbox.check, command.id), partial(self._let_pass, command))
        try:
            reporter(0.0, doing(command.verb))
            value = VERBS[command.verb](self._current_session(), self._placed(command.args), reporter)
            return {"event": "result", "value": value}
        except Cancelled as error:
            return _error("Cancelled", str(error) or "cancelled")
        except MixdownError as error:
            return _error("IllegalPrecision" if isinstance(error, IllegalPrecision) else "BadInput", str(error))
        except MemoryError:
            return _error("BadInput", f"Not enough memory while {doing(command.verb)}. Nothing in the project was "
                          "lost. Close other programs, or use a smaller model or fewer samples")
        except Later:
            raise
        except Exception as error:
            traceback.print_exc()
            return _error("Bug", f"Something went wrong inside Mixdown while {doing(command.verb)} "
                          f"({type(error).__name__}: {str(error)[:300]}). The project is as it was. The details are "
                          "in worker.log of the project's folder")

    def _current_session(self) -> Any:
        """The session, made anew when the project's files or metric were changed since."""
        project = self._store.projects.get(self._project)
        files = (project.model, project.evaluation, project.calibration, project.training)
        inputs = [project.metric, *map(file_identity, files)]
        if self._session is None or inputs != self._inputs:
            self._session = None  # freed before the next one is made
            self._session, self._inputs = self._factory(project, self._store), inputs
        return self._session

    def _placed(self, args: dict[str, Any]) -> dict[str, Any]:
        """Relative folders are inside the project's `exports`; the project's table of latencies is there by its hash."""
        folder = self._store.projects.folder(self._project)
        exports = folder / "exports"
        if args.get(TABLE) is not None:
            args = args | {"latency": table_text(folder, _text(args, TABLE))}
        return args | {key: str(exports / args[key]) for key in ("out", "dir") if isinstance(args.get(key), str)}


def _error(kind: str, message: str) -> dict[str, Any]:
    return {"event": "error", "kind": kind, "message": message}


def load_factory(dotted: str) -> Factory:
    """`module:name.name` as a callable that makes a session from a project and the store."""
    module, _, names = dotted.partition(":")
    value: Any = importlib.import_module(module)
    for name in names.split("."):
        value = getattr(value, name)
    factory: Factory = value
    return factory


def die_with_parent(parent: int) -> None:
    """Asks the system to end this process when its parent ends; stdin's end does the same elsewhere."""
    if parent and sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # 1: PR_SET_PDEATHSIG
        if os.getppid() != parent:  # it was gone before the request
            os._exit(0)


def take_stdout() -> BinaryIO:
    """The real stdout for the protocol alone; what libraries print goes to stderr, the worker's log."""
    own = os.dup(1)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return os.fdopen(own, "wb", buffering=0)


def main(argv: list[str] | None = None) -> int:
    """Entry of the worker process."""
    parser = argparse.ArgumentParser(prog="python -m engine.worker", description="The workbench's worker process.")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--project", required=True)
    parser.add_argument("--parent", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--session", default=SESSION, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in the terminal is the server's to handle
    die_with_parent(options.parent)
    faulthandler.enable()
    with contextlib.suppress(OSError):
        os.nice(5)  # the page stays quick while this works
    channel = Channel(take_stdout())
    inbox = Inbox(channel, VERBS)
    threading.Thread(target=inbox.read, args=(sys.stdin.buffer,), daemon=True, name="commands").start()
    try:
        store = Store(options.home, parent=options.parent)
        factory = load_factory(options.session)  # imports the heavy libraries, before `ready`
    except (MixdownError, ImportError, AttributeError) as error:
        print(f"The worker cannot start: {error}", file=sys.stderr)
        return 3
    channel.send({"event": "ready", "pid": os.getpid()})
    Worker(store, options.project, factory, channel, inbox).run()
    return 0


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code)  # threads of libraries must not hold the process up
