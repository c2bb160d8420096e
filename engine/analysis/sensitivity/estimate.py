"""The estimate: scores of all items and precisions from one forward and one backward pass per batch and probe.

To second order the additive score of an error is `1/2 dz' F dz` with `dz = J d` (see `curvature.py`), and a probe
v with `E[v v'] = F` gives `dz' F dz = E[<v, J d>²] = E[<g, d>²]`, `g = J'v` (see `linear_terms.py`). So per sample b

    score_b ~ 1/2 mean over probes of (sum over the item's tensors of <g_b, d_b>)²

The terms of one item are summed before they are squared, because the tensors of an item are changed together: it is
exact for linear graphs. On both samples a sum of squares ranks about as well (within 0.06 either way); its scale is
a few hundredths higher.

Of many samples only those are differentiated that say most (see `sizes.py`): 64 of 256 pictures rank the bundled samples as
well as all 256. A weight of 3 bits or fewer is followed through its activation (see `readers.py`).

Where it is weak, and what must be said beside it:

* rank with it, do not quote it: the graph is taken as linear, and the scale on other samples can be off by a factor of two;
* a score above `FAR` is too large for a second-order model; its row says `rough`, and the answer has a note;
* on five networks the Spearman is .90 to .99 for weights of 8, 4 and 3 bits and activations of 8 and 4, but .80 to .97 at 2 bits;
* at 16 bits of activations it may rank nothing (-.04 on MiniLM, .28 on the transformer): such scores are near float32's own rounding;
* one sample with one probe is a guess; a mean over some dozens is what it is made for. The interval from resampling covers
  the samples and the probes' luck, not the error of linearizing;
* only the first output is looked at, as in the exact sweep, and every node must be differentiable in torch.
"""
from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from engine.analysis.sensitivity.curvature import Signs, class_axis, probe
from engine.analysis.sensitivity.kinds import Array, Item, Question
from engine.analysis.sensitivity.linear_terms import Encodings, Hook, LinearTerms
from engine.analysis.sensitivity.sizes import hardest_first
from engine.analysis.sensitivity.table import Table
from engine.data import Dataset
from engine.errors import UnsupportedOp
from engine.progress import Progress, part, silent
from engine.quant.encoding import Encoding
from engine.sim.calibration import fixed_batch
from engine.sim.chain import batches
from engine.sim.quantization import Quantization
from engine.sim.quantsim import QuantSim
from engine.sim.torch_executor import TorchExecutor

Tensor = torch.Tensor
HELD = 24_000_000  # numbers in the watched tensors of one batch: about 100 MB, and as much again for the backward pass
MOST = 64  # samples a batch
LEAST, SHARE = 32, 8  # so many samples are differentiated, or a batch, or one in eight
ALIKE = 1.2  # sizes are alike when the larger half of them is on average below this
RUN = 4  # samples of a float run
FAR = 0.5  # nats: beyond, the output has changed too much for a second-order model; such scores were off by up to 16 times
Terms = dict[tuple[str, str], Tensor]  # (tensor, key of its encoding) → [probes, n]


def estimate(sim: QuantSim, question: Question, items: tuple[Item, ...], quantizations: Sequence[Quantization], data: Dataset,
             progress: Progress = silent) -> Table:
    """Estimated `kl` of every item at every precision, one value per sample.

    Args:
        sim: the simulation whose float graph is differentiated.
        question: `samples` (the first ones of `data`), `probes` and `seed` count here.
        items: as `items_of` made them for the question's `what`.
        quantizations: one for each precision, everything on.

    Raises:
        UnsupportedOp: a node cannot be differentiated; the message names it and what can be done instead.
    """
    begin = time.perf_counter()
    table = Table(question, items, estimate=True)
    executor = TorchExecutor(sim.model)
    watch = LinearTerms(sim.model, executor.interpreter, *_wanted(items, quantizations))
    name = sim.model.outputs[0].name
    table.far = FAR if class_axis(sim.model.shapes.get(name, ())) is not None else np.inf
    size = 1 if fixed_batch(sim.chain) else batch_size(watch, data, name)
    some = data.take(range(min(question.samples, len(data))))
    data, table.sizes, levels = _telling(sim, some, size, part(progress, 0.0, 0.1))
    progress, count = part(progress, 0.1, 1.0), len(data)
    random = Signs(question.seed, question.probes)
    for start, stop in batches(count, size):
        progress(start / count, f"Estimating on sample {start} of {count}")
        terms = _batch(watch, _feeds(data, start, stop), stop - start, name, random, sim.model.name)
        _score(table, terms, quantizations, start, levels[start:stop])
        table.samples, table.seconds = stop, time.perf_counter() - begin
    progress(1.0, f"Estimated on {count} samples")
    return table


def notes(table: Table) -> list[str]:
    """What must be said beside the numbers of this estimate."""
    far = int((table.value("kl") > table.far).sum()) if "kl" in table.parts else 0
    if not far:
        return []
    return [f"{far} of {table.count().astype(bool).sum()} estimates exceed {table.far:g} nats, too far for a second-order model: "
            "their order says more than their size. Exact scores settle both."]


