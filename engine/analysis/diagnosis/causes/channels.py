"""Channels that share one scale and should not: a few outliers, or ranges that differ everywhere."""
from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from engine.analysis.diagnosis.channels import Channels, own_grids
from engine.analysis.diagnosis.facts import LayerFacts
from engine.analysis.diagnosis.kinds import Array, Finding, Variant
from engine.analysis.diagnosis.operands import Operand
from engine.analysis.diagnosis.remedies import ideas
from engine.analysis.diagnosis.thresholds import MAX_OUTLIERS, MIN_SEVERITY, OUTLIER_QUANTILE, OUTLIER_RATIO, TWO_BITS
from engine.analysis.diagnosis.words import percent, plural, some, the, way_out

REMEDIES = ("finer_scales", "search_range", "equalize", "smooth", "absorb", "more_bits", "blocks", "bypass")


class OutlierChannels:
    """A few channels set the range of all."""

    id = "outlier_channels"
    general = False

    def probes(self, facts: LayerFacts) -> Mapping[str, Variant]:
        """What if each outlier had a range of its own and the others shared theirs."""
        found: dict[str, Variant] = {}
        for operand, channels in _sharing(facts):
            few = outliers(channels)
            if len(few):
                rest = np.setdiff1d(np.arange(channels.count), few)
                found[f"no_outliers:{operand.name}"] = {operand.name: own_grids(operand, channels.shared([rest]))}
        return found

    def find(self, facts: LayerFacts) -> Iterator[Finding]:
        for operand, channels in _sharing(facts):
            few = outliers(channels)
            severity = facts.gained(operand, f"no_outliers:{operand.name}")
            if not len(few) or severity < MIN_SEVERITY or not facts.noisy:
                continue
            reach = channels.reach
            rest = float(np.delete(reach, few).max())
            ratio = float(reach.max()) / max(rest, 1e-30)
            words = (f"{plural(len(few), 'channel')} of {channels.count} ({some(few.tolist())}) set the range of {the(operand)}: up to "
                     f"{reach.max():.4g}, {ratio:.1f} times as far as all others ({rest:.4g}), which are left with few steps of the shared "
                     f"scale. That makes {percent(severity)} of this layer's noise. "
                     f"{way_out(operand, 'Scales of their own, a', 'A')} range that clips the outliers, or more bits help.")
            evidence = {"outliers": float(len(few)), "channels": float(channels.count), "reach": float(reach.max()),
                        "reach_of_others": rest, "ratio": ratio, "sqnr_db": facts.sqnr_db}
            yield Finding(operand.name, words, severity, evidence, ideas(facts, operand, *REMEDIES))


class RangeImbalance:
    """The ranges of channels differ so much that most use a small part of the shared grid."""

    id = "range_imbalance"
    general = False

    def probes(self, facts: LayerFacts) -> Mapping[str, Variant]:
        """What if each channel had a range of its own."""
        return {f"own:{o.name}": {o.name: own_grids(o, channels)} for o, channels in _sharing(facts) if _unequal(channels)}

    def find(self, facts: LayerFacts) -> Iterator[Finding]:
        for operand, channels in _sharing(facts):
            severity = facts.gained(operand, f"own:{operand.name}")
            if not _unequal(channels) or severity < MIN_SEVERITY or not facts.noisy:
                continue
            median, most = float(np.median(channels.reach[channels.reach > 0])), float(channels.reach.max())
            lost = float(np.log2(most / max(median, 1e-30)))
            words = (f"The channels of {the(operand)} differ in range: half of the {channels.count} stay within {median:.4g}, the widest "
                     f"reaches {most:.4g}, and all share one scale, so that half lose {lost:.1f} bits or more. That makes "
                     f"{percent(severity)} of this layer's noise. {way_out(operand, 'A scale for each channel', 'A narrower range')}, "
                     "or more bits, help.")
            evidence = {"median_reach": median, "reach": most, "ratio": median / most, "bits_lost": lost, "sqnr_db": facts.sqnr_db}
            yield Finding(operand.name, words, severity, evidence, ideas(facts, operand, *REMEDIES))


def _sharing(facts: LayerFacts) -> Iterator[tuple[Operand, Channels]]:
    """Operands whose channels share a scale, with the channels' ranges."""
    for operand in facts.operands:
        if operand.per_tensor and operand.name in facts.channels:
            yield operand, facts.channels[operand.name]


def outliers(channels: Channels) -> Array:
    """The channels that reach far beyond nine in ten of the others; none where they are many."""
    reach = channels.reach
    most = max(1, int(MAX_OUTLIERS * channels.count))
    usual = float(np.sort(reach)[max(channels.count - 1 - most, 0)]) if channels.count < 10 else float(np.quantile(reach, OUTLIER_QUANTILE))
    few: Array = np.flatnonzero(reach > OUTLIER_RATIO * usual)
    return few if usual > 0 and 0 < len(few) <= most else few[:0]


def _unequal(channels: Channels) -> bool:
    """Median against maximum; dead channels do not count, they lose nothing, and outliers are the other cause."""
    alive = channels.reach[channels.reach > 0]
    return len(alive) > 1 and float(np.median(alive)) * TWO_BITS < float(alive.max()) and not len(outliers(channels))
