"""Measuring a recipe against the float model: scores with intervals, noise, and where it builds up."""
