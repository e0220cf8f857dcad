"""A mark of tests that compile for this machine's CPU."""

import pytest

from transfusion_tf import tpu_settings

needed = pytest.mark.skipif(
  not tpu_settings.has_host_xla(), reason='XLA of this wheel is for TPUs only'
)
