"""The browser's own modules, tested in node: the one that comes with the browser driver, so it is always there."""
from __future__ import annotations

import subprocess
from pathlib import Path

import playwright
import pytest

HERE = Path(__file__).resolve().parent / "js"
NODE = Path(playwright.__file__).parent / "driver" / "node"


@pytest.mark.parametrize("file", sorted(HERE.glob("*.test.mjs")), ids=lambda f: f.name.removesuffix(".test.mjs"))
def test_in_node(file: Path) -> None:
    done = subprocess.run([str(NODE), "--test", str(file)], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    assert "# pass 0" not in done.stdout and "tests 0" not in done.stdout, "the file holds no test"
