"""Where the error builds up: everything on, read at every item's output, in one dual pass a precision."""
from __future__ import annotations

from collections.abc import Callable

from engine.analysis.sensitivity.kinds import SCORES, Item, Question
from engine.analysis.sensitivity.table import Table
from engine.data import Dataset
from engine.progress import Progress, silent
from engine.sim.calibration import fixed_batch
from engine.sim.chain import Chain, batches
from engine.sim.quantization import FLOAT, Quantization

LOCAL = ("sqnr_db", "mse", "cosine")  # scores that mean something at an inner tensor


def cumulative(chain: Chain, question: Question, items: tuple[Item, ...], quantizations: list[Quantization], data: Dataset,
               progress: Progress = silent, batch: int = 2, partial: Callable[[Table], None] | None = None) -> Table:
    """SQNR, MSE and cosine at each item's output with the whole recipe on; values rise and fall along the net."""
    items = tuple(item for item in items if item.output is not None)
    table = Table(question, items)
    watch = tuple(dict.fromkeys(item.output for item in items if item.output))
    total = min(len(data), question.samples)
    size = 1 if fixed_batch(chain) else batch
    for start, stop in batches(total, size):
        progress(start / total, f"sample {start} of {total}")
        feeds = data.batch(start, stop)
        before = chain.run(FLOAT, feeds, watch)
        for p, quantization in enumerate(quantizations):
            after = chain.run(quantization, feeds, watch)
            for i, item in enumerate(items):
                a, b = before[str(item.output)], after[str(item.output)]
                if len(a) == stop - start:
                    table.put(i, p, start, {name: SCORES[name].parts(a, b) for name in LOCAL})
        table.samples = stop
        if partial is not None:
            partial(table)
    progress(1.0, "Done")
    return table
