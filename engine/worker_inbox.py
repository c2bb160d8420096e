"""The worker's queue: what a person waits for goes first, a newer edit makes an older one's job needless, any job can stop.

Jobs lie on a stack: the lowest is a long one, and between its batches quicker ones may run on top of it (`take_before`).
"""
from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from engine.errors import Cancelled, nearest
from engine.worker_protocol import Channel

MAX_COMMAND = 4_000_000
SUPERSEDED = "superseded by a newer one"
SUPERSEDING = ("measure", "resolve", "solve")
# What a person waits for, the quickest first: these go before all other verbs, and run between the batches of those.
QUICK = {"open": 0, "steps": 0, "resolve": 0, "layer": 1, "measure": 2, "solve": 3}
LAST = 9
_GRACE = 0.5


@dataclass(frozen=True)
class Command:
    """One job as it was asked for."""

    id: int
    verb: str
    args: dict[str, Any] = field(default_factory=dict)

    @property
    def rank(self) -> int:
        """The lower the sooner."""
        return QUICK.get(self.verb, LAST)


@dataclass
class _Running:
    """A job on the stack: why it is to stop, and whether it begins again afterwards."""

    command: Command
    stop: str = ""
    again: bool = False


class Inbox:
    """The queue between the thread that reads commands and those that work."""

    def __init__(self, channel: Channel, verbs: Collection[str]) -> None:
        self._channel, self._verbs = channel, verbs
        self._ready = threading.Condition()
        self._queue: list[Command] = []
        self._stack: list[_Running] = []
        self._later: set[int] = set()  # what must wait until a job of the stack is done
        self._closed = False

    def read(self, stream: BinaryIO) -> None:
        """Reads commands until stdin ends; then the process ends too, whatever it is doing."""
        while line := stream.readline(MAX_COMMAND + 1):
            if len(line) > MAX_COMMAND:
                while line and not line.endswith(b"\n"):
                    line = stream.readline(MAX_COMMAND)
                self._refuse(None, f"a command of more than {MAX_COMMAND:,} bytes")
            elif not self._obey(line):
                break
        self._close()
        time.sleep(_GRACE)
        os._exit(0)

    def take(self) -> Command | None:
        """Waits for the next command; None once the inbox is closed."""
        with self._ready:
            while not self._closed:
                if (command := self._next(LAST + 1)) is not None:
                    return command
                self._ready.wait()
            return None

    def take_before(self, job: int) -> Command | None:
        """A waiting command that goes before the job that runs, if there is one and the job is not to stop anyway."""
        with self._ready:
            top = self._stack[-1] if self._stack else None
            if self._closed or top is None or top.command.id != job or top.stop:
                return None
            return self._next(top.command.rank)

    def done(self, job: int) -> None:
        """The job has been answered."""
        with self._ready:
            self._stack = [r for r in self._stack if r.command.id != job]
            self._later.clear()

    def put_back(self, job: int, later: bool) -> None:
        """The job goes back to its place; `later`: until another of the stack is done."""
        with self._ready:
            for running in [r for r in self._stack if r.command.id == job]:
                self._stack.remove(running)
                self._queue.insert(0, running.command)
            if later:
                self._later.add(job)

    def begins_again(self, job: int) -> bool:
        """Whether the job was stopped for the sake of one below it, so that its answer is still wanted."""
        with self._ready:
            return any(r.again for r in self._stack if r.command.id == job)

    def check(self, job: int) -> None:
        """Raises `Cancelled` when the job is to stop."""
        for running in self._stack:
            if running.command.id == job and running.stop:
                raise Cancelled(running.stop)

    def _next(self, rank: int) -> Command | None:
        """The first waiting command of the lowest rank below `rank`, now on the stack."""
        able = [c for c in self._queue if c.rank < rank and c.id not in self._later]
        if not able:
            return None
        command = min(able, key=lambda c: c.rank)
        self._queue.remove(command)
        self._stack.append(_Running(command))
        return command

    def _obey(self, line: bytes) -> bool:
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            message = None
        if not isinstance(message, dict):
            self._refuse(None, "a line that is no JSON object")
        elif message.get("quit"):
            return False
        elif "cancel" in message:
            self._cancel(message["cancel"])
        elif not isinstance(message.get("id"), int) or not isinstance(message.get("args", {}), dict):
            self._refuse(None, "a command without a number, or with arguments that are no mapping")
        elif message.get("verb") not in self._verbs:
            verb = str(message.get("verb"))[:60]
            self._refuse(message["id"], f"the verb {verb!r}. {nearest(verb, self._verbs)}")
        else:
            self._push(Command(message["id"], message["verb"], message.get("args", {})))
        return True

    def _push(self, command: Command) -> None:
        with self._ready:
            if command.verb in SUPERSEDING:
                for older in [c for c in self._queue if c.verb == command.verb]:
                    self._drop(older, SUPERSEDED)
                for running in self._stack:
                    if running.command.verb == command.verb:
                        running.stop, running.again = SUPERSEDED, False
            self._queue.append(command)
            self._ready.notify_all()

    def _cancel(self, job: Any) -> None:
        with self._ready:
            places = [i for i, r in enumerate(self._stack) if r.command.id == job]
            for place in places:
                self._stack[place].stop, self._stack[place].again = "cancelled", False
                for above in self._stack[place + 1:]:  # they are in its way: they give it up and begin again
                    if not above.stop:
                        above.stop, above.again = "makes way", True
            for waiting in [c for c in self._queue if c.id == job]:
                self._drop(waiting, "cancelled")

    def _drop(self, command: Command, why: str) -> None:
        self._queue.remove(command)
        self._channel.send({"id": command.id, "event": "error", "kind": "Cancelled", "message": why})

    def _refuse(self, job: int | None, what: str) -> None:
        self._channel.send({"id": job, "event": "error", "kind": "BadInput",
                            "message": f"the worker was sent {what}"})

    def _close(self) -> None:
        with self._ready:
            self._closed = True
            for running in self._stack:
                running.stop, running.again = "the worker is closing", False
            self._ready.notify_all()
