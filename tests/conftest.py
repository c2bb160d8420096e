"""What many tests share: the bundled samples, and small graphs made on the spot."""
from __future__ import annotations

from pathlib import Path

import hypothesis
import pytest

from engine.data import Dataset, load_data
from engine.graph import Model, load_model

hypothesis.settings.register_profile("busy", deadline=None)  # no test fails because the machine does other work
hypothesis.settings.load_profile("busy")

ROOT = Path(__file__).parents[1]
SAMPLES = ("fashion_mobilenet", "fashion_vit")


@pytest.fixture(scope="session", params=SAMPLES)
def sample(request: pytest.FixtureRequest) -> Path:
    """The folder of each bundled sample in turn."""
    return ROOT / "sample_models" / request.param


@pytest.fixture(scope="session")
def mobilenet() -> Path:
    return ROOT / "sample_models" / "fashion_mobilenet"


@pytest.fixture(scope="session")
def sample_model(sample: Path) -> Model:
    return load_model(sample / "model.onnx")


@pytest.fixture(scope="session")
def evaluation(sample: Path) -> Dataset:
    return load_data(sample / "evaluation.npz")


@pytest.fixture(scope="session")
def calibration(sample: Path) -> Dataset:
    return load_data(sample / "calibration.npz")
