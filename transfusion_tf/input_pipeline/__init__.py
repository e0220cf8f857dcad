"""Prepared data sets -> batches.

tfds_folder     open a data set that bin/prepare_data.py built
label_counts    the classes that a split has no example of
example_order   the order of the examples: subsets, epochs, shards
augment         the paper's augmentation and normalization
normalization   the kinds of input that networks are trained on
pipeline        the three combined, as tf.data
"""
