"""Activations on disk, for other tools: one .npy a layer, and a manifest.

  FOLDER/conv1.npy       [N, H, W, C], float16 or float32
  FOLDER/manifest.json   their description and SHA-256

The files grow row by row in FOLDER.partial, which is renamed FOLDER when it is
complete: a stopped command continues where it was, and no layer is ever held in
memory. In a bucket nothing grows and no folder is renamed: the files are made
on this machine, and copied when they are complete, the manifest last; a stopped
command begins anew.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
import contextlib
import dataclasses
import hashlib
import math
import os
import shutil
from typing import Any

import numpy as np

from transfusion_tf import errors
from transfusion_tf import scratch
from transfusion_tf import storage
from transfusion_tf.analysis import activation_source
from transfusion_tf.analysis import manifest as manifest_lib
from transfusion_tf.analysis import npy

_READ_BATCH = 8  # Images of stored activations that are read together.


def write(
  folder: str,
  manifest: manifest_lib.Manifest,
  batches: Iterable[Any],
  forward: Callable[[Any], Mapping[str, Any]],
) -> None:
  """Write the activations of `manifest`, or those still missing.

  Args:
    folder: The folder to write.
    manifest: The contents to write; the files' SHA-256 are empty.
    batches: Batches of images, in the order of `example_ids`.
    forward: A batch -> layer -> activations [B, ..., C].

  Raises:
    InputError: The folder holds something else, another process writes to it,
      the disk is too small, or a value does not fit the type.
  """
  if manifest_lib.exists(folder):
    return manifest_lib.check_same(folder, manifest_lib.read(folder), manifest)
  if storage.exists(folder) and not storage.isdir(folder):
    raise errors.InputError(f'{folder} is no folder; choose another')
  found = set(storage.listdir(folder))
  if storage.is_remote(folder):
    found -= {file.name for file in manifest.layers.values()}
  if found:
    raise errors.InputError(f'{folder} is not empty; choose another folder')
  if storage.is_remote(folder):
    with storage.local_folder() as local:
      _write(local, manifest, batches, forward)
      storage.upload_folder(local, folder, last=[manifest_lib.NAME])
    return
  partial = folder.rstrip('/') + '.partial'
  with storage.held(partial, 'wait for it or choose another', 'writing'):
    _write(partial, manifest, batches, forward)
    os.rename(partial, folder)
  os.remove(os.path.join(folder, scratch.LOCK))


def _write(partial, manifest, batches, forward):
  """Write the files that are missing in a folder, then the manifest."""
  _begin(partial, manifest)
  with contextlib.ExitStack() as stack:
    writers = {
      layer: stack.enter_context(
        npy.Writer(os.path.join(partial, file.name), file.shape, file.dtype)
      )
      for layer, file in manifest.layers.items()
    }
    _fill(writers, len(manifest.example_ids), batches, forward)
  manifest_lib.save(partial, _hashed(partial, manifest))


def load(folder: str, layer: str) -> np.ndarray:
  """Return a layer's activations [N, ..., C], mapped from disk after a check.

  Raises:
    InputError: No such layer, or the file does not match the manifest.
  """
  layers = manifest_lib.read(folder).layers
  if layer not in layers:
    raise errors.unknown(f'layer of {folder}', layer, layers)
  file = layers[layer]
  path = os.path.join(folder, file.name)
  try:
    copy = storage.local_copy(path)
    if _sha256(copy) == file.sha256:
      return np.load(copy, mmap_mode='r')
  except FileNotFoundError:
    pass
  raise errors.InputError(
    f'{path} is damaged or missing; extract the activations again'
  )


def make_source(
  folders: Mapping[str, str], layers: Sequence[str]
) -> activation_source.ActivationSource:
  """Return stored activations of several networks on the same images.

  Args:
    folders: Name -> folder.
    layers: Names in the manifests.

  Raises:
    InputError: A layer is missing, a file damaged, or the images differ.
  """
  first, *others = folders.values()
  reference = manifest_lib.read(first)
  for folder in others:
    manifest = manifest_lib.read(folder)
    for field in ('dataset', 'split', 'example_ids'):
      if getattr(manifest, field) != getattr(reference, field):
        raise errors.InputError(
          f'{first} and {folder} differ in {field}: activations compare only '
          'on the same images'
        )
  arrays = [[load(f, layer) for f in folders.values()] for layer in layers]
  num_images = len(reference.example_ids)
  return activation_source.ActivationSource(
    networks=list(folders),
    layers=list(layers),
    shapes=[[array.shape[1:] for array in group] for group in arrays],
    batches=[  # Views of the files, which are read on use.
      [[np.asarray(a[i : i + _READ_BATCH]) for a in group] for group in arrays]
      for i in range(0, num_images, _READ_BATCH)
    ],
    forward=lambda batch: batch,
    num_images=num_images,
  )


def _begin(partial, manifest):
  """Start a folder, or check that it was started for the same manifest."""
  if manifest_lib.exists(partial):
    return manifest_lib.check_same(
      partial, manifest_lib.read(partial), manifest
    )
  sizes = [
    math.prod(f.shape) * np.dtype(f.dtype).itemsize
    for f in manifest.layers.values()
  ]
  free = shutil.disk_usage(partial).free
  if sum(sizes) > free:
    raise errors.InputError(
      f'No space left on device: {sum(sizes) / 1e6:,.1f} MB to write, '
      f'{free / 1e6:,.1f} MB free; make room, or take fewer images or layers, '
      'or float16'
    )
  manifest_lib.save(partial, manifest)


def _fill(writers, num_images, batches, forward):
  """Append the rows that at least one file lacks."""
  done = min(writer.rows for writer in writers.values())
  for writer in writers.values():
    writer.keep(done)
  first = 0
  for batch in batches:
    size = min(activation_source.num_rows(batch), num_images - first)
    if first + size > done:
      batch = activation_source.rows(batch, max(done - first, 0), size)
      for layer, acts in forward(batch).items():
        if not writers[layer].append(np.asarray(acts)):
          raise errors.InputError(
            f'activations of {layer} do not fit float16; ask for float32'
          )
    first += size
    if first == num_images:
      return
  raise errors.InputError(
    f'the data set ends after {first} images, {num_images} were expected'
  )


def _hashed(folder, manifest):
  """Return the manifest with the files' SHA-256."""
  layers = {
    layer: dataclasses.replace(
      file, sha256=_sha256(os.path.join(folder, file.name))
    )
    for layer, file in manifest.layers.items()
  }
  return dataclasses.replace(manifest, layers=layers)


def _sha256(path):
  with open(path, 'rb') as file:
    return hashlib.file_digest(file, 'sha256').hexdigest()