def _telling(sim: QuantSim, data: Dataset, batch: int, progress: Progress) -> tuple[Dataset, Array | None, Array]:
    """The samples that are differentiated, the sizes of all in the order that begins with them, and a factor for each of them.

    They are spread over the half with the larger sizes and are no more than that; the others cost a float run. With its factor
    each sample's ratio to its size has one vote: its estimate is the square of one random direction, and the few largest would
    decide. Where all are alike, samples from everywhere are taken: neighbours in a file may be of one class.
    """
    count, most = len(data), max(LEAST, min(batch, MOST), -(-len(data) // SHARE))
    if count <= LEAST:
        return data, None, np.ones(count)
    order, sizes = hardest_first(sim.chain, data, RUN, progress)
    half = max(-(-count // 2), LEAST)
    if sizes is None or sizes[:half].sum() < ALIKE * half:
        spread = np.linspace(0, count - 1, min(count, most)).round().astype(np.int64)
        return data.take(spread), None, np.ones(len(spread))
    picked = np.linspace(0, half - 1, min(half, most)).round().astype(np.int64)
    sizes = np.concatenate([sizes[picked], np.delete(sizes, picked)])
    return data.take(order[picked]), sizes, sizes[: len(picked)].mean() / sizes[: len(picked)]


def _wanted(items: Sequence[Item], quantizations: Sequence[Quantization]) -> tuple[Encodings, Encodings]:
    """The different encodings of each tensor and constant of the items: precisions that share one are computed once."""
    activations: dict[str, dict[str, Encoding]] = defaultdict(dict)
    constants: dict[str, dict[str, Encoding]] = defaultdict(dict)
    for quantization in quantizations:
        for item in items:
            for names, encodings, found in ((item.activations, quantization.activations, activations),
                                            (item.constants, quantization.constants, constants)):
                for name in names:
                    if name in encodings:
                        found[name][encodings[name].key()] = encodings[name]
    return activations, constants


def batch_size(watch: LinearTerms, data: Dataset, output: str) -> int:
    """Samples a batch: as many as fit, or one where a watched tensor does not have the samples along its first axis.

    Tensors without samples (positions looked up once for all) have one gradient for the whole batch, and in tensors
    with the samples along another axis they cannot be told apart; with one sample a batch both are exact.
    """
    if len(data) < 2:
        return 1
    one, two = (_shapes(watch, _feeds(data, 0, n), output) for n in (1, 2))
    used = [n for n in one if n in watch.activations or n in watch.readers or n == output]
    if any(not one[n] or two[n] != (2 * one[n][0], *one[n][1:]) for n in used):
        return 1
    return int(np.clip(HELD // max(sum(int(np.prod(shape)) for shape in one.values()), 1), 1, MOST))


def _shapes(watch: LinearTerms, feeds: Mapping[str, Tensor], output: str) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}

    def noting(name: str) -> Hook:
        def note(tensor: Tensor) -> Tensor:
            found[name] = tuple(tensor.shape)
            return tensor
        return note

    with torch.no_grad():
        watch.interpreter.run(feeds, (output,), {name: noting(name) for name in watch.tensors | {output}})
    return found


def _batch(watch: LinearTerms, feeds: Mapping[str, Tensor], count: int, output: str, random: Signs, model: str) -> Terms:
    """The linear terms of one batch: one forward pass, and one backward pass a probe."""
    with torch.enable_grad():
        found = watch.interpreter.run(feeds, (output,), watch.hooks(count))[output]
    if not found.is_floating_point():
        raise UnsupportedOp(f"{model} cannot be differentiated: its output {output!r} is {found.dtype}, expected float scores. "
                            "It can still be swept exactly.")
    if not found.requires_grad:
        return {}  # none of the items reaches the output
    terms: dict[tuple[str, str], list[Tensor]] = defaultdict(list)
    directions = random.draw(tuple(found.shape))
    for i, xi in enumerate(directions):
        watch.backward(found, probe(found, xi.to(found.device)), again=i + 1 < len(directions))
        for key, term in watch.found.items():
            terms[key].append(term.cpu())
    return {key: torch.stack(parts).double() for key, parts in terms.items()}


def _score(table: Table, terms: Terms, quantizations: Sequence[Quantization], start: int, levels: Array) -> None:
    """`1/2 mean (sum of terms)²` times its factor into the table, for the samples of one batch."""
    for p, quantization in enumerate(quantizations):
        for i, item in enumerate(table.items):
            pairs = [*((n, quantization.activations.get(n)) for n in item.activations),
                     *((n, quantization.constants.get(n)) for n in item.constants)]
            found = [terms[n, e.key()] for n, e in pairs if e is not None and (n, e.key()) in terms]
            values = 0.5 * torch.stack(found).sum(0).square().mean(0).numpy() * levels if found else np.zeros(len(levels))
            table.put(i, p, start, {"kl": values})


def _feeds(data: Dataset, start: int, stop: int) -> dict[str, Tensor]:
    return {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in data.batch(start, stop).items()}
