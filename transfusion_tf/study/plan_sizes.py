"""The sizes of networks and data sets, for a plan."""

from collections.abc import Iterable
import os

from transfusion_tf import config
from transfusion_tf import datasets
from transfusion_tf import startup
from transfusion_tf.run import network as network_lib
from transfusion_tf.study import spending

# Outputs of a head are few of a network's weights.
_NUM_OUTPUTS = 5


def read(experiments: Iterable[config.Experiment]) -> spending.Sizes:
  """Return the sizes of what runs use.

  Networks that cannot be built and sets that are not prepared are left out.
  """
  experiments = list(experiments)
  networks = {run.model.name: run for run in experiments}
  prepared = {
    run.data.dataset: path
    for run in experiments
    if (path := _info(run.runtime.data_dir, run.data.dataset))
  }
  return spending.Sizes(
    {name: count for name in networks if (count := _weights(networks[name]))},
    {name: datasets.num_bytes(path) for name, path in prepared.items()},
    {
      name: datasets.num_examples(path).get('train', 0)
      for name, path in prepared.items()
    },
  )


def _info(data_dir, dataset):
  found = datasets.info_files(os.path.join(data_dir, dataset))
  return max(found, default='') if data_dir else ''


def _weights(experiment):
  try:
    return network_lib.build_model(experiment, _NUM_OUTPUTS).count_params()
  except Exception as error:  # Whatever a user's network does.
    print(f'{experiment.model.name}: {startup.report_error(error)}')
    return 0
