"""Transfusion (Raghu, Zhang, Kleinberg, Bengio; NeurIPS 2019) in Keras."""

__version__ = '0.1.0'
