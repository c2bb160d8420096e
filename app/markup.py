"""Small pieces of HTML for `st.html`; every text from a model or a file is escaped here."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from app import tooltips


def title(text: str, note: str = "") -> str:
    """A panel's title with a quiet note beside it."""
    return f"<div class=md-t>{escape(text)}<span>{escape(note)}</span></div>"


def heading(text: str) -> str:
    """A small heading in capitals."""
    return f"<div class=md-h>{escape(text)}</div>"


def caption(left: str, right: str = "") -> str:
    """The line over a figure: what it is, and its key number."""
    return f"<div class=md-cap>{escape(left)}<i>{escape(right)}</i></div>"


def text(words: str) -> str:
    """A paragraph."""
    return f"<div class=md-p>{escape(words)}</div>"


def foot(words: str) -> str:
    """A quiet last line."""
    return f"<div class=md-foot>{escape(words)}</div>"


def box(words: str, tone: str = "", more: str = "") -> str:
    """A framed message; `hot` for errors."""
    lines = "<br>".join(escape(line) for line in words.strip().splitlines()[:10])
    extra = f"<br><span>{escape(more)}</span>" if more else ""
    role = "alert" if tone == "hot" else "status"
    return f"<div class='md-box {tone}' role={role}><b>{lines}</b>{extra}</div>"


def pill(words: str, tone: str = "") -> str:
    """A small rounded label."""
    return f"<span class='md-pill {tone}'>{escape(words)}</span>"


def facts(items: Sequence[tuple[str, str, str]], note: Mapping[str, str] | None = None) -> str:
    """Label, number and unit, side by side."""
    notes = note or {}
    cells = "".join(f"<div{_tip(label)}><span>{escape(label)}</span><b>{escape(number)}<small>{escape(unit)}</small></b>"
                    f"<em>{escape(notes.get(label, ''))}</em></div>" for label, number, unit in items)
    return f"<div class=md-facts>{cells}</div>"


def layer_line(name: str, precision: str, about: str, items: Sequence[tuple[str, str, str]]) -> str:
    """The selected layer in one line: name, precision, what it is, its figures."""
    figures = "".join(f"<span{_tip(label)}><i>{escape(label)}</i> {escape(number)} {escape(unit)}</span>" for label, number, unit in items)
    return (f"<div class=md-line title='{escape(about)}'><b>{escape(name)}</b><em>{escape(precision)}</em>"
            f"<span class=a>{escape(about)}</span>{figures}</div>")


def table(columns: Sequence[tuple[str, str]], rows: Sequence[Sequence[Any]], height: int = 0, now: int = -1) -> str:
    """A plain table; a column's class is `n` for numbers, `d` for dim text, `m` for names.

    A cell may be a pair of text and class, which then holds for that cell alone.
    """
    head = "".join(f"<th class={cls or 'm'}{_tip(name)}>{escape(name)}</th>" for name, cls in columns)
    body = "".join(f"<tr{' class=now' if i == now else ''}>{_cells(columns, row)}</tr>" for i, row in enumerate(rows))
    inner = f"<table class=md-table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f"<div class=md-scroll tabindex=0 style='max-height:{height}px'>{inner}</div>" if height else inner


def _tip(label: str) -> str:
    words = tooltips.tip(label)
    return f' title="{escape(words)}"' if words else ""


def _cells(columns: Sequence[tuple[str, str]], row: Sequence[Any]) -> str:
    out = []
    for (_, cls), cell in zip(columns, row, strict=True):
        words, own = cell if isinstance(cell, tuple) else (cell, "")
        out.append(f"<td class='{cls} {own}'>{escape(str(words))}</td>")
    return "".join(out)


def tensor(name: str, role: str, kind: str, span: str, why: str, more: str = "") -> str:
    """A tensor in the inspector: name, type and range on one line, its encoding and the explanation under it."""
    right = "".join(f"<span>{escape(w)}</span>" for w in (role, kind, span) if w)
    said = "".join(f"<p>{escape(w)}</p>" for w in (more, why) if w)
    return f"<div class=md-tensor title='{escape(name)}'><div class=r><b>{escape(name)}</b>{right}</div>{said}</div>"
