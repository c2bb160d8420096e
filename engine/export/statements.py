"""Truths about runtimes that explain a certificate, in words. Each is a function that has something to say or not.

A cause is named only where it was seen: the node in the graph that ONNX Runtime made, the missing instructions of
this CPU, and the figure with the option that removes the cause.
"""
from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from engine.data import Dataset
from engine.errors import BadInput
from engine.export.bundle import QDQ
from engine.export.certificate import Parity
from engine.export.parity import Run, compare
from engine.export.reread import Bundle
from engine.export.runtime import CLIP_RULE, ON, fails_on_clips, optimized_ops, session_on
from engine.progress import silent
from engine.quant.precision import FP32, Float, Int
from engine.sim.chain import Chain

CLOSE_DB, GAIN_DB = 55.0, 3.0
SAMPLES = 64
ACCURACY = ("session.qdq_matmulnbits_accuracy_level", "1")
PRECISION = ("session.x64quantprecision", "1")


def cpu_flags(path: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """The processor's features; empty where the system does not say."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return frozenset()
    return frozenset(next((line.split(":", 1)[1].split() for line in lines if line.startswith("flags") and ":" in line), []))


@dataclass(frozen=True)
class Context:
    """What statements are made from; `remedied` calls for dB between file and simulation under a session option."""

    bundle: Bundle
    plain: Parity | None
    reference: Parity | None
    optimized: Parity | None
    ops: Counter[str]
    flags: frozenset[str]
    remedied: Callable[[tuple[str, str]], float]

    @property
    def differs(self) -> bool:
        """Whether optimizations change the outputs visibly."""
        return self.optimized is not None and self.optimized.sqnr_db < CLOSE_DB

    def activation_bits(self) -> set[int]:
        """Widths of integer activations."""
        return {e.dtype.bits for e in self.bundle.own.activations.values() if isinstance(e.dtype, Int)}


def amplified(c: Context) -> str:
    """Float rounding that a network amplifies."""
    if c.plain is None or c.reference is None or c.reference.sqnr_db < CLOSE_DB:
        return ""
    return ("The desk simulates with fused float kernels, which round in another order than single nodes; this network, on these data, "
            f"amplifies that to {c.plain.sqnr_db:.1f} dB at its outputs. Simulated node by node it is what the file does "
            f"({'bit-equal' if c.reference.sqnr_db >= 350 else f'{c.reference.sqnr_db:.1f} dB'}).")


def saturation(c: Context) -> str:
    """U8S8 products are added in 16 bits on CPUs without VNNI: named when it is so here and the option helps."""
    if not c.differs or c.optimized is None or not c.flags or any("vnni" in f for f in c.flags) or 8 not in c.activation_bits():
        return ""
    better = c.remedied(PRECISION)
    if better < c.optimized.sqnr_db + GAIN_DB:
        return ""
    return ("With optimizations the 8-bit kernels of ONNX Runtime saturate on this CPU, which has no VNNI instructions: products of "
            "unsigned and signed bytes are added in 16 bits. The export is not at fault; a device, or a CPU with VNNI, does not "
            f"saturate. The session option {'='.join(PRECISION)} gives {better:.1f} dB here instead of {c.optimized.sqnr_db:.1f}.")


def few_bits(c: Context) -> str:
    """DQ of a weight before a MatMul is fused into a kernel that rounds its input to 8 bits."""
    if not c.differs or c.optimized is None or not c.ops["MatMulNBits"]:
        return ""
    return (f"With optimizations ONNX Runtime fuses {c.ops['MatMulNBits']} MatMuls and their weights into MatMulNBits, which rounds "
            f"activations to 8 bits of its own. The session option {'='.join(ACCURACY)} restores the accuracy: {c.remedied(ACCURACY):.1f} "
            f"dB between file and simulation instead of {c.optimized.sqnr_db:.1f}.")


def integer_kernels(c: Context) -> str:
    """Integer kernels and fused approximations round in other places."""
    kernels = sorted(op for op in c.ops if op.startswith(("QLinear", "QGemm", "MatMulInteger", "ConvInteger", "DynamicQuantize")))
    if not c.differs or not kernels:
        return ""
    return (f"With optimizations ONNX Runtime replaces groups of nodes by integer kernels ({', '.join(kernels)}), which round in other "
            "places than the graph says; without optimizations the file is run node by node, and that is what the proof is about.")


def sixteen_bits(c: Context) -> str:
    """No integer kernels at 16 bits on the CPU."""
    if 16 not in c.activation_bits():
        return ""
    return ("16-bit activations: ONNX Runtime has no integer kernels for them on CPUs and computes in float between Q and DQ; a difference "
            "of a few of their steps (1/65535 of a range) is float rounding.")


def few_bit_clips(c: Context) -> str:
    """ONNX Runtime's own rewrite of Clip fails before a quantizer of fewer than 8 bits."""
    if min(c.activation_bits(), default=8) >= 8 or not fails_on_clips(c.bundle.qdq):
        return ""
    return (f"This ONNX Runtime refuses the file with all optimizations: its rule {CLIP_RULE} knows no type of fewer than 8 bits behind a "
            f'Clip. Leave the rule out, as was done here: InferenceSession(…, disabled_optimizers=["{CLIP_RULE}"]).')


def half(c: Context) -> str:
    """fp16 is a storage type here."""
    kinds = {str(e.dtype) for e in (*c.bundle.own.activations.values(), *c.bundle.own.constants.values())
             if isinstance(e.dtype, Float) and e.dtype != FP32}
    if not kinds:
        return ""
    return (f"{' and '.join(sorted(kinds))} tensors are rounded to that type and computed and accumulated in fp32, in the simulation and "
            "in the file: a device that also accumulates in 16 bits differs by more.")


def muted(c: Context) -> str:
    """Bypassed layers are fp16 in the export."""
    return "" if not c.bundle.halved else (
        f"Bypassed layers are exported in fp16, the float type of {c.bundle.recipe.target}; on the desk they are fp32.")


def opset(c: Context) -> str:
    """The QDQ twin's opset."""
    qdq = next((o.version for o in c.bundle.qdq.opset_import if o.domain in ("", "ai.onnx")), c.bundle.model.opset)
    return "" if qdq == c.bundle.model.opset else (
        f"model_qdq.onnx has opset {qdq}, which its data types need; model.onnx keeps opset {c.bundle.model.opset}.")


STATEMENTS: tuple[Callable[[Context], str], ...] = (
    amplified, saturation, few_bits, integer_kernels, sixteen_bits, few_bit_clips, half, muted, opset)


def statements(bundle: Bundle, chain: Chain, data: Dataset, parity: tuple[Parity, ...], reference: Parity | None) -> tuple[str, ...]:
    """All that apply."""
    def remedied(entry: tuple[str, str]) -> float:
        run = Run(bundle, session_on(bundle.qdq, ON, QDQ, entry), True)
        some = data.take(range(min(SAMPLES, len(data))))
        return compare(bundle, chain, some, [run], silent)[0].sqnr_db

    try:
        ops = optimized_ops(bundle.qdq, QDQ)
    except BadInput:  # it does not run with optimizations, which a check says
        ops = Counter()
    plain, optimized = (next((p for p in parity if p.optimizations == on), None) for on in (False, True))
    context = Context(bundle, plain, reference, optimized, ops, cpu_flags(), remedied)
    return tuple(text for say in STATEMENTS if (text := say(context)))
