"""From a simulation to files for devices, and the proof that they do what the desk showed."""
from engine.export.bundle import ExportedFile, export
from engine.export.certificate import Certificate
from engine.export.kits import commands
from engine.export.verify import verify

__all__ = ["Certificate", "ExportedFile", "commands", "export", "verify"]
