"""What a recipe will do before it is run: sums of scores, the curve from sums to the drop, and how well scores add."""
