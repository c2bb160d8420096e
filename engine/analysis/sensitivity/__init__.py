"""Which layers hurt: scores of each layer and precision, exact or estimated, with their doubt."""
