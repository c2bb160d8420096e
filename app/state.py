"""The state of one browser session, typed; the project itself lives in the store.

Functions that change a `Desk` are pure enough to test without Streamlit; only the last few touch it.
"""
from __future__ import annotations

import gc
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from app.rack_edits import Memory

PAGES = {"projects": "Projects", "model": "Model", "desk": "Desk", "sensitivity": "Sensitivity", "repair": "Repair",
         "train": "Train", "search": "Search", "compare": "Compare", "export": "Export", "report": "Report"}


@dataclass
class Desk:
    """What one window shows of one project: selection, open drawers, the last message."""

    selected: list[int] = field(default_factory=lambda: [0])
    current: int = 0
    ack: int = 0
    rev: int = 0
    drawer: bool = False
    side: str = "Table"
    solo: list[int] = field(default_factory=list)
    rack: Memory = field(default_factory=Memory)
    tensor: str = ""
    error: str = ""
    notice: str = ""
    recipe_error: str = ""
    moved_at: float = 0.0  # of the last edit here, on the machine's monotonic clock
    readied: int = 0  # the worker process that was asked to get ready


@dataclass(frozen=True)
class Went:
    """The last way from page to page: the address that was left, the page, and when, on the machine's monotonic clock."""

    left: Mapping[str, str]
    page: str
    at: float


@dataclass
class Window:
    """What one browser window knows: where to go next, and a desk for each project it has opened."""

    goto: str = ""
    went: Went | None = None
    project: str = ""
    error: str = ""
    desks: dict[str, Desk] = field(default_factory=dict)

    def desk(self, project: str) -> Desk:
        """The desk of a project, made at its first use."""
        return self.desks.setdefault(project, Desk())


def take_selection(desk: Desk, doc: Mapping[str, Any] | None, count: int) -> bool:
    """The table's whole selection; an older document than the last one taken changes nothing."""
    if not doc or int(doc.get("seq", 0)) <= desk.ack:
        return False
    chosen: Sequence[Any] = doc.get("sel") or []
    desk.selected = sorted({int(i) for i in chosen if 0 <= int(i) < count})
    desk.current = min(max(int(doc.get("cur", 0)), 0), max(count - 1, 0))
    desk.ack = int(doc["seq"])
    return True


def moved(desk: Desk, error: str = "") -> None:
    """After an edit: the table's own marks are answered, and an error, if any, is shown."""
    desk.rev += 1
    desk.moved_at = time.monotonic()
    desk.error = error


def window() -> Window:
    """This browser window's state."""
    if "window" not in st.session_state:
        st.session_state["window"] = Window()
    found: Window = st.session_state["window"]
    return found


def page() -> str:
    """The page in the address, `projects` where it names none."""
    asked = str(st.query_params.get("page", ""))
    return asked if asked in PAGES else "projects"


def address(page_name: str, project: str) -> dict[str, str]:
    """The query of a page."""
    return {"page": page_name} | ({"project": project} if project and page_name != "projects" else {})


def project_id() -> str:
    """The project in the address, else the last one of this window."""
    return str(st.query_params.get("project") or window().project)


def theme() -> str:
    """`dark` or `light`, as the browser shows it now."""
    return "light" if st.context.theme.type == "light" else "dark"


@st.cache_resource(show_spinner=False)
def client() -> Any:
    """The only door to the engine, one for the server process."""
    from app.client import Client

    gc.collect()
    gc.freeze()  # what is loaded by now stays: looking for garbage among it too would hold up a run for a tenth of a second
    return Client(writer=f"the workbench at http://{st.config.get_option('server.address')}:{st.config.get_option('server.port')}")
