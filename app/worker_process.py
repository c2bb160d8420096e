"""One worker process and the thread that listens to it."""
from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from engine.store import doing

ROOT = Path(__file__).resolve().parent.parent
MAX_LINE = 64_000_000
_LOG_LIMIT = 2_000_000
_KEPT = "Nothing in the project was lost. Restart it to go on."
# Linux ends a worker when the *thread* that started it ends, and a page's threads are short-lived:
# all workers are started from this one, which lives as long as the server.
_STARTER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="worker-starter")


class WorkerProcess:
    """Starts `command`, sends it lines, and calls back with each message and, once, with its end.

    `on_message(self, message)` and `on_exit(self, returncode)` are called from the listening thread.
    """

    def __init__(self, command: list[str], log: Path, on_message: Callable[[WorkerProcess, dict[str, Any]], None],
                 on_exit: Callable[[WorkerProcess, int], None]) -> None:
        self.log = log
        self.ready = False
        self._on_message, self._on_exit = on_message, on_exit
        self._sending = threading.Lock()
        self._process = _STARTER.submit(_start, command, log).result()
        threading.Thread(target=self._listen, daemon=True, name=f"worker-{self.pid}").start()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def send(self, message: dict[str, Any]) -> None:
        """Sends one line; a worker that is gone is reported by `on_exit`, not here."""
        assert self._process.stdin is not None
        with self._sending, contextlib.suppress(OSError, ValueError):
            self._process.stdin.write(json.dumps(message, allow_nan=False).encode() + b"\n")
            self._process.stdin.flush()

    def kill(self) -> None:
        """Ends the process at once."""
        with contextlib.suppress(OSError):
            self._process.kill()

    def close(self, wait: float = 1.0) -> None:
        """Asks the process to end, and ends it if it does not."""
        self.send({"quit": True})
        try:
            self._process.wait(wait)
        except subprocess.TimeoutExpired:
            self.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(2)

    def farewell(self, code: int, verb: str) -> str:
        """Why it ended by itself, in words; `verb` is what it was doing, if anything."""
        while_doing = f" while {doing(verb)}" if verb else ""
        if code < 0:
            return f"The worker process was stopped (signal {-code}){while_doing}. {_KEPT}"
        words = self.last_words()
        said = f" It said: {words}." if words else ""
        if not self.ready:
            return f"The worker process could not start (exit code {code}).{said} {_KEPT}"
        return f"The worker process ended by itself (exit code {code}){while_doing}.{said} {_KEPT}"

    def last_words(self) -> str:
        """The last line that it wrote to its log, for a worker that cannot start."""
        return log_tail(self.log, 1)[:300]

    def _listen(self) -> None:
        assert self._process.stdout is not None
        stream = self._process.stdout
        while line := stream.readline(MAX_LINE + 1):
            if len(line) > MAX_LINE and not line.endswith(b"\n"):
                while line and not line.endswith(b"\n"):
                    line = stream.readline(MAX_LINE)
                continue
            try:
                message = json.loads(line)
            except (ValueError, RecursionError):
                continue  # not ours: a library found a way to print
            if isinstance(message, dict):
                self.ready = self.ready or message.get("event") == "ready"
                self._on_message(self, message)
        self._on_exit(self, self._process.wait())
        stream.close()
        with contextlib.suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()


def log_tail(log: Path, lines: int) -> str:
    """The last lines of a log."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 4000))
            return "\n".join(file.read().decode("utf-8", "replace").strip().splitlines()[-lines:])
    except OSError:
        return ""


def _start(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    log.parent.mkdir(parents=True, exist_ok=True)
    mode = "wb" if log.exists() and log.stat().st_size > _LOG_LIMIT else "ab"
    environment = os.environ | {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"), "PYTHONUNBUFFERED": "1"}
    with log.open(mode) as errors:
        return subprocess.Popen(  # a session of its own: Ctrl-C in the terminal goes to the server alone
            [sys.executable, *command, "--parent", str(os.getpid())], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=errors, cwd=ROOT, env=environment, start_new_session=True)
