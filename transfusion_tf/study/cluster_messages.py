"""What a study and the process that speaks with its cluster tell each other.

The study sends `Settings`, then lists of `Work`, or None to stop what runs. It
hears tuples that begin with one of the kinds below.
"""

from collections.abc import Mapping, Sequence
import dataclasses

from transfusion_tf.study import cluster_node
from transfusion_tf.study import run_needs

READY = 'ready'  # With what each machine has, now or anew.
REFUSED = 'refused'  # With the reason.
NOTE = 'note'  # With a sentence.
BEGAN = 'began'  # With a key, and the name of the machine.
ENDED = 'ended'  # With a key, and why it failed, or ''.
IDLE = 'idle'  # What ran has been stopped.


@dataclasses.dataclass(frozen=True)
class Settings:
  """What the process is to know.

  Attributes:
    address: HOST:PORT of the cluster's head, or `auto`.
    modules: Paths of packages and modules that travel to the machines.
    environment: Variables of the processes there.
    expected: What machines have to have.
  """

  address: str
  modules: Sequence[str]
  environment: Mapping[str, str]
  expected: cluster_node.Expected


@dataclasses.dataclass(frozen=True)
class Work:
  """A job as the study sends it.

  Attributes:
    key: Its name.
    job: As in `cluster_attempt.Order`.
    group: Its group.
    needs: What it takes of a machine.
    size: How long it takes, in any measure.
  """

  key: str
  job: bytes
  group: str
  needs: run_needs.Needs
  size: float
