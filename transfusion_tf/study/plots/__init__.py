"""Plots of runs, of any model and data set."""
