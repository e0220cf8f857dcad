"""What every measure of this package asks of its activations."""

import numpy as np


def validate(*acts: np.ndarray) -> list[np.ndarray]:
  """Return the activations as arrays, or raise what is wrong with them.

  Args:
    *acts: arrays of shape [neurons, datapoints] over the same datapoints, with
      fewer neurons than datapoints each.

  Raises:
    ValueError: a shape does not fit, or a value is NaN or infinite.
  """
  acts = [np.asarray(a) for a in acts]
  for number, array in enumerate(acts, start=1):
    _validate_one(f'acts{number}', array)
  datapoints = [a.shape[1] for a in acts]
  if len(set(datapoints)) > 1:
    raise ValueError(
      f'acts1 has {datapoints[0]} datapoints, acts2 has {datapoints[1]}: both '
      'must be measured on the same ones'
    )
  return acts


def _validate_one(name: str, array: np.ndarray) -> None:
  if array.ndim != 2:
    raise ValueError(
      f'{name} has shape {array.shape}: expected [neurons, datapoints]'
    )
  neurons, datapoints = array.shape
  if not 0 < neurons < datapoints:
    raise ValueError(
      f'{name} has {neurons} neurons and {datapoints} datapoints: it must be '
      '[neurons, datapoints] with more datapoints than neurons (5 to 10 times '
      'as many for coefficients above the noise)'
    )
  if not np.all(np.isfinite(array)):
    neuron, datapoint = np.argwhere(~np.isfinite(array))[0]
    raise ValueError(
      f'{name} is NaN or infinite at neuron {neuron}, datapoint {datapoint}'
    )
