"""Load, check and simplify ONNX graphs; layers and what they cost; where a graph can be cut."""
from engine.graph.layers import Layer
from engine.graph.model import Model, from_proto, load_model
from engine.graph.tensors import TensorInfo

__all__ = ["Layer", "Model", "TensorInfo", "from_proto", "load_model"]
