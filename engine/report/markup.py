"""Pieces of HTML; texts are escaped here, so that no name ever becomes markup."""
from __future__ import annotations

from html import escape


def paragraph(words: str, style: str = "") -> str:
    """A paragraph of plain text."""
    return f"<p{f' class={style}' if style else ''}>{escape(words)}</p>"
