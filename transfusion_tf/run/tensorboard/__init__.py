"""The TensorBoard summaries of a run."""
