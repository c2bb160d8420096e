"""All causes, in the order in which they are looked for: the more particular first."""
from engine.analysis.diagnosis import step_remedies as _step_remedies  # noqa: F401  (importing registers its ideas)
from engine.analysis.diagnosis.causes.channels import OutlierChannels, RangeImbalance
from engine.analysis.diagnosis.causes.data import UnlikeData
from engine.analysis.diagnosis.causes.dead import DeadChannels
from engine.analysis.diagnosis.causes.joins import UnbalancedAdd, UnbalancedConcat
from engine.analysis.diagnosis.causes.parts import Clipping, Rounding
from engine.analysis.diagnosis.kinds import Cause

CAUSES: tuple[Cause, ...] = (UnlikeData(), OutlierChannels(), RangeImbalance(), UnbalancedConcat(), UnbalancedAdd(), Clipping(), Rounding(),
                             DeadChannels())
