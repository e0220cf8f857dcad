"""Files for other runtimes, all of one `portable.PortableNetwork`.

Each module has one `base.Runtime`: how its file is written and run. A runtime
joins by a module and its place in `RUNTIMES`.
"""

from collections.abc import Iterable

from transfusion_tf.export.runtimes import base
from transfusion_tf.export.runtimes import litert
from transfusion_tf.export.runtimes import onnx_runtime
from transfusion_tf.export.runtimes import openvino_runtime

# Name of the flag -> runtime.
RUNTIMES: dict[str, base.Runtime] = {
  'onnx': onnx_runtime.OnnxRuntime(),
  'openvino': openvino_runtime.OpenVino(),
  'tflite': litert.LiteRt(),
  'tflite_int8': litert.LiteRtInt8(),
}
# All that they may write.
FILES = frozenset(
  name for runtime in RUNTIMES.values() for name in runtime.files
)


def named(names: Iterable[str]) -> list[base.Runtime]:
  """Return the runtimes of some names, in the order of `RUNTIMES`.

  Raises:
    InputError: One of them is not installed.
  """
  names = set(names)
  chosen = [RUNTIMES[name] for name in RUNTIMES if name in names]
  if unknown := names - set(RUNTIMES):
    raise ValueError(f'no runtimes: {sorted(unknown)}')
  for runtime in chosen:
    runtime.check_installed()
  return chosen
