"""FOLDER/manifest.json: the contents of a folder of activations."""

from collections.abc import Sequence
import dataclasses
import os

from transfusion_tf import errors
from transfusion_tf import json_file
from transfusion_tf import storage

NAME = 'manifest.json'
DTYPES = ('float16', 'float32')


@dataclasses.dataclass(frozen=True)
class File:
  """One layer's file; `sha256` is empty until it is complete."""

  name: str
  shape: tuple[int, ...]
  dtype: str
  sha256: str = ''

  @classmethod
  def from_layer(
    cls, layer: str, shape: Sequence[int], dtype: str = 'float32'
  ) -> 'File':
    """Return the file of a layer with activations of shape [N, ...]."""
    if dtype not in DTYPES:
      raise errors.unknown('dtype', dtype, DTYPES)
    return cls(layer.replace('/', '.') + '.npy', tuple(shape), dtype)


@dataclasses.dataclass(frozen=True)
class Manifest:
  """The contents of a folder of activations.

  Attributes:
    model: The network's name.
    checkpoint: The run folder and checkpoint of its weights.
    dataset: The images' data set.
    split: Split of the data set.
    example_ids: Identifiers [N], in the order of the rows.
    layers: Layer -> its file.
  """

  model: str
  checkpoint: str
  dataset: str
  split: str
  example_ids: tuple[str, ...]
  layers: dict[str, File]


def exists(folder: str) -> bool:
  return storage.exists(os.path.join(folder, NAME))


def read(folder: str) -> Manifest:
  """Return the manifest of a folder.

  Raises:
    InputError: There is none, or it is damaged.
  """
  path = os.path.join(folder, NAME)
  remedy = 'delete the folder and extract again'
  try:
    manifest = json_file.read(path, Manifest, remedy)
  except FileNotFoundError:
    raise errors.InputError(
      f'{path}: no such file; bin/extract_activations.py makes such folders'
    ) from None
  for layer in manifest.layers.values():
    if layer.shape[:1] != (len(manifest.example_ids),):
      problem = f'{layer.name} has not a row for each example'
      raise errors.DamagedFileError(path, problem, remedy)
  return manifest


def check_same(folder: str, existing: Manifest, requested: Manifest) -> None:
  """Raise InputError if a folder holds other activations than requested."""
  layers = {
    layer: dataclasses.replace(file, sha256='')
    for layer, file in existing.layers.items()
  }
  existing = dataclasses.replace(existing, layers=layers)
  differing = [
    field.name
    for field in dataclasses.fields(Manifest)
    if getattr(existing, field.name) != getattr(requested, field.name)
  ]
  if differing:
    raise errors.InputError(
      f'{folder} holds activations of another {" and ".join(differing)}; '
      'choose another folder or delete it'
    )


def save(folder: str, manifest: Manifest) -> None:
  """Write the manifest of a folder."""
  storage.write_json(os.path.join(folder, NAME), dataclasses.asdict(manifest))
