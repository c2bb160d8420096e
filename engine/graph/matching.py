"""A small matcher for subgraphs: terms that are written as the formula they stand for.

`Op("Mul", X, Op("Sigmoid", X))` matches the output of such a Mul; the same leaf must be the same
tensor. Matching goes from an output backwards, tries both orders of commutative operands, and takes
a match only when no inner tensor is read from outside.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import onnx_ir as ir

from engine.graph.layers import constant_shape

COMMUTATIVE = frozenset({"Add", "Mul", "Max", "Min"})


@dataclass(frozen=True)
class Leaf:
    """Any tensor under a name; `constant` asks that it is one (True) or is none (False)."""

    name: str
    constant: bool | None = None


@dataclass(frozen=True)
class Scalar:
    """A constant with one value; `about` asks for that value within a thousandth."""

    about: float | None = None


class Op:
    """A node of one of some types (`A|B`) whose first inputs match; further inputs are not looked at."""

    def __init__(self, types: str, *args: Term):
        self.types = frozenset(types.split("|"))
        self.args = args


class OneOf:
    """The first of some terms that matches."""

    def __init__(self, *terms: Term):
        self.terms = terms


Term = Leaf | Scalar | Op | OneOf


@dataclass(frozen=True)
class Match:
    """Leaves by name, and the nodes that were passed."""

    leaves: Mapping[str, ir.Value] = field(default_factory=dict)
    nodes: tuple[ir.Node, ...] = ()


def find_match(term: Term, output: ir.Value) -> Match | None:
    """The first match of the term at a tensor whose inner tensors are read nowhere else."""
    return next((m for m in _match(term, output, Match()) if closed(m.nodes, output)), None)


def closed(nodes: tuple[ir.Node, ...], output: ir.Value) -> bool:
    """Whether only `output` leaves the nodes."""
    inside = {id(node) for node in nodes}
    for node in nodes:
        for value in node.outputs:
            if value is not output and (
                value.is_graph_output() or any(id(user) not in inside for user, _ in value.uses())
            ):
                return False
    return True


def scalar(value: ir.Value | None) -> float | None:
    """The value of a constant with exactly one, else None."""
    if value is None or value.const_value is None or any(d != 1 for d in constant_shape(value)):
        return None
    return float(value.const_value.numpy().reshape(-1)[0])


def _match(term: Term, value: ir.Value | None, so_far: Match) -> Iterator[Match]:
    if value is None:
        return
    if isinstance(term, OneOf):
        for choice in term.terms:
            yield from _match(choice, value, so_far)
    elif isinstance(term, Leaf):
        yield from _match_leaf(term, value, so_far)
    elif isinstance(term, Scalar):
        number = scalar(value)
        if number is not None and (
            term.about is None or abs(number - term.about) <= 1e-3 * max(1.0, abs(term.about))
        ):
            yield so_far
    else:
        yield from _match_op(term, value, so_far)


def _match_leaf(term: Leaf, value: ir.Value, so_far: Match) -> Iterator[Match]:
    bound = so_far.leaves.get(term.name)
    if bound is not None:
        if bound is value:
            yield so_far
    elif term.constant is None or term.constant == (value.const_value is not None):
        yield Match({**so_far.leaves, term.name: value}, so_far.nodes)


def _match_op(term: Op, value: ir.Value, so_far: Match) -> Iterator[Match]:
    node = value.producer()
    if (
        node is None
        or node.op_type not in term.types
        or value is not node.outputs[0]
        or len(node.inputs) < len(term.args)
    ):
        return
    here = Match(
        so_far.leaves, so_far.nodes if any(n is node for n in so_far.nodes) else (*so_far.nodes, node)
    )
    orders = [term.args]
    if node.op_type in COMMUTATIVE and len(term.args) == 2 and len(node.inputs) == 2:
        orders.append(term.args[::-1])
    for order in orders:
        yield from _match_all(order, tuple(node.inputs), here)


def _match_all(
    terms: tuple[Term, ...], values: tuple[ir.Value | None, ...], so_far: Match
) -> Iterator[Match]:
    if not terms:
        yield so_far
        return
    for found in _match(terms[0], values[0], so_far):
        yield from _match_all(terms[1:], values[1:], found)
