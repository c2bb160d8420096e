"""Read an ONNX file that nobody vouches for.

Rules, in the order they are applied (each error cites the file and the value that broke it):
1. the file exists, is no larger than `MAX_FILE_BYTES`, and parses as an ONNX ModelProto;
2. every initializer's claimed size fits what the file (or the external file) really holds, before
   anything is allocated;
3. external data lies inside the model's folder, following symbolic links;
4. control flow, sequences, already quantized graphs and non-float32 weights of layers are refused
   with the node that stands in the way;
5. the ONNX checker accepts the graph.
"""
from __future__ import annotations

import hashlib
import math
import os
from pathlib import Path

import google.protobuf.message
import onnx
import onnx.checker
import onnx.helper

from engine.errors import BadInput

MAX_FILE_BYTES = 2 * 1024**3 - 1  # protobuf's own limit: larger models keep their weights beside the file
MAX_EXTERNAL_BYTES = 16 * 1024**3
REFUSED = {
    "If": "control flow", "Loop": "control flow", "Scan": "control flow",
    "SequenceConstruct": "sequences", "SequenceAt": "sequences", "SplitToSequence": "sequences",
    "QuantizeLinear": "an already quantized graph", "DequantizeLinear": "an already quantized graph",
    "DynamicQuantizeLinear": "an already quantized graph", "MatMulInteger": "an already quantized graph",
    "ConvInteger": "an already quantized graph", "QLinearConv": "an already quantized graph",
    "QLinearMatMul": "an already quantized graph", "MatMulNBits": "an already quantized graph",
}


def read_proto(path: Path, quantized: bool = False) -> tuple[onnx.ModelProto, str]:
    """The checked ModelProto with its external data loaded, and the sha256 of the file.

    Args:
        quantized: take graphs with QuantizeLinear and DequantizeLinear (a QDQ export that is read back).

    Raises:
        BadInput: when one of the module's rules is broken.
    """
    if not path.is_file():
        raise BadInput(f"{path}: no such model file; expected an ONNX file (.onnx)")
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        raise BadInput(f"{path}: {size:,} bytes; an ONNX file holds at most {MAX_FILE_BYTES:,} (save the weights as external data)")
    raw = path.read_bytes()
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(raw)
    except (google.protobuf.message.DecodeError, ValueError) as error:
        raise BadInput(f"{path}: not an ONNX model (the bytes do not parse: {str(error)[:120]}); expected an ONNX ModelProto") from None
    if not proto.graph.node and not proto.graph.output:
        raise BadInput(f"{path}: not an ONNX model ({size:,} bytes hold no graph); expected an ONNX ModelProto")
    if not proto.opset_import:
        raise BadInput(f"{path}: the model names no opset; expected an import of the default ONNX domain")
    _check_sizes(proto, path)
    _refuse_ops(proto, path, ("QuantizeLinear", "DequantizeLinear") if quantized else ())
    _load_external(proto, path)
    _check(proto, path)
    return proto, hashlib.sha256(raw).hexdigest()


def _check_sizes(proto: onnx.ModelProto, path: Path) -> None:
    """Rule 2: an initializer may claim terabytes; nothing is allocated for it before this."""
    for tensor in _tensors(proto):
        if any(d < 0 for d in tensor.dims):
            raise BadInput(f"{path}: initializer {tensor.name!r} has a negative dimension: {list(tensor.dims)}")
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            continue
        claimed = math.prod(tensor.dims)
        held = len(tensor.raw_data) * 8 // max(_bits(tensor, path), 1) if tensor.raw_data else max(
            len(tensor.float_data), len(tensor.int32_data) * 8, len(tensor.int64_data),
            len(tensor.double_data), len(tensor.uint64_data), len(tensor.string_data))
        if claimed > held:
            raise BadInput(f"{path}: initializer {tensor.name!r} claims {claimed:,} values {list(tensor.dims)} "
                           f"but the file holds {held:,}; the file is damaged or hostile")


def _tensors(proto: onnx.ModelProto) -> list[onnx.TensorProto]:
    tensors = list(proto.graph.initializer)
    for node in proto.graph.node:
        for attribute in node.attribute:
            tensors += [attribute.t] if attribute.HasField("t") else list(attribute.tensors)
    return tensors


def _bits(tensor: onnx.TensorProto, path: Path) -> int:
    if tensor.data_type == onnx.TensorProto.STRING:
        return 8
    try:
        name = onnx.TensorProto.DataType.Name(tensor.data_type)
        if name in ("INT4", "UINT4", "FLOAT4E2M1"):
            return 4
        if name in ("INT2", "UINT2"):
            return 2
        return int(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize * 8)
    except (KeyError, ValueError, TypeError):
        raise BadInput(f"{path}: initializer {tensor.name!r} has the unknown data type {tensor.data_type}") from None


def _refuse_ops(proto: onnx.ModelProto, path: Path, taken: tuple[str, ...]) -> None:
    for node in proto.graph.node:
        if node.op_type in REFUSED and node.op_type not in taken:
            raise BadInput(f"{path}: node {node.name or node.op_type!r} is {node.op_type} ({REFUSED[node.op_type]}); "
                           "expected a float graph without control flow: export the model again without it")


def _load_external(proto: onnx.ModelProto, path: Path) -> None:
    """Rule 3: only files inside the model's folder, each range inside its file, the total bounded."""
    folder, total = path.resolve().parent, 0
    for tensor in _tensors(proto):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        entry = {item.key: item.value for item in tensor.external_data}
        where = entry.get("location", "")
        target = (folder / where).resolve()
        if not where or os.path.isabs(where) or not target.is_relative_to(folder):
            raise BadInput(f"{path}: initializer {tensor.name!r} reads external data from {where!r}, outside the model's folder; "
                           "put the file beside the model")
        if not target.is_file():
            raise BadInput(f"{path}: initializer {tensor.name!r} needs the external file {where!r}, which is not beside the model")
        total += _read_range(tensor, entry, target, path)
        if total > MAX_EXTERNAL_BYTES:
            raise BadInput(f"{path}: more than {MAX_EXTERNAL_BYTES:,} bytes of external data")


def _read_range(tensor: onnx.TensorProto, entry: dict[str, str], target: Path, path: Path) -> int:
    try:
        offset, length = int(entry.get("offset", 0)), int(entry.get("length", 0))
    except ValueError:
        raise BadInput(f"{path}: initializer {tensor.name!r} has external offset or length that are no numbers: {entry}") from None
    needed = (math.prod(tensor.dims) * _bits(tensor, path) + 7) // 8
    length = length or needed
    held = target.stat().st_size
    if offset < 0 or length != needed or offset + length > held:
        raise BadInput(f"{path}: initializer {tensor.name!r} {list(tensor.dims)} needs {needed:,} bytes at {offset:,} of "
                       f"{target.name!r}, which holds {held:,} (the entry says {length:,})")
    with target.open("rb") as file:
        file.seek(offset)
        tensor.raw_data = file.read(length)
    tensor.data_location = onnx.TensorProto.DEFAULT
    del tensor.external_data[:]
    return length


def _check(proto: onnx.ModelProto, path: Path) -> None:
    """Rule 5, on a copy without the weights' bytes where the proto is too large to be checked whole."""
    try:
        onnx.checker.check_model(proto, full_check=False)
    except onnx.checker.ValidationError as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        raise BadInput(f"{path}: not a valid ONNX graph: {' '.join(lines)[:300]}") from None
    except (ValueError, RuntimeError, google.protobuf.message.EncodeError) as error:
        raise BadInput(f"{path}: the ONNX checker refuses the graph: {str(error)[:300]}") from None
