"""Components of the second kind (no iframe), registered once per process.

Inline js and css would travel to the browser with every rerun. So the inline part is a loader of a few
lines, and the real files come from `static`, where the browser caches them under their common hash.
"""
from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from app import theme

STATIC = Path(__file__).resolve().parent.parent / "static"
VERSION = hashlib.sha256(b"".join(p.read_bytes() for p in sorted(STATIC.glob("*.[jc]s*")))).hexdigest()[:10]
LOADER = """
const at = f => new URL(`app/static/${f}?v=VERSION`, document.baseURI).href;
const sheet = f => fetch(at(f)).then(r => r.text()).then(t => new CSSStyleSheet().replace(t));
const lib = Promise.all([Promise.all(SCRIPTS.map(f => import(at(f)))), Promise.all(SHEETS.map(sheet))]);
export default async function (c) {
  const [[main, ...rest], css] = await lib, sheets = c.parentElement.adoptedStyleSheets;
  for (const s of css) if (!sheets.includes(s)) sheets.push(s);
  return main.default(c, Object.assign({}, ...rest));
}"""


def loader(scripts: Sequence[str], sheets: Sequence[str]) -> str:
    """The inline script that imports the first of `scripts` and hands it what the others export."""
    js = LOADER.replace("VERSION", VERSION)
    return js.replace("SCRIPTS", str(list(scripts))).replace("SHEETS", str(list(sheets)))


def register(name: str, scripts: Sequence[str], sheets: Sequence[str]) -> Callable[..., Any]:
    """A component whose root element has the class `<name>root`."""
    return st.components.v2.component(name, html=f'<div class="bm {name}root"></div>',
                                      css=theme.early_css(name), js=loader(scripts, ["tokens.css", *sheets]))
