"""Compiles HLO with the TPU compiler; a script of the compiler's environment.

  ENVIRONMENT/bin/python compile_hlo.py HLO TOPOLOGY NUM_CHIPS FOLDER [code]

Reads the file HLO, writes the optimized program and what the compiler says of
it to FOLDER, and prints statistics as JSON; ends when its stdin does. JAX
compiles for a described topology, without its devices; it takes StableHLO, into
which XLA converts all of HLO but copies.

A program is optimized, and every array has its place in memory, within seconds;
machine code takes minutes. Without `code`, this ends before it.
"""

from concurrent import futures
import json
import os
import pathlib
import re
import sys
import threading
import time

_COPY = re.compile(
  r'"?mhlo\.copy"?[ (](%\w+)\)?(?: <?\{.*?\}>?)?'
  r' : (?:\((\S+)\) -> \S+|(\S+))'
)
PROGRAM = 'program'
# One device a chip; by default, either core of a v4 chip is one.
_CHIP = {'v4': {'chip_config_name': 'megacore'}}
_OPTIMIZED = '*.after_optimizations.txt'
_MEMORY = '*.after_optimizations-buffer-assignment.txt'
_REPORT = '*.after_optimizations-memory-usage-report.txt'
_ALL_PLACED = '*.after_optimizations_after_buffer_assignment.txt'
# What has no color is in the memory beside the chip.
_TEMPORARY = re.compile(r'(?m)^allocation \d+: size (\d+), preallocated-temp:')
_TOTAL = re.compile(r'Memory Space: default \(color=0\)\nTotal bytes: (\d+)')


def replace_copies(module: str) -> str:
  """Replace copies by conversions to the type that they have."""
  return '\n'.join(
    _COPY.sub(_as_conversion, line) if 'mhlo.copy' in line else line
    for line in module.splitlines()
  )


def _as_conversion(copy):
  value, generic_type, short_type = copy.groups()
  kind = generic_type or short_type
  return f'stablehlo.convert {value} : ({kind}) -> {kind}'


def main(hlo, topology, num_chips, folder, code=''):
  """Compile and print."""
  os.environ['XLA_FLAGS'] = f'--xla_dump_to={folder} --xla_dump_hlo_as_text'
  compiling = futures.ThreadPoolExecutor(1).submit(
    _compile, hlo, topology, int(num_chips)
  )
  while not compiling.done() and (code or not _is_placed(folder)):
    time.sleep(0.05)
  code_bytes = compiling.result() if compiling.done() else 0
  print(json.dumps(_results(folder) | {'code': code_bytes}), flush=True)
  os._exit(0)  # The compiler does not stop otherwise.


def _is_placed(folder):
  return any(pathlib.Path(folder).glob(_ALL_PLACED))


def _compile(hlo, topology, num_chips):
  """Return the bytes of the machine code."""
  from jax._src import compiler
  from jax._src.interpreters import mlir
  from jax._src.lib import _jax
  from jax._src.lib import xla_client
  from jax._src.lib.mlir import ir
  from jax.experimental import topologies

  described = topologies.get_topology_desc(
    topology, 'tpu', **_CHIP.get(topology.split(':')[0], {})
  )
  devices = tuple(described.devices[:num_chips])
  with mlir.make_ir_context():
    converted = _jax.mlir.hlo_to_stablehlo(pathlib.Path(hlo).read_bytes())
    text = ir.Module.parse(converted).operation.get_asm(
      enable_debug_info=True, large_elements_limit=None
    )
    executable = compiler.backend_compile_and_load(
      devices[0].client,
      ir.Module.parse(replace_copies(text)),
      xla_client.DeviceList(devices),
      compiler.get_compile_options(len(devices), 1),
      [],
    )
  return executable.get_compiled_memory_stats().generated_code_size_in_bytes


def _results(folder):
  import jax
  from jaxlib import _hlo
  from jaxlib import _jax

  client = jax.devices('cpu')[0].client  # Any client counts operations.
  program = _hlo.hlo_module_from_text(_read(folder, _OPTIMIZED))
  # In the form of a compiled program's text, e.g. for copies of slices.
  pathlib.Path(folder, PROGRAM).write_text(program.to_string(), 'utf-8')
  arrays = _read(folder, _MEMORY)
  return {
    'flops': _jax.hlo_module_cost_analysis(client, program)['flops'],
    'memory': int(_TOTAL.search(_read(folder, _REPORT))[1]),
    'temporary': sum(map(int, _TEMPORARY.findall(arrays))),
  }


def _read(folder, pattern):
  (path,) = pathlib.Path(folder).glob(pattern)
  return path.read_text('utf-8')


def _end_with_stdin():
  """End with the process that began this one, which holds the other end."""
  sys.stdin.read()
  os._exit(1)


if __name__ == '__main__':
  threading.Thread(target=_end_with_stdin, daemon=True).start()
  main(*sys.argv[1:])
