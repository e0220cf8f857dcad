"""study.py --plan."""

from transfusion_tf.cli import plan_flags
from transfusion_tf.input_pipeline import tfds_folder
from transfusion_tf.study import plan as plan_lib
from transfusion_tf.study import time_forecast


def show(plan: plan_lib.Plan, root: str, num_processes: int) -> None:
  """Print what the missing runs of a study will take.

  Args:
    plan: The study.
    root: Its folder.
    num_processes: Runs at a time on this machine.
  """
  phases = [
    {run.key: run.experiment for run in phase}
    for phase in time_forecast.phases(plan, root)
  ]
  bases = filter(None, [plan.base, plan.pretraining])
  num_validation = {
    base.data.dataset: tfds_folder.open_dataset(
      base.runtime.data_dir, base.data.dataset
    ).num_examples(tfds_folder.VALIDATION)
    for base in bases
  }
  plan_flags.show(phases, root, num_processes, 'cpu', num_validation)
