"""What one window shows of a page, kept while it is open; and drafts that the hand changes in a component, kept in the home too."""
from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import streamlit as st

from engine.errors import MixdownError

V = TypeVar("V")


@dataclass
class Draft:
    """What every view has whose component sends whole documents.

    Attributes:
        ack, rev: what the documents are answered with: the last one taken, and how often the page changed the draft itself.
        parts: the hashes of static data that this window's component has.
        asked: the worker process that was asked for the list of techniques.
    """

    ack: int = 0
    rev: int = 0
    parts: set[str] = field(default_factory=set)
    asked: int = 0


def of(page: str, project: str, make: Callable[[], V]) -> V:
    """The view of a project on a page in this window, made at its first use."""
    kept: dict[str, V] = st.session_state.setdefault(f"{page}_views", {})
    if project not in kept:
        kept[project] = make()
    return kept[project]


def newer(view: Draft, doc: Any) -> bool:
    """Whether this is a document that the hand made after the last one taken: an older one changes nothing."""
    return isinstance(doc, Mapping) and type(doc.get("seq")) is int and doc["seq"] > view.ack


def keep(client: Any, name: str, value: Any) -> None:
    """Keeps a draft in the home, so that a reload finds it; None forgets it. Where another process writes, or the disk is full, it is
    this window's alone."""
    with contextlib.suppress(MixdownError):
        client.keep_setting(name, value)
