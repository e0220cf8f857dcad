"""Prepared data sets -> batches.

prepared      opens what bin/prepare_data.py made
order         which example comes when: subsets, epochs, lanes
preprocess    the paper's augmentation and normalization
pipeline      the three joined, as tf.data
"""
