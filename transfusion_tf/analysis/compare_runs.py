"""Compare trained runs: from run folders to activations and similarities.

A checkpoint is named `RUN[@CHECKPOINT]`, one of best, final, init or a step, as
in `run_folder.checkpoint_step`; RUN alone is its selected checkpoint. The
networks of one comparison see the same images, those of the first run's data
set.
"""

from collections.abc import Iterator, Sequence
import dataclasses
import functools

import numpy as np
import pandas as pd
import tensorflow as tf

from transfusion_tf import config
from transfusion_tf import errors
from transfusion_tf import run_folder
from transfusion_tf.analysis import activations
from transfusion_tf.analysis import cca
from transfusion_tf.analysis import endpoints
from transfusion_tf.analysis import manifest as manifest_lib
from transfusion_tf.analysis import sampling as sampling_lib
from transfusion_tf.analysis import similarity
from transfusion_tf.input_pipeline import pipeline
from transfusion_tf.models import stages
from transfusion_tf.run import build as run_lib

_ONE_DEVICE = {'strategy': 'one_device'}


@dataclasses.dataclass(frozen=True)
class SplitImages:
  """A split's images as uint8 batches, in stored order."""

  run: run_lib.Run
  split: str

  def __iter__(self) -> Iterator[tf.Tensor]:
    experiment = self.run.experiment
    batch_size = (
      experiment.runtime.eval_batch_size or experiment.train.batch_size
    )
    source = self.run.source
    with pipeline.convert_image_errors(source):
      for batch in pipeline.evaluation(source, self.split, batch_size):
        yield batch['image'][: int(np.sum(batch['weight']))]

  def __len__(self) -> int:
    return self.run.source.prepared.num_examples(self.split)

  @property
  def ids(self) -> tuple[str, ...]:
    return tuple(self.run.source.prepared.index(self.split).image_ids)


def _build_runs(checkpoints, changes):
  """Return checkpoint -> run; runs that differ in weights share a network."""
  build = functools.cache(run_lib.build)
  runs = {}
  for checkpoint in checkpoints:
    run_dir, _ = run_folder.split_checkpoint(checkpoint)
    experiment = run_lib.load_config(run_dir, **_ONE_DEVICE | changes)
    # Initialization and seed affect nothing but the weights.
    plain = dataclasses.replace(experiment, init=config.Init(), seed=0)
    runs[checkpoint] = build(plain, run_folder.task(run_dir, experiment.data))
  return runs


def _weights(checkpoint, run):
  run_dir, which = run_folder.split_checkpoint(checkpoint)
  step = run_folder.checkpoint_step(run_dir, which)
  return [tf.constant(w) for w in run_lib.read_weights(run, run_dir, step)]


def compare(
  pairs: Sequence[similarity.Pair],
  layers: Sequence[str] = (),
  split: str = 'test',
  sampling: sampling_lib.Sampling | None = None,
  options: cca.Options | None = None,
  top: int = 0,
  **changes,
) -> dict[similarity.Pair, dict[str, cca.Similarity]]:
  """Compute the similarity of checkpoints, all in one pass over the images.

  Args:
    pairs: Pairs of `RUN[@CHECKPOINT]`.
    layers: Stages or Keras layers; all stages but the head if empty.
    split: Split of the images.
    sampling: The amount of data to compare.
    options: Options of the canonical correlations.
    top: Number of stages below the head, if `layers` is empty.
    **changes: Changes to the runs' `config.Runtime`.

  Raises:
    InputError: Runs on different data sets, and as in `similarity.compare`.
  """
  names = list(dict.fromkeys(name for pair in pairs for name in pair))
  runs = _build_runs(names, changes)
  first = runs[names[0]]
  images = SplitImages(first, split)
  for name in names[1:]:
    _check_same_images(names[0], images, name, SplitImages(runs[name], split))
  networks = {
    name: endpoints.PreparedModel(
      run.model, run.prepare_evaluation, _weights(name, run)
    )
    for name, run in runs.items()
  }
  source = endpoints.make_source(
    networks, images, layers or _body(first)[-top:], num_images=len(images)
  )
  return similarity.from_source(
    source,
    pairs,
    sampling,
    options,
    strategy=first.strategy,
  )


