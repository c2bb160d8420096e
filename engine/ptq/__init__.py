"""Post-training techniques: one file each, one signature, registered by the type of their config."""
from engine.ptq import absorb_bias as _absorb_bias  # noqa: F401  (importing registers the technique)
from engine.ptq import adaround as _adaround  # noqa: F401  (importing registers the technique)
from engine.ptq import auto as _auto  # noqa: F401  (importing registers the technique)
from engine.ptq import bias_correction as _bias_correction  # noqa: F401  (importing registers the technique)
from engine.ptq import bn_reestimation as _bn_reestimation  # noqa: F401  (importing registers the technique)
from engine.ptq import cle as _cle  # noqa: F401  (importing registers the technique)
from engine.ptq import fold_batch_norm as _fold_batch_norm  # noqa: F401  (importing registers the technique)
from engine.ptq import gptq as _gptq  # noqa: F401  (importing registers the technique)
from engine.ptq import seq_mse as _seq_mse  # noqa: F401  (importing registers the technique)
from engine.ptq import smooth_quant as _smooth_quant  # noqa: F401  (importing registers the technique)
from engine.ptq.technique import LayerChange, StepReport, apply_step, apply_steps, available, registered, setting, steps_of, unrounded

__all__ = ["LayerChange", "StepReport", "apply_step", "apply_steps", "available", "registered", "setting", "steps_of", "unrounded"]
