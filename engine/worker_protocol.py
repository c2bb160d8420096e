"""The worker's side of its protocol: lines out, and progress with cancellation. Lines in: `worker_inbox`."""
from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Any, BinaryIO

from engine.store import strict_json

_INTERVAL = 0.05


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


class Reporter:
    """The progress of one job: cancels, lets quicker jobs pass, adds the time left, and sends at most twenty lines a second.

    `check` raises `Cancelled` when the job is to stop; `between` runs what goes before it.
    """

    def __init__(self, channel: Channel, job: int, check: Callable[[], None], between: Callable[[], None]) -> None:
        self._channel, self._job, self._check, self._between = channel, job, check, between
        self._begun = time.monotonic()
        self._sent = -1.0

    def __call__(self, fraction: float, message: str) -> None:
        """Reports; raises `Cancelled` when the job is to stop."""
        self._pause()
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

    def _pause(self) -> None:
        """Between two batches. What others take here is not this job's pace."""
        self._check()
        stopped = time.monotonic()
        self._between()
        self._begun += time.monotonic() - stopped
        self._check()
