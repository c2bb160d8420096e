"""Truths about runtimes that explain a certificate, in words. Each is a function that has something to say or not."""
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from engine.export.certificate import Parity
from engine.export.reread import Bundle
from engine.quant.precision import FP32, Float, Int

CLOSE_DB = 55.0


def cpu_flags(path: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """The processor's features; empty where the system does not say."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return frozenset()
    return frozenset(next((line.split(":", 1)[1].split() for line in lines if line.startswith("flags") and ":" in line), []))


def _widths(bundle: Bundle, constants: bool) -> set[int]:
    encodings = bundle.own.constants if constants else bundle.own.activations
    return {e.dtype.bits for e in encodings.values() if isinstance(e.dtype, Int)}


def _differs(parity: tuple[Parity, ...]) -> bool:
    return any(p.optimizations and p.sqnr_db < CLOSE_DB for p in parity)


def saturation(bundle: Bundle, parity: tuple[Parity, ...], flags: frozenset[str]) -> str:
    """U8S8 products are added in 16 bits on CPUs without VNNI."""
    if not _differs(parity) or not flags or any("vnni" in f for f in flags) or 8 not in _widths(bundle, False):
        return ""
    return ("With optimizations the 8-bit kernels of ONNX Runtime saturate on this CPU, which has no VNNI instructions: products of "
            "unsigned and signed bytes are added in 16 bits. The export is not at fault; a device, or a CPU with VNNI, does not saturate. "
            "The session option session.x64quantprecision=1 avoids it here.")


def integer_kernels(bundle: Bundle, parity: tuple[Parity, ...], flags: frozenset[str]) -> str:
    """Integer kernels round in other places."""
    if not _differs(parity) or saturation(bundle, parity, flags):
        return ""
    return ("With optimizations ONNX Runtime replaces groups of nodes by integer kernels and fused approximations, which round in other "
            "places than the graph says; without optimizations the file is run node by node, and that is what the proof is about.")


def four_bits(bundle: Bundle, parity: tuple[Parity, ...], flags: frozenset[str]) -> str:
    """DQ of 4-bit weights before a MatMul is fused."""
    matmuls = {layer.weight for layer in bundle.model.layers if layer.op_type == "MatMul"}
    low = [n for n, e in bundle.own.constants.items() if n in matmuls and isinstance(e.dtype, Int) and e.dtype.bits <= 4]
    if not low or not _differs(parity):
        return ""
    return (f"{len(low)} MatMul weights have at most 4 bits: with optimizations ONNX Runtime may fuse them into MatMulNBits, which rounds "
            "activations to 8 bits; session.qdq_matmulnbits_accuracy_level=1 restores the accuracy.")


def sixteen_bits(bundle: Bundle, parity: tuple[Parity, ...], flags: frozenset[str]) -> str:
    """No integer kernels at 16 bits on the CPU."""
    if 16 not in _widths(bundle, False):
        return ""
    return ("16-bit activations: ONNX Runtime has no integer kernels for them on CPUs and computes in float between Q and DQ; a difference "
            "of a few of their steps (1/65535 of a range) is float rounding.")


def half(bundle: Bundle, parity: tuple[Parity, ...], flags: frozenset[str]) -> str:
    """fp16 is a storage type here."""
    kinds = {str(e.dtype) for e in (*bundle.own.activations.values(), *bundle.own.constants.values())
             if isinstance(e.dtype, Float) and e.dtype != FP32}
    if not kinds:
        return ""
    return (f"{' and '.join(sorted(kinds))} tensors are rounded to that type and computed in fp32, in the simulation and in the file: a "
            "device that also accumulates in 16 bits differs by more.")


def muted(bundle: Bundle, parity: tuple[Parity, ...], flags: frozenset[str]) -> str:
    """Bypassed layers are fp16 in the export."""
    return "" if not bundle.halved else (
        f"Bypassed layers are exported in fp16, the float type of {bundle.recipe.target}; on the desk they are fp32.")


def opset(bundle: Bundle, parity: tuple[Parity, ...], flags: frozenset[str]) -> str:
    """The QDQ twin's opset."""
    qdq = next((o.version for o in bundle.qdq.opset_import if o.domain in ("", "ai.onnx")), bundle.model.opset)
    return "" if qdq == bundle.model.opset else (
        f"model_qdq.onnx has opset {qdq}, which its data types need; model.onnx keeps opset {bundle.model.opset}.")


STATEMENTS: tuple[Callable[[Bundle, tuple[Parity, ...], frozenset[str]], str], ...] = (
    saturation, integer_kernels, four_bits, sixteen_bits, half, muted, opset)


def statements(bundle: Bundle, parity: tuple[Parity, ...]) -> tuple[str, ...]:
    """All that apply."""
    flags = cpu_flags()
    return tuple(text for say in STATEMENTS if (text := say(bundle, parity, flags)))
