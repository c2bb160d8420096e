"""Colour and type tokens, once, for the page, the components and the figures."""
from __future__ import annotations

from functools import lru_cache
from pathlib import Path

STATIC = Path(__file__).resolve().parent / "static"
PAGE_SHEETS = ("page.css", "projects.css")

EARLY = {"readout": 98, "rack": 440, "layers": 264, "heat": 176, "graph": 240, "plots": 224, "chain": 480, "falls": 280, "gains": 236,
         "mix": 700, "train": 480, "curves": 250, "trials": 280, "setter": 200}
TOKENS: dict[str, dict[str, str]] = {
    "dark": {
        "bg": "#0B0E13", "surface": "#12161D", "chassis": "#191F28", "raised": "#2B3543", "raised2": "#1F2733",
        "line": "#2A333F", "soft": "#1E2530", "text": "#E9EDF3", "text2": "#A3AEBD", "text3": "#8A96A6",
        "accent": "#6CA8FF", "accent-ink": "#07101F", "solo-ink": "#14110A", "select": "rgba(108,168,255,.13)",
        "ok": "#35B3A4", "mid": "#F2B544", "hot": "#F0603F", "hotwash": "rgba(240,96,63,.10)",
        "off": "#262F3B", "lane": "#080A0E", "tick": "#4A5563", "ghost": "#C9D2DE",
        "conv": "#83B7F5", "pw": "#7D86EA", "dw": "#C08AF2", "gemm": "#E98FB5", "se": "#8C9DB1",
        "cap1": "#F3F6FA", "cap2": "#C4CDD8", "base1": "#9BA7B5", "base2": "#7C8896", "capink": "#10151C",
        "shadow": "rgba(0,0,0,.55)",
    },
    "light": {
        "bg": "#E9ECF0", "surface": "#FBFCFD", "chassis": "#F0F2F5", "raised": "#FFFFFF", "raised2": "#F4F6F8",
        "line": "#CFD6DE", "soft": "#E2E6EB", "text": "#141A22", "text2": "#4A5867", "text3": "#5B6879",
        "accent": "#1C64D9", "accent-ink": "#FFFFFF", "solo-ink": "#14110A", "select": "rgba(28,100,217,.11)",
        "ok": "#0E7468", "mid": "#C77F00", "hot": "#CB3B1C", "hotwash": "rgba(203,59,28,.07)",
        "off": "#DCE1E7", "lane": "#CBD2DA", "tick": "#9CA7B3", "ghost": "#3B4755",
        "conv": "#3A7FD9", "pw": "#4A50C8", "dw": "#8C46C6", "gemm": "#BD3D7C", "se": "#64788D",
        "cap1": "#36424F", "cap2": "#1B232C", "base1": "#75828F", "base2": "#5E6B78", "capink": "#FFFFFF",
        "shadow": "rgba(20,26,34,.28)",
    },
}


def tokens(theme: str) -> dict[str, str]:
    """The tokens of a theme; anything unknown is dark."""
    return TOKENS.get(theme, TOKENS["dark"])


def _properties(theme: str) -> str:
    return ";".join(f"--{name}:{value}" for name, value in tokens(theme).items())


def tokens_css() -> str:
    """Custom properties of both themes for a component's shadow root, whose element carries `data-theme`.

    The browser fetches them once as `static/tokens.css`: inline, they would travel with every rerun. After a change here:
    `python -m app.theme`.
    """
    return "".join(f".bm[data-theme={name}]{{{_properties(name)}}}\n" for name in TOKENS)


def early_css(name: str) -> str:
    """The height that a component's root has before its sheets are there, so that the page does not jump."""
    return f".{name}root{{min-height:{EARLY.get(name, 0)}px}}"


@lru_cache(maxsize=4)
def page_css(theme: str) -> str:
    """The page's own sheet: the tokens, and the rules of the sheets that paint Streamlit's widgets."""
    sheets = "\n".join((STATIC / name).read_text(encoding="utf-8") for name in PAGE_SHEETS)
    return f":root{{{_properties(theme)}}}\n{sheets}"


if __name__ == "__main__":
    (STATIC / "tokens.css").write_text(tokens_css(), encoding="utf-8")
