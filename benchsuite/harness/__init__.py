"""What the benchmarks share: measuring, comparing, reporting."""
