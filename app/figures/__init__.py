"""Figures: pure functions from results to Plotly dictionaries, all in one template."""
