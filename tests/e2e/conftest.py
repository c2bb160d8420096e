"""A served workbench on a free port with a home of its own, and a real Chromium that must stay quiet."""
from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
ARTIFACTS = ROOT / "artifacts" / "e2e"
FAILED = pytest.StashKey[bool]()
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]


@dataclass
class Desk:
    """A page of the workbench with what its browser complained about."""

    page: Any
    url: str
    home: Path
    complaints: list[str] = field(default_factory=list)


def chromium() -> str | None:
    """Where Chromium is, by its usual names or `MIXDOWN_CHROMIUM`."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    return os.environ.get("MIXDOWN_CHROMIUM") or next((p for n in names if (p := shutil.which(n))), None)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium; without one these tests are skipped loudly, and in CI that is a failure."""
    path = chromium()
    if path is None:
        words = "NO CHROMIUM: the end-to-end tests did not run. Install it (Debian: apt install chromium)"
        if os.environ.get("CI"):
            pytest.fail(words)
        print(f"\n*** {words} ***", file=sys.stderr)
        pytest.skip(words)
    sync = pytest.importorskip("playwright.sync_api")
    with sync.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield found
        found.close()


class Server:
    """The workbench on a free port, with a home that outlives it."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.home, self.log = folder / "home", folder / "server.log"
        self.url = f"http://127.0.0.1:{self.port}/"
        self.command = [sys.executable, "-m", "streamlit", "run", "app/main.py", "--server.port", str(self.port)]

    def start(self) -> None:
        """Serves, and returns once it answers."""
        given = os.environ | {"MIXDOWN_HOME": str(self.home), "MIXDOWN_TOUR": os.environ.get("MIXDOWN_TOUR", "off")}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command, cwd=ROOT, env=given, stdout=log, stderr=log)
        for _ in range(240):
            assert self.process.poll() is None, "the server ended at once"
            try:
                with urllib.request.urlopen(self.url + "_stcore/health", timeout=2):
                    return
            except OSError:
                time.sleep(0.25)
        raise AssertionError("the server did not start within 60 s")

    def kill(self) -> None:
        """Ends it as a crash does."""
        self.process.kill()
        self.process.wait(10)

    def stop(self) -> None:
        """Ends it with everything it started."""
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server of the workbench, for the length of a test."""
    made = Server(tmp_path)
    made.start()
    try:
        yield made
    finally:
        made.stop()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Keeps how the test's call ended, so that the window can be photographed before it is closed."""
    report = yield
    if report.when == "call":
        item.stash[FAILED] = report.failed
    return report


def keep(desk: Desk, name: str) -> None:
    """The window as it is now and what its server and browser said, in `artifacts/e2e`."""
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    desk.page.screenshot(path=ARTIFACTS / f"{name}.png", timeout=10_000)
    log = (desk.home.parent / "server.log").read_text(encoding="utf-8", errors="replace")
    (ARTIFACTS / f"{name}.log").write_text("\n".join([desk.page.url, *desk.complaints, log]), encoding="utf-8")


@pytest.fixture
def desk(request: pytest.FixtureRequest, browser: Any, server: Server) -> Iterator[Desk]:
    """A fresh browser window; console errors and requests that leave the machine fail the test."""
    url, home = server.url, server.home
    context = browser.new_context(viewport={"width": 1440, "height": 900}, accept_downloads=True)
    made = Desk(context.new_page(), url, home)
    inside = (url, url.replace("http", "ws"), "data:", "blob:")
    made.page.set_default_timeout(60_000)
    made.page.on("console", lambda m: made.complaints.append(f"console: {m.text}") if m.type == "error" else None)
    made.page.on("pageerror", lambda e: made.complaints.append(f"page error: {e}"))
    made.page.on("request", lambda r: None if r.url.startswith(inside) else made.complaints.append(f"outside: {r.url[:90]}"))
    yield made
    if request.node.stash.get(FAILED, False):
        keep(made, request.node.name)
    context.close()
    assert made.complaints == []
