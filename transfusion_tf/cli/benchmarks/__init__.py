"""The suites of benchmark: ratios, measured side by side in one process."""
