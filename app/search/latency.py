"""The table of latencies that a person brought: what it covers of this model, what it lacks, and one to fill in."""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.errors import BadInput
from engine.store.latency_file import table_hash

Result = Mapping[str, Any]


@dataclass(frozen=True)
class Table:
    """A project's table.

    Attributes:
        key: the hash by which jobs know it; empty where there is none that can be read.
        rows: how many there are.
        kinds: the op types that they are about.
        error: why a table that is there cannot be used, in words.
    """

    key: str = ""
    rows: int = 0
    kinds: tuple[str, ...] = ()
    error: str = ""


def of(client: Any, project: str) -> Table:
    """The table of a project; an unusable one, as an import may bring, says why."""
    text = client.latency(project)
    if not text:
        return Table()
    try:
        _, rows = client.latency_rows(text)
    except BadInput as error:
        return Table(error=str(error))
    return Table(table_hash(text), len(rows), tuple(dict.fromkeys(op for op, _, _ in rows)))


def take(client: Any, project: str, data: bytes, name: str, needed: Iterable[tuple[str, str]]) -> None:
    """Keeps an uploaded table.

    Raises:
        BadInput: it is none, or an op type has rows but none for a precision that this model's layers may get.
    """
    text, rows = client.latency_rows(data, name)
    _complete(name, rows, needed)
    client.keep_latency(project, text)


def _complete(name: str, rows: Iterable[tuple[str, str, str]], needed: Iterable[tuple[str, str]]) -> None:
    have: dict[str, set[str]] = {}
    for op, precision, _ in rows:
        have.setdefault(op, set()).add(precision)
    lacks = [f"{op} at {precision}" for op, precision in dict.fromkeys(needed) if op in have and precision not in have[op]]
    if lacks:
        more = f" and {len(lacks) - 6} more" if len(lacks) > 6 else ""
        raise BadInput(f"{name}: no row for {', '.join(lacks[:6])}{more}. A layer may get each of these: add them, or leave "
                       "the op type out and its layers count as 0 microseconds")


def cases(layers: Sequence[Result], frontiers: Iterable[Result], offered: Sequence[str]) -> list[tuple[str, str]]:
    """(op type, precision) of all that this model's layers may get: by the options where they are known, else as offered."""
    kinds = {str(x["name"]): str(x.get("op_type") or "") for x in layers}
    found = [(kinds.get(str(row["name"]), ""), str(o["precision"])) for r in frontiers for row in r["layers"] for o in row["options"]]
    found = found or [(kind, p) for kind in kinds.values() for p in offered]
    return sorted({case for case in found if case[0]})


def to_fill_in(found: Iterable[tuple[str, str]]) -> str:
    """The CSV to fill in: a row for each (op type, precision), its microseconds open."""
    return "op_type,precision,shape,microseconds\n" + "".join(f"{op},{precision},,\n" for op, precision in found)


def told(table: Table, layers: Sequence[Result]) -> str:
    """What is charged, in words."""
    if table.error:
        return f"The table cannot be used: {table.error}"
    if not table.key:
        return "No table yet. A budget in microseconds, and the plot by latency, appear with one."
    kinds = [str(x.get("op_type") or "") for x in layers]
    charged = sum(k in table.kinds for k in kinds)
    rest = sorted({k for k in kinds if k not in table.kinds})
    free = f" {', '.join(rest)} have no row and count as 0." if rest else ""
    return (f"{table.rows:,} rows. {charged} of {len(kinds)} layers are charged, each by itself: by its shape where a row has it, else by "
            f"its op type.{free} Ops that are no layers, conversions of type, and what the device overlaps or fuses are not in it.")


def charges(frontiers: Iterable[Result]) -> dict[tuple[str, str], float]:
    """Microseconds by layer and precision, as the engine looked them up."""
    return {(str(row["name"]), str(o["precision"])): float(o.get("latency_us") or 0.0)
            for r in frontiers for row in r["layers"] for o in row["options"]}
