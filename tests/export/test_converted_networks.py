"""Networks of every kind convert to every runtime, for batches of any size."""

import keras
import numpy as np
import prepared_sets
import pytest
import zoo

from transfusion_tf import errors
from transfusion_tf.export import portable
from transfusion_tf.export import runtimes as runtimes_lib
from transfusion_tf.run import build as run_lib

# What converters stumbled over: GELU, constants that layers hold, recurrence.
_QUICK = ('vit', 'normalization', 'lstm')
_REFUSED = ('half_precision',)  # By `train.py`, so that there is no run.
# Loops, which the converter has no 8 bits for.
_WITHOUT_INT8 = ('lstm', 'bidirectional_gru', 'time_distributed')
_FACTS = {'description': 'a network', 'pixels': 'of an image'}


def _cases():
  for network in zoo.NETWORKS.values():
    if network.name in _REFUSED:
      continue
    marks = [
      *([] if network.name in _QUICK else [pytest.mark.slow]),
      *([] if network.is_installed else [pytest.mark.skip(network.needs)]),
    ]
    yield pytest.param(network, id=network.name, marks=marks)


@pytest.mark.parametrize('name', runtimes_lib.RUNTIMES)
@pytest.mark.parametrize('network', _cases())
def test_a_network_computes_the_same_in_a_runtime(
  network, name, data_dir, tmp_path
):
  runtime = runtimes_lib.RUNTIMES[name]
  for module in (*runtime.modules, 'ai_edge_litert'):
    pytest.importorskip(module, reason=f'{module} is not installed')
  keras.utils.set_random_seed(0)  # Else the weights are others each time.
  run = run_lib.build(
    prepared_sets.experiment(
      data_dir,
      model__name=network.model,
      data__image_size=network.image_size,
    )
  )
  source = run.source
  records = source.prepared.records('test')
  pixels = np.float32(
    [
      source.reader.evaluation(source.prepared.parse(record)['image'])
      for record in records
    ]
  )
  path = str(tmp_path / runtime.file)
  portable_network = portable.network(portable.in_float32(run), _FACTS)
  if runtime.is_rounded and network.name in _WITHOUT_INT8:
    with pytest.raises(errors.InputError, match='does not convert'):
      runtime.write(portable_network, path)
    return
  runtime.write(portable_network, path)
  classify = runtime.load(path)
  expected = np.asarray(run.probabilities(pixels))
  found = classify(pixels)
  for count in (1, 4):
    np.testing.assert_allclose(
      classify(pixels[:count]), found[:count], atol=1e-6
    )
  difference = np.abs(found - expected)
  if runtime.is_rounded:
    # Of the transformer with six draws of weights the mean was 0.014 to 0.021.
    # The largest depends on the draw: an image near a tie may change classes,
    # for the logits of an untrained ResNet-50 are large (0.37; mean 0.004).
    assert difference.mean() < 0.05
  else:
    assert difference.max() < 1e-4
