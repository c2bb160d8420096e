"""Every figure of the README: `python -m benchmarks`."""
