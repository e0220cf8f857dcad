"""Networks by name: the one place that names, describes and finds them.

A decorator of its builder adds a network to the commands, studies, tables and
estimates of time:

  @registry.register(
    'small_net', label='SmallNet', stages=('conv1', 'conv2'),
    multiply_adds=40_000, convolutions=2,
  )
  def build(num_classes, input_shape, bn_momentum=0.0):
    ...
    return keras.Model(inputs, logits, name='small_net')

It is read without TensorFlow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import inspect

from etils import epy

from transfusion_tf.models import stages as stages_lib

with epy.lazy_imports():  # Listing runs does without.
  import keras


@dataclasses.dataclass(frozen=True)
class Network:
  """One network.

  Attributes:
    name: Its name in flags, and its Keras model's.
    label: Its name in tables and figures.
    build: Returns the model from `num_classes`, `input_shape`, `bn_momentum`
      and its `options`.
    patterns: Stage below the head -> regular expression of its layers.
    multiply_adds: Number for one image and input pixel; convolutions scale with
      the pixels.
    convolutions: Number of convolutions.
  """

  name: str
  label: str
  build: Callable[..., keras.Model]
  patterns: Mapping[str, str]
  multiply_adds: int
  convolutions: int

  @property
  def stages(self) -> tuple[str, ...]:
    """The stages below the head, from the input."""
    return tuple(self.patterns)

  @property
  def options(self) -> tuple[str, ...]:
    """The options that `build` takes, e.g. `slim_from`."""
    return tuple(inspect.signature(self.build).parameters)

  def stages_of(self, model: keras.Model) -> stages_lib.Stages:
    """Return the stages of a model of this network, its head included."""
    head = stages_lib.prefix_patterns([stages_lib.HEAD])
    return stages_lib.Stages.from_patterns({**self.patterns, **head}, model)


NETWORKS: dict[str, Network] = {}


def register(
  name: str,
  *,
  label: str,
  stages: Sequence[str] | Mapping[str, str],
  multiply_adds: int,
  convolutions: int,
) -> Callable[[Callable], Callable]:
  """Return a decorator that makes a builder known as the network `name`.

  Args:
    name: Its name in flags; the Keras model must have it, too.
    label: Its name in tables and figures.
    stages: The stages below the head, from the input: the names, if layers are
      called `<stage>` or `<stage>.<...>`, else name -> regular expression.
    multiply_adds: Number for one image and input pixel.
    convolutions: Number of convolutions.

  Raises:
    ValueError: The name is taken.
  """
  if name in NETWORKS:
    raise ValueError(f'there is a network {name!r} already')
  if not isinstance(stages, Mapping):
    stages = stages_lib.prefix_patterns(stages)

  def add(build):
    NETWORKS[name] = Network(
      name, label, build, stages, multiply_adds, convolutions
    )
    return build

  return add


def label(name: str) -> str:
  """Return the label of a network in tables and figures; else its name."""
  return NETWORKS[name].label if name in NETWORKS else name


def stages(name: str) -> tuple[str, ...]:
  """Return the stages of a network below its head, from the input."""
  return NETWORKS[name].stages
