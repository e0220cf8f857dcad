"""reproduce.py --plan."""

from collections.abc import Sequence

from transfusion_tf import config
from transfusion_tf.cli import plan_flags
from transfusion_tf.paper import costs
from transfusion_tf.paper import runs
from transfusion_tf.paper import scales


def show(
  plans: Sequence[runs.PlannedRun],
  scale: scales.Scale,
  root: str,
  data_dir: str,
  num_processes: int,
) -> None:
  """Print what the missing runs of a study will take.

  Args:
    plans: All runs.
    scale: The study's scale.
    root: Folder of the study.
    data_dir: Folder of prepared data sets; '' if there is none yet.
    num_processes: Runs at a time on this machine.
  """
  phase: dict[str, config.Experiment] = {
    plan.key: costs.with_steps(plan.at(root, data_dir)) for plan in plans
  }
  device = 'gpu' if scale.pretraining == 'imagenet2012' else 'cpu'
  plan_flags.show([phase], root, num_processes, device, scale.num_validation)