def _body(run):
  """Return the stages of a run's network below the head."""
  return [name for name in run.stages.readable if name != stages.HEAD]


def extract(
  checkpoint: str,
  folder: str,
  layers: Sequence[str] = (),
  split: str = 'test',
  num_images: int = 0,
  dtype: str = 'float32',
  **changes,
) -> manifest_lib.Manifest:
  """Write a checkpoint's activations to a folder.

  Args:
    checkpoint: `RUN[@CHECKPOINT]`.
    folder: The folder to write; a stopped command continues there, if it is
      on this machine.
    layers: Stages or Keras layers; all stages but the head if empty.
    split: Split of the images.
    num_images: Number of images, from the first; 0 is all.
    dtype: float16 or float32.
    **changes: Changes to the run's `config.Runtime`.
  """
  run_dir, which = run_folder.split_checkpoint(checkpoint)
  run = run_lib.load_run(run_dir, which, **_ONE_DEVICE | changes)
  images = SplitImages(run, split)
  if num_images > len(images):
    raise errors.InputError(
      f'{num_images} images of {len(images)} in split {split}; ask for fewer'
    )
  layers = list(layers or _body(run))
  network = endpoints.PreparedModel(run.model, run.prepare_evaluation)
  source = endpoints.make_source({checkpoint: network}, images, layers)
  ids = images.ids[: num_images or len(images)]
  files = {
    layer: manifest_lib.File.from_layer(layer, (len(ids), *shape), dtype)
    for layer, (shape,) in zip(layers, source.shapes, strict=True)
  }
  manifest = manifest_lib.Manifest(
    run.model.name, checkpoint, run.experiment.data.dataset, split, ids, files
  )
  forward = tf.function(source.forward, reduce_retracing=True, autograph=False)

  def activations_by_layer(batch):
    return {
      layer: acts for layer, (acts,) in zip(layers, forward(batch), strict=True)
    }

  activations.write(folder, manifest, images, activations_by_layer)
  return manifest_lib.read(folder)


def compare_folders(
  folder_a: str,
  folder_b: str,
  layers: Sequence[str] = (),
  sampling: sampling_lib.Sampling | None = None,
  options: cca.Options | None = None,
) -> dict[str, cca.Similarity]:
  """Compute the similarity of stored activations at `layers`, or at all."""
  layers = layers or list(manifest_lib.read(folder_a).layers)
  source = activations.make_source(
    {folder_a: folder_a, folder_b: folder_b}, layers
  )
  pairs = [(folder_a, folder_b)]
  return similarity.from_source(source, pairs, sampling, options)[pairs[0]]


def _check_same_images(name, images, other, others):
  data, theirs = images.run.experiment.data, others.run.experiment.data
  if data.dataset != theirs.dataset or images.ids != others.ids:
    raise errors.InputError(
      f'{name} is of {data.dataset}, {other} of {theirs.dataset} or of other '
      'images of it: runs compare only on the same images'
    )
  for field in ('image_size', 'eval_crop', 'eval_square'):
    ours, other_value = getattr(data, field), getattr(theirs, field)
    if ours != other_value:
      raise errors.InputError(
        f'{name} has {field} {ours}, {other} {other_value}: patches would not '
        'be the same'
      )


def before_and_after(run_dirs: Sequence[str], **kwargs) -> pd.DataFrame:
  """Compare each run's network before training with itself after (Figure 3).

  Args:
    run_dirs: The runs.
    **kwargs: Arguments of `compare`.

  Returns:
    A row for each run (pair `a`, `b`), layer and repeat.
  """
  pairs = [(f'{run}@init', f'{run}@final') for run in run_dirs]
  rows = []
  for (a, b), layers in compare(pairs, **kwargs).items():
    for layer, result in layers.items():
      floor = cca.average(result.noise_floor)['mean']
      for repeat, measures in enumerate(result.repeats):
        rows.append(
          {'a': a, 'b': b, 'layer': layer, 'repeat': repeat}
          | measures.scalars()
          | {'noise_floor': floor}
        )
  return pd.DataFrame(rows)
