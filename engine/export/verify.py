"""Whether an export does what the desk showed: its files are read back from disk and run.

Criteria, without optimizations: at least 99.9 % of the samples agree; outputs of at most 8 bits have at least 99.9 % of
their codes within 1 LSB and 55 dB between file and simulation, wider and float outputs 60 dB. The desk's simulation uses
fused float kernels; a network that amplifies their rounding is judged by the same simulation node by node, and both are
stated. With optimizations the figures are reported as they are, with what is known to cause them.
"""
from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort

from engine.data import Dataset
from engine.errors import BadInput
from engine.export.bundle import CERTIFICATE, ENCODINGS, MODEL, QDQ
from engine.export.certificate import Certificate, Check, Divergence, Parity
from engine.export.checks import CHECKS, missing_encodings
from engine.export.folder import write_whole
from engine.export.parity import first_divergence, parities, parity_of
from engine.export.reference import NodeByNode
from engine.export.reread import Bundle, read_bundle
from engine.export.runtime import ON, session_on
from engine.export.statements import statements
from engine.progress import Progress, part, silent
from engine.sim.chain import Chain

AGREEMENT, WITHIN = 0.999, 0.999
DB_NARROW, DB_WIDE = 55.0, 60.0


@dataclass(frozen=True)
class _Ran:
    """What running the files showed; nothing where ONNX Runtime refuses them."""

    parity: tuple[Parity, ...] = ()
    reference: Parity | None = None
    divergence: Divergence | None = None


def verify(folder: Path, data: Dataset, progress: Progress = silent, samples: int | None = None) -> Certificate:
    """Reads an export back, runs it on `data` (the first `samples` of it), and writes `certificate.json` beside it.

    Raises:
        BadInput: a file is missing or unreadable, or the data do not fit the model. What is readable and wrong is a
            check of the certificate that did not pass.
    """
    begin = time.perf_counter()
    folder = Path(folder)
    progress(0.0, f"Reading {folder}")
    bundle = read_bundle(folder)
    data = data.bind(bundle.model.inputs)
    if not len(data):
        raise BadInput(f"{data.name}: no samples to verify on")
    data = data if samples is None or samples >= len(data) else data.take(np.arange(samples))
    checks = [check(bundle) for check in CHECKS]
    chain = Chain(bundle.model)
    ran = _run(bundle, chain, data, checks, progress)
    found = Certificate(
        ran.parity, ran.reference, ran.divergence, missing_encodings(bundle), statements(bundle, chain, data, ran.parity, ran.reference),
        tuple(checks), all(check.passed for check in checks), _sentence(ran, bundle, checks), time.perf_counter() - begin,
        (("onnxruntime", ort.__version__), ("onnx", onnx.__version__)))
    write_whole(folder / CERTIFICATE, json.dumps(found.to_json(), indent=1, ensure_ascii=False) + "\n")
    progress(1.0, "Verified")
    return found


def _run(bundle: Bundle, chain: Chain, data: Dataset, checks: list[Check], progress: Progress) -> _Ran:
    """Runs the file; one that ONNX Runtime refuses, with optimizations or at all, is a check that did not pass."""
    optimized = True
    try:
        session_on(bundle.qdq, ON, QDQ)
    except BadInput as error:
        checks.append(Check("runs with optimizations", False, str(error)))
        optimized = False
    reference, again = NodeByNode(bundle.model, bundle.own), None
    try:
        parity = parities(bundle, chain, data, part(progress, 0.05, 0.7), optimized)
        if list(_misses(parity[0])):
            again = parity_of(bundle, reference, data, part(progress, 0.7, 0.9))
        divergence = first_divergence(bundle, reference, data, part(progress, 0.9, 1.0))
    except BadInput as error:
        checks.append(Check("runs in ONNX Runtime", False, str(error)))
        return _Ran()
    checks.append(_parity_check(parity[0], again))
    words = "no tensor differs" if divergence is None else (
        f"first at {divergence.tensor!r} ({divergence.op_type} {divergence.node}): {divergence.share_beyond:.1%} of its values differ "
        f"by more than {divergence.tolerance_lsb:g} LSB, at most {divergence.max_lsb:.3g}")
    checks.append(Check("tensor by tensor", divergence is None, words))
    return _Ran(parity, again, divergence)


def _parity_check(parity: Parity, reference: Parity | None) -> Check:
    """The criteria of the module, on the simulation as the desk runs it, or node by node where that misses them."""
    problems = list(_misses(reference or parity))
    seen = _figures(parity) if reference is None else f"node by node {_figures(reference)}; with fused kernels {_figures(parity)}"
    return Check("file and simulation agree", not problems, "; ".join(problems) if problems else seen)


def _misses(parity: Parity) -> Iterator[str]:
    if parity.agreement is not None and parity.agreement < AGREEMENT:
        yield f"{parity.agreement:.2%} of the samples agree, expected {AGREEMENT:.1%}"
    for output in parity.outputs:
        narrow = output.bits is not None and output.bits <= 8
        wanted = DB_NARROW if narrow else DB_WIDE
        if output.sqnr_db < wanted:
            yield f"output {output.name!r}: {output.sqnr_db:.1f} dB between file and simulation, expected {wanted:g}"
        if narrow and output.within_1_lsb is not None and output.within_1_lsb < WITHIN:
            yield f"output {output.name!r}: {output.within_1_lsb:.2%} of the codes within 1 LSB, expected {WITHIN:.1%}"


def _figures(parity: Parity) -> str:
    agree = "" if parity.agreement is None else f"{parity.agreement:.2%} of {parity.samples} samples agree, "
    steps = "" if parity.max_lsb is None else f", at most {parity.max_lsb:.3g} LSB apart"
    exact = "bit-equal" if parity.sqnr_db >= 350 else f"{parity.sqnr_db:.1f} dB between file and simulation"
    return f"{agree}{exact}{steps}"


def _sentence(ran: _Ran, bundle: Bundle, checks: list[Check]) -> str:
    failed = [check for check in checks if not check.passed]
    if failed:
        return f"Not proven: {failed[0].name} failed ({failed[0].detail})."
    name = ENCODINGS[next(iter(bundle.contents))]
    proof = next(check.detail for check in checks if check.name == "file and simulation agree")
    optimized = "".join(f" With all optimizations: {_figures(p)}." for p in ran.parity if p.optimizations)
    return f"{QDQ}, run by ONNX Runtime {ort.__version__} as written, does what {MODEL} simulated with {name} does: {proof}.{optimized}"
