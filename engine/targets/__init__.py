"""What a runtime can run, where its quantizers go, and which types they take."""

from engine.targets.placement import place
from engine.targets.plan import ActivationPlan, Boundary, LayerPlan, Plan, WeightPlan
from engine.targets.resolve import resolve
from engine.targets.slots import Placement, Slot, WeightSlot
from engine.targets.target import Target, load_target, target_names

__all__ = [
    "ActivationPlan",
    "Boundary",
    "LayerPlan",
    "Placement",
    "Plan",
    "Slot",
    "Target",
    "WeightPlan",
    "WeightSlot",
    "load_target",
    "place",
    "resolve",
    "target_names",
]
