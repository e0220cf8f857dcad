"""Compiles HLO with the TPU compiler; a script of the compiler's environment.

  ENVIRONMENT/bin/python compile_hlo.py HLO TOPOLOGY NUM_CHIPS PROGRAM

Reads the file HLO, writes the compiled program to the file PROGRAM and prints
statistics as JSON; ends when its stdin does. JAX compiles for a described
topology, without its devices; it takes StableHLO, into which XLA converts all
of HLO but copies.
"""

import json
import os
import pathlib
import re
import sys
import threading

_COPY = re.compile(
  r'"?mhlo\.copy"?[ (](%\w+)\)?(?: <?\{.*?\}>?)?'
  r' : (?:\((\S+)\) -> \S+|(\S+))'
)


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


def main(hlo, topology, num_chips, program):
  """Compile, write and print."""
  from jax._src import compiler
  from jax._src.interpreters import mlir
  from jax._src.lib import _jax
  from jax._src.lib import xla_client
  from jax._src.lib.mlir import ir
  from jax.experimental import topologies

  described = topologies.get_topology_desc(
    platform='tpu', topology_name=topology
  )
  devices = tuple(described.devices[: int(num_chips)])
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
  pathlib.Path(program).write_text(
    executable.hlo_modules()[0].to_string(), 'utf-8'
  )
  memory = executable.get_compiled_memory_stats()
  print(
    json.dumps(
      {
        'flops': executable.cost_analysis()['flops'],
        'argument_bytes': memory.argument_size_in_bytes,
        'output_bytes': memory.output_size_in_bytes,
        'alias_bytes': memory.alias_size_in_bytes,
        'temporary_bytes': memory.temp_size_in_bytes,
        'code_bytes': memory.generated_code_size_in_bytes,
      }
    )
  )


def _end_with_stdin():
  """End with the process that began this one, which holds the other end."""
  sys.stdin.read()
  os._exit(1)


if __name__ == '__main__':
  threading.Thread(target=_end_with_stdin, daemon=True).start()
  main(*sys.argv[1:])
