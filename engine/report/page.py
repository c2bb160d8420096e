"""The page itself: sections in order, one style sheet, nothing from outside.

The file states by a content security policy that it loads nothing; pictures and the typeface are inside it.
"""
from __future__ import annotations

import base64
from collections.abc import Callable
from html import escape
from pathlib import Path

from engine.errors import BadInput
from engine.report import appendix, headline, losses, network, proof, repairs, runs, scores, story
from engine.report.facts import Facts
from engine.report.markup import paragraph
from engine.report.values import text

MAX_BYTES = 5_000_000
STYLE = Path(__file__).with_name("report.css")
FONT = Path(__file__).resolve().parents[2] / "app" / "static" / "inter.woff2"  # the workbench's; without it a system font serves
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; base-uri 'none'; form-action 'none'"
Section = tuple[str, Callable[[Facts], str]]
# Title and what draws it; one that draws nothing is left out, title and all.
SECTIONS: tuple[Section, ...] = (
    ("What was done", lambda f: "".join(f"<li>{escape(line)}</li>" for line in story.sentences(f))),
    ("The network", network.strip),
    ("What each step gave", repairs.steps),
    ("Which classes pay for it", losses.classes),
    ("What changed its answer", losses.samples),
    ("Where the loss arises", scores.waterfall),
    ("Among all measured mixes", runs.front),
    ("Proof that the files do what was measured", proof.parity),
    ("The recipe", appendix.recipe),
    ("Versions and hashes", appendix.hashes),
    ("Layer by layer", appendix.layers),
)


def render(facts: Facts) -> str:
    """The whole file as text.

    Raises:
        BadInput: it would be larger than 5 MB.
    """
    body = "".join(_section(title, inner) for title, draw in SECTIONS if (inner := draw(facts)))
    name = headline.title(facts)
    html = (f"<!DOCTYPE html>\n<html lang=en><head><meta charset=utf-8><meta http-equiv=Content-Security-Policy content=\"{POLICY}\">"
            f"<meta name=viewport content='width=device-width, initial-scale=1'><meta name=color-scheme content=light>"
            f"<title>{escape(name)}: quantization report</title><style>{_font()}{STYLE.read_text(encoding='utf-8')}</style></head>"
            f"<body><main>{_head(facts, name)}{headline.numbers(facts)}{body}{_foot()}</main></body></html>\n")
    if len(html.encode()) > MAX_BYTES:
        raise BadInput(f"the report would be {len(html) / 1e6:.1f} MB: expected less than 5; leave out the pictures of samples")
    return html


def _head(facts: Facts, name: str) -> str:
    when = f"<span>{escape(text(facts.made))}</span>" if facts.made else ""
    return (f"<header><div class=brand>{_MARK}Mixdown<span>quantization report</span></div>{when}</header>"
            f"<h1>{escape(name)}</h1>{paragraph(headline.verdict(facts), 'verdict')}")


def _section(title: str, inner: str) -> str:
    body = f"<ul class=story>{inner}</ul>" if inner.startswith("<li>") else inner
    kind = title.split()[-1].lower()
    return f"<section class={escape(kind)}><h2>{escape(title)}</h2>{body}</section>"


def _foot() -> str:
    return ("<footer>Drop: float minus quantized on the same samples, with a paired 95 % interval; one that includes zero is called below "
            "resolution. Size and bit operations are exact, accuracy is measured. This file loads nothing and runs no script.</footer>")


def _font() -> str:
    try:
        data = base64.b64encode(FONT.read_bytes()).decode()
    except OSError:
        return ""
    return f"@font-face{{font-family:Inter;font-weight:100 900;src:url(data:font/woff2;base64,{data}) format('woff2')}}"


def _fader(x: float, y: float) -> str:
    return (f"<rect x='{x}' y='0' width='2' height='16' rx='1' fill='#CFD6DE'/>"
            f"<rect x='{x - 1.5}' y='{y}' width='5' height='4' rx='1' fill='#1C64D9'/>")


_MARK = f"<svg viewBox='0 0 18 16' width=18 height=16 aria-hidden=true>{_fader(2, 8)}{_fader(8, 2)}{_fader(14, 6)}</svg>"
