"""Initialization: every scheme that the paper tries.

source = init.weights.load('runs/pretrained')
scheme = init.schemes.mean_var(source)
report = init.apply(model, scheme, stages, seed=0)
"""

from etils import epy

from transfusion_tf.init import compose
from transfusion_tf.init import gabor
from transfusion_tf.init import schemes
from transfusion_tf.init import types
from transfusion_tf.init.apply import apply
from transfusion_tf.init.apply import check_transferred
from transfusion_tf.init.apply import freeze
from transfusion_tf.init.compose import from_config

with epy.lazy_imports():  # Help does without.
  from transfusion_tf.init import agreement
  from transfusion_tf.init import batch_statistics
  from transfusion_tf.init import weights

__all__ = [
  'agreement',
  'apply',
  'batch_statistics',
  'check_transferred',
  'compose',
  'freeze',
  'from_config',
  'gabor',
  'schemes',
  'types',
  'weights',
]
