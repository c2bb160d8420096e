"""Why a layer loses accuracy, in words, from measured facts; with the remedies that the recipe offers for it."""
from engine.analysis.diagnosis.change import apply_change
from engine.analysis.diagnosis.diagnose import diagnose
from engine.analysis.diagnosis.kinds import Diagnosis, Remedy

__all__ = ["Diagnosis", "Remedy", "apply_change", "diagnose"]
