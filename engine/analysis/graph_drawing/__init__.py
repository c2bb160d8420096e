"""Which nodes and edges of a model are drawn: the network as a person thinks of it."""

from engine.analysis.graph_drawing.drawing import MOST, drawing

__all__ = ["MOST", "drawing"]
