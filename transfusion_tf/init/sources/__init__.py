"""Weights as {path: array}, from each kind of place that holds them."""
