"""What a chip of each generation of TPUs can do, as Google's pages have it.

https://cloud.google.com/tpu/docs/system-architecture-tpu-vm, one page each.
"""

import dataclasses

from transfusion_tf import errors


@dataclasses.dataclass(frozen=True)
class Chip:
  """One generation.

  Attributes:
    flops: Peak of bfloat16, a second. Products of float32 are rounded to
      bfloat16 as well, by default.
    bandwidth: Bytes a second between the chip and its memory.
    memory: Bytes.
    topology: The smallest slice that the compiler knows.
  """

  flops: float
  bandwidth: float
  memory: float
  topology: str


CHIPS = {
  'v4': Chip(275e12, 1228e9, 32 * 2**30, 'v4:2x2x1'),
  'v5e': Chip(197e12, 819e9, 16 * 2**30, 'v5e:2x2'),
  'v5p': Chip(459e12, 2765e9, 95 * 2**30, 'v5p:2x2x1'),
  'v6e': Chip(918e12, 1640e9, 32 * 2**30, 'v6e:2x2'),
}


def of_topology(topology: str) -> Chip:
  """Return the chip of a topology, e.g. `v5e:2x2`.

  Raises:
    InputError: There is no such generation.
  """
  generation = topology.split(':')[0]
  if generation not in CHIPS:
    raise errors.unknown('TPU', generation, CHIPS)
  return CHIPS[generation]
