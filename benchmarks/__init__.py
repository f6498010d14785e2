"""Measurements: each script prints ratios to a reference of the same run (RESULTS.md)."""
