"""The worker's side of its protocol: lines out, the queue of commands, progress with cancellation."""
from __future__ import annotations

import json
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from engine.errors import Cancelled, nearest
from engine.store import strict_json

MAX_COMMAND = 4_000_000
SUPERSEDED = "superseded by a newer one"
_SUPERSEDING = ("measure", "resolve")
_INTERVAL = 0.05
_GRACE = 0.5


@dataclass(frozen=True)
class Command:
    """One job as it was asked for."""

    id: int
    verb: str
    args: dict[str, Any] = field(default_factory=dict)


class Channel:
    """Writes one line at a time, whole, from any thread."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def send(self, message: dict[str, Any]) -> None:
        """Sends a message; when nobody listens any more the process ends."""
        try:
            line = strict_json(message)
        except (TypeError, ValueError) as error:
            line = strict_json({"id": message.get("id"), "event": "error", "kind": "Bug",
                                "message": f"The result cannot be sent: {error}. The project is as it was"})
        data = memoryview(line.encode() + b"\n")
        with self._lock:
            try:
                while data:
                    data = data[self._stream.write(data):]
            except OSError:
                os._exit(0)


class Inbox:
    """The queue between the thread that reads commands and the one that works."""

    def __init__(self, channel: Channel, verbs: Collection[str]) -> None:
        self._channel, self._verbs = channel, verbs
        self._ready = threading.Condition()
        self._queue: deque[Command] = deque()
        self._current: Command | None = None
        self._stop = ""  # why the current job is to stop
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
            while not self._queue and not self._closed:
                self._ready.wait()
            if self._closed:
                return None
            self._current, self._stop = self._queue.popleft(), ""
            return self._current

    def done(self) -> None:
        """The current command has been answered."""
        with self._ready:
            self._current = None

    def check(self) -> None:
        """Raises `Cancelled` when the current job is to stop."""
        if self._stop:
            raise Cancelled(self._stop)

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
            if command.verb in _SUPERSEDING:
                for older in [c for c in self._queue if c.verb == command.verb]:
                    self._drop(older, SUPERSEDED)
                if self._current is not None and self._current.verb == command.verb:
                    self._stop = SUPERSEDED
            self._queue.append(command)
            self._ready.notify()

    def _cancel(self, job: Any) -> None:
        with self._ready:
            if self._current is not None and self._current.id == job:
                self._stop = "cancelled"
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
            self._closed, self._stop = True, "the worker is closing"
            self._ready.notify_all()


class Reporter:
    """The progress of one job: cancels, adds the time left, and sends at most twenty lines a second."""

    def __init__(self, channel: Channel, job: int, check: Callable[[], None]) -> None:
        self._channel, self._job, self._check = channel, job, check
        self._begun = time.monotonic()
        self._sent = -1.0

    def __call__(self, fraction: float, message: str) -> None:
        """Reports; raises `Cancelled` when the job is to stop."""
        self._check()
        now = time.monotonic()
        if now - self._sent < _INTERVAL:
            return
        self._sent = now
        fraction = min(max(float(fraction), 0.0), 1.0)
        elapsed = now - self._begun
        # The first moments say little: opening files is not the pace of the rest.
        eta = elapsed * (1 - fraction) / fraction if fraction > 0.02 and elapsed > 0.2 else None
        self._channel.send({"id": self._job, "event": "progress", "fraction": round(fraction, 4),
                            "message": str(message)[:500], "eta": None if eta is None else round(eta, 2)})

    def partial(self, value: dict[str, Any]) -> None:
        """Sends a result of a part of the samples."""
        self._check()
        self._channel.send({"id": self._job, "event": "partial", "value": value})
