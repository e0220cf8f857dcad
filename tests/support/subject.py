"""A network of the zoo with all that laws look at, each made once."""

import functools
import pathlib

import keras
import numpy as np
import prepared_sets
import processes
import tensorflow as tf
import zoo

from transfusion_tf import config
from transfusion_tf import errors
from transfusion_tf import export
from transfusion_tf import init
from transfusion_tf import models
from transfusion_tf.run import build as run_lib

NUM_CLASSES = 5


class Subject:
  """One network, what became of it, and a folder for that."""

  def __init__(self, network: zoo.Network, folder, data_dir, server):
    self.network = network
    self.folder = pathlib.Path(folder)
    self._data_dir = data_dir
    self._server = server

  def build(self, num_classes: int = NUM_CLASSES) -> keras.Model:
    size = self.network.image_size
    return models.build(self.network.model, num_classes, (size, size, 3))

  def random(self) -> keras.Model:
    """A network of random weights."""
    model = self.build()
    scheme = init.from_config(config.Init(), None, models.stages_of(model))
    init.apply(model, scheme, models.stages_of(model), seed=0)
    return model

  def noise(self, count: int = 4) -> np.ndarray:
    size = self.network.image_size
    rng = np.random.default_rng(2)
    return rng.normal(size=(count, size, size, 3)).astype(np.float32)

  @functools.cached_property
  def source(self) -> dict[str, np.ndarray]:
    """Weights that no initializer gives, by path."""
    rng = np.random.default_rng(3)
    return {
      w.path: _pretrained(w, rng)
      for w in models.graph.Graph(self.build()).weights
    }

  @functools.cached_property
  def run_dir(self) -> pathlib.Path:
    """The folder of a run of six steps, evaluated after each three."""
    run_dir = self.folder / 'run'
    self.train(run_dir)
    return run_dir

  def train(self, run_dir: pathlib.Path) -> None:
    """Begin or continue a run by the command, to its end."""
    experiment = prepared_sets.experiment(
      self._data_dir,
      model__name=self.network.model,
      data__image_size=self.network.image_size,
      train__deterministic=True,
      runtime__steps_per_call=1,
      runtime__strategy='one_device',
    )
    _finish(processes.train(self._server, experiment, run_dir))

  def run_script(self, script: pathlib.Path, *arguments) -> None:
    log = self.folder / f'{script.stem}.log'
    _finish(processes.Process(self._server, script, arguments, log))

  @functools.cached_property
  def run(self) -> run_lib.Run:
    return run_lib.load_run(str(self.run_dir))

  @functools.cached_property
  def exported(self) -> export.Exported:
    return export.export(self.run, self.folder / 'export')

  @functools.cached_property
  def stored(self) -> tf.Tensor:
    """Encoded images of the test split."""
    prepared = self.run.source.prepared
    return tf.stack(
      [prepared.parse(r)['image'] for r in prepared.records('test').take(8)]
    )

  @functools.cached_property
  def images(self) -> tf.Tensor:
    """The same, decoded."""
    read = self.run.source.reader.evaluation
    return tf.stack([read(file) for file in self.stored])

  @functools.cached_property
  def probabilities(self) -> np.ndarray:
    """Of the run, for these images."""
    return self.run.probabilities(self.images).numpy()


def _finish(process):
  """Wait for a command; raise the one line with which it refused."""
  code = process.wait()
  assert 'Traceback' not in process.log, process.log
  if code:
    line = process.log.splitlines()[-1]
    raise errors.InputError(line.removeprefix('train.py: '))


def _pretrained(weight, rng):
  shape, dtype = tuple(weight.variable.shape), weight.variable.dtype
  if 'int' in dtype:
    return np.full(shape, 3, dtype)
  # As large as what is trained, and apart from any initializer's values.
  values = rng.normal(0.1, 0.1, shape)
  if 'variance' in weight.variable.name:
    values = rng.uniform(0.5, 2, shape)
  return np.asarray(values, dtype)
