"""Notes that steps leave in nodes' metadata for later steps. They are the desk's own business: exported files carry none."""
from __future__ import annotations

import onnx

PREFIX = "mixdown."


def without_notes(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The model without notes: itself where there are none, else a copy."""
    if not any(_noted(node) for node in proto.graph.node):
        return proto
    found = onnx.ModelProto()
    found.CopyFrom(proto)
    for node in found.graph.node:
        kept = [entry for entry in node.metadata_props if not entry.key.startswith(PREFIX)]
        del node.metadata_props[:]
        node.metadata_props.extend(kept)
    return found


def _noted(node: onnx.NodeProto) -> bool:
    return any(entry.key.startswith(PREFIX) for entry in node.metadata_props)
