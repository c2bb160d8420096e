"""The stakeholder's page: what was done, what it cost, and what was proven, in one file that needs no network."""
from engine.report.facts import Facts, from_folder, from_results
from engine.report.page import render

__all__ = ["Facts", "from_folder", "from_results", "render"]
