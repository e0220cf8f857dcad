"""The images, patches and channels of a comparison (Appendix C).

The paper takes, of a layer with activations [n, h, w, c], n images with
n h w = p, d of the c channels, CCA of the d x (n h w) matrices, and repeats
this over samples of d and n. No n meets n h w = p exactly (294 x 294 is 239.4
times 19 x 19), and n would differ from layer to layer. The rule here:

* All layers share the same n images: the fewest with n h w >= p at the layer
  with the fewest positions, or all images, or the requested number.
* Of every layer p patches are drawn from its n h w positions, without
  replacement and as many from each image.
* The images fall into as many folds as there are repeats. A repeat draws d
  channels and leaves one fold out, and n is chosen so that the other folds hold
  p patches. So one pass over the images gives all repeats; they share images,
  and their standard deviation is less than that of separate samples.

Networks with equally many channels at a layer get the same channels: a network
compared with itself gives 1, and one compared with its earlier state is
compared at the same neurons. The seed and the order of the images determine
everything.
"""

import dataclasses

import numpy as np

from transfusion_tf import errors


@dataclasses.dataclass(frozen=True)
class Sampling:
  """The amount of data to compare; the paper gives no numbers.

  Attributes:
    num_patches: p, of each layer; rounded down to a multiple of the number of
      folds of a repeat.
    num_channels: d; a layer with fewer gives all of them.
    repeats: Samples of channels and images.
    num_images: n, over all repeats; 0 for the fewest that hold p patches.
    seed: Seed of all draws.
  """

  num_patches: int = 20_000
  num_channels: int = 64
  repeats: int = 5
  num_images: int = 0
  seed: int = 0

  def __post_init__(self):
    for field in ('num_patches', 'num_channels', 'repeats'):
      if getattr(self, field) < 1:
        raise errors.InputError(
          f'{field} is {getattr(self, field)}; must be at least 1'
        )

    if self.num_patches < self.repeats - 1:
      raise errors.InputError(
        f'{self.num_patches} patches are too few for {self.repeats} repeats; '
        'give more num_patches, or fewer repeats'
      )

  def channels(self, repeat: int, num_channels: int) -> np.ndarray:
    """Return the channels of a repeat, sorted, out of `num_channels`."""
    rng = np.random.default_rng((self.seed, repeat, num_channels))
    size = min(self.num_channels, num_channels)
    return np.sort(rng.choice(num_channels, size, replace=False))

  def plan(self, positions: tuple[int, ...], available: int) -> 'SamplingPlan':
    """Spread the sample over images.

    Args:
      positions: h w of each layer.
      available: Number of images in the data set.

    Raises:
      InputError: There is no image.
    """
    if not available:
      raise errors.InputError('the data set has no image')
    folds = min(self.repeats, available)
    images = available // folds
    if not self.num_images:
      images = min(images, self._images_per_fold(folds, positions))
    return SamplingPlan(self, positions, folds, images)

  def max_images(self, positions: tuple[int, ...]) -> int:
    """Return the largest number of images that `plan` uses."""
    folds = self.repeats
    return self.num_images or folds * self._images_per_fold(folds, positions)

  def _images_per_fold(self, folds: int, positions: tuple[int, ...]) -> int:
    return -(-self._patches_per_fold(folds) // min(positions))

  def _patches_per_fold(self, folds: int) -> int:
    return self.num_patches // max(folds - 1, 1)


@dataclasses.dataclass(frozen=True)
class SamplingPlan:
  """A sample spread over `folds` times `images_per_fold` images in order.

  Attributes:
    sampling: The requested sampling.
    positions: h w of each layer.
    folds: Number of folds; with one fold, no repeat leaves it out.
    images_per_fold: Number of images in each fold.
  """

  sampling: Sampling
  positions: tuple[int, ...]
  folds: int
  images_per_fold: int

  @property
  def num_images(self) -> int:
    return self.folds * self.images_per_fold

  def num_patches(self, layer: int) -> int:
    """Return the actual p: the patches of one repeat at a layer."""
    return self._fold_patches(layer) * max(self.folds - 1, 1)

  def fold(self, image: int) -> int:
    return image // self.images_per_fold

  def room_in_fold(self, image: int) -> int:
    """Return the number of images from this one to the end of its fold."""
    return self.images_per_fold - image % self.images_per_fold

  def ends_fold(self, images: int) -> bool:
    """Return whether the last fold of the first `images` images is complete."""
    return images % self.images_per_fold == 0

  def left_out(self, repeat: int) -> int | None:
    """Return the fold that a repeat leaves out."""
    return repeat % self.folds if self.folds > 1 else None

  def patches(self, layer: int, first: int, count: int) -> np.ndarray:
    """Return patches of `count` consecutive images, in random order.

    Args:
      layer: Index into `positions`.
      first: Number of the first image.
      count: Images, which lie in one fold.

    Returns:
      Indices into the [count * h * w] patches of those images.
    """
    positions = self.positions[layer]
    chosen = np.concatenate(
      [
        i * positions + self._image_patches(layer, first + i)
        for i in range(count)
      ]
      or [np.zeros(0)]
    )
    order = np.random.default_rng((self.sampling.seed, first, count))
    return order.permutation(chosen).astype(np.int32)

  def _image_patches(self, layer: int, image: int) -> np.ndarray:
    """Return the positions drawn from one image; over a fold equally many."""
    positions, place = self.positions[layer], image % self.images_per_fold
    total, images = self._fold_patches(layer), self.images_per_fold
    quota = total * (place + 1) // images - total * place // images
    # Seeded by h w, so that layers of one size share their patches.
    rng = np.random.default_rng((self.sampling.seed, image, positions))
    return rng.choice(positions, quota, replace=False)

  def _fold_patches(self, layer: int) -> int:
    return min(
      self.sampling._patches_per_fold(self.folds),
      self.images_per_fold * self.positions[layer],
    )
