"""What a runtime has to offer to be exported to."""

import abc
from collections.abc import Callable
import contextlib
from importlib import util

import numpy as np

from transfusion_tf import errors
from transfusion_tf.export import portable

# float32 [N, C, C, 3] -> probabilities [N, K].
Classify = Callable[[np.ndarray], np.ndarray]


class Runtime(abc.ABC):
  """A format of files, and what runs them.

  Attributes:
    name: The name of its flag.
    title: The name that it goes by.
    file: The file that is loaded.
    files: All files that it has.
    extra: The extra of this project that installs it; empty if TensorFlow does.
    modules: What has to be installed.
    is_rounded: Whether it computes with fewer bits than the network.
    example: Lines of Python that make `probabilities` of `pixels`.
  """

  name: str
  title: str
  file: str
  extra: str = ''
  modules: tuple[str, ...] = ()
  is_rounded: bool = False
  example: str

  @property
  def files(self) -> tuple[str, ...]:
    return (self.file,)

  @abc.abstractmethod
  def write(self, network: portable.PortableNetwork, path: str) -> str:
    """Write the network to the local file `path`, and what goes with it.

    Returns:
      A peculiarity that a user should know; empty if there is none.

    Raises:
      InputError: The format does not have the network's operations.
    """

  @abc.abstractmethod
  def load(self, path: str, num_threads: int = 0) -> Classify:
    """Return the function of a written file, as the runtime computes it.

    Args:
      path: The file.
      num_threads: Number of threads; 0 leaves the choice to the runtime.
    """

  def check_installed(self) -> None:
    """Raise InputError with the command that installs what is missing."""
    missing = [name for name in self.modules if util.find_spec(name) is None]
    if missing:
      raise errors.InputError(
        f'--{self.name} needs {", ".join(missing)}, not installed: '
        f"pip install -e '.[{self.extra}]'"
      )

  @contextlib.contextmanager
  def convert_errors(self, network: portable.PortableNetwork):
    """Convert whatever a converter raises into one line."""
    try:
      yield
    except errors.InputError:
      raise
    except Exception as error:  # Converters raise whatever their code says.
      if isinstance(error, OSError) and error.errno:
        raise  # A full disk is no fault of the network's.
      raise errors.InputError(
        f'{network.name} does not convert to {self.title}: '
        f'{_first_line(error)}; export it without --{self.name}'
      ) from None


def _first_line(error):
  lines = [line.strip() for line in str(error).splitlines() if line.strip()]
  # Before it, some name the line of Python that an operation is from.
  text = lines[0].rpartition(': error: ')[2] if lines else ''
  return text[:300] or type(error).__name__
