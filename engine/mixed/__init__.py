"""Mixed precision: from scores to the right bits for every layer: solve, validate, repair, Pareto."""
