"""The bundled samples: disjoint labelled data, a graph worth quantizing, and the accuracy that the cards state."""
from __future__ import annotations

import ast
import json
import re
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import yaml
from numpy.typing import NDArray

ROOT = Path(__file__).parents[2] / "sample_models"
SAMPLES = ("fashion_mobilenet", "fashion_vit")
SETS = {"calibration": 1_024, "training": 10_000, "evaluation": 2_000}
FLOORS = {"fashion_mobilenet": 0.91, "fashion_vit": 0.89}
MEGABYTE = 2**20
every_sample = pytest.mark.parametrize("sample", SAMPLES)


@cache
def arrays(sample: str, name: str) -> dict[str, NDArray[np.generic]]:
    with np.load(ROOT / sample / f"{name}.npz", allow_pickle=False) as file:
        return {key: file[key] for key in file.files}


@cache
def graph(sample: str) -> onnx.GraphProto:
    return onnx.load(ROOT / sample / "model.onnx").graph


def layers(sample: str) -> list[str]:
    weights = {initializer.name for initializer in graph(sample).initializer}
    ops = ("Conv", "Gemm", "MatMul")
    return [node.name for node in graph(sample).node if node.op_type in ops and node.input[1] in weights]


@every_sample
@pytest.mark.parametrize("name", SETS)
def test_sets_have_their_size_and_types(sample: str, name: str) -> None:
    data = arrays(sample, name)
    assert set(data) == {"image", "labels", "scaling"} | ({"classes"} if name == "evaluation" else set())
    assert data["image"].shape == (SETS[name], 1, 28, 28) and data["image"].dtype == np.uint8
    assert data["labels"].shape == (SETS[name],) and data["labels"].dtype == np.int64
    assert set(data["labels"].tolist()) == set(range(10))


@every_sample
def test_scaling_maps_bytes_to_the_unit_interval(sample: str) -> None:
    for name in SETS:
        scaling = json.loads(arrays(sample, name)["scaling"].tobytes())
        assert scaling == {"image": {"scale": 1 / 255, "offset": 0.0, "dtype": "float32"}}


@every_sample
def test_no_image_occurs_twice(sample: str) -> None:
    keys = [image.tobytes() for name in SETS for image in arrays(sample, name)["image"]]
    assert len(set(keys)) == len(keys) == sum(SETS.values())


@every_sample
def test_files_stay_small(sample: str) -> None:
    assert (ROOT / sample / "training.npz").stat().st_size < 5 * MEGABYTE
    assert (ROOT / sample / "model.onnx").stat().st_size < MEGABYTE


def test_all_samples_together_stay_small() -> None:
    assert sum(file.stat().st_size for file in ROOT.rglob("*") if file.is_file()) < 15 * MEGABYTE


@every_sample
def test_graph_has_one_input_and_output_with_a_free_batch(sample: str) -> None:
    (image,), (logits,) = graph(sample).input, graph(sample).output
    assert (image.name, logits.name) == ("image", "logits")
    shape = image.type.tensor_type.shape.dim
    assert shape[0].dim_param == "batch" and [d.dim_value for d in shape[1:]] == [1, 28, 28]
    (opset,) = onnx.load(ROOT / sample / "model.onnx").opset_import
    assert opset.domain == "" and opset.version == 21


def test_mobilenet_keeps_batch_normalization() -> None:
    ops = Counter(node.op_type for node in graph("fashion_mobilenet").node)
    assert ops["BatchNormalization"] == ops["Conv"] > 15
    assert ops["Clip"] > 10 and ops["Add"] >= 2 and ops["Gemm"] == 1


def test_vit_shows_its_attention() -> None:
    ops = Counter(node.op_type for node in graph("fashion_vit").node)
    assert ops["Softmax"] == ops["Gelu"] - 1 >= 3 and ops["LayerNormalization"] >= 7
    dynamic = ops["MatMul"] + ops["Gemm"] + ops["Conv"] - len(layers("fashion_vit"))
    assert dynamic == 2 * ops["Softmax"]


@every_sample
def test_nodes_have_names_and_module_scopes(sample: str) -> None:
    names = [node.name for node in graph(sample).node]
    assert len(set(names)) == len(names) and all(re.fullmatch(r"[a-z]\w*(\.\w+)*", name) for name in names)
    for node in graph(sample).node:
        metadata = {entry.key: entry.value for entry in node.metadata_props}
        scopes = ast.literal_eval(metadata["pkg.torch.onnx.name_scopes"])
        assert node.name not in layers(sample) or node.name in scopes


@every_sample
def test_no_machine_path_is_left(sample: str) -> None:
    for file in (ROOT / sample).iterdir():
        assert file.suffix == ".npz" or not re.search(rb"/(home|root|work|tmp|Users)/", file.read_bytes()), file.name


@every_sample
def test_recipe_names_at_most_half_of_the_layers(sample: str) -> None:
    recipe = yaml.safe_load((ROOT / sample / "mixed.yaml").read_text())
    assert recipe["mixdown"] == 1 and recipe["model"]["path"] == "model.onnx"
    assert set(recipe["layers"]) <= set(layers(sample))
    assert len(recipe["layers"]) <= len(layers(sample)) / 2


@every_sample
def test_accuracy_is_above_its_floor(sample: str) -> None:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(ROOT / sample / "model.onnx", options, providers=["CPUExecutionProvider"])
    data = arrays(sample, "evaluation")
    images = data["image"].astype(np.float32) / np.float32(255)
    scores = np.concatenate([session.run(None, {"image": part})[0] for part in np.split(images, 20)])
    assert (scores.argmax(1) == data["labels"]).mean() >= FLOORS[sample]
