"""Prepared data sets as others read them: Parquet files and their Croissant.

FOLDER/data/SPLIT-00000-of-00001.parquet   a row an image, see `columns`
FOLDER/croissant.json                      what the columns and files are
"""

from transfusion_tf.data_export.croissant import About
from transfusion_tf.data_export.writing import CROISSANT
from transfusion_tf.data_export.writing import write

__all__ = ['CROISSANT', 'About', 'write']
