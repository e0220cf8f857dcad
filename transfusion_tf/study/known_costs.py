"""The best that is known of what runs cost: measured, else estimated."""

from collections.abc import Mapping
import dataclasses

from transfusion_tf import config
from transfusion_tf.study import device_costs
from transfusion_tf.study import finished_costs
from transfusion_tf.study import run_cost


@dataclasses.dataclass(frozen=True)
class KnownCosts:
  """Costs of runs.

  Attributes:
    device: The kind of device, for runs of which none is finished.
    num_validation: Data set -> its validation images, for these.
    finished: What runs have cost.
  """

  device: device_costs.Kind
  num_validation: Mapping[str, int]
  finished: Mapping[finished_costs.Kind, run_cost.Cost] = dataclasses.field(
    default_factory=dict
  )

  def of(self, experiment: config.Experiment) -> run_cost.Cost:
    """Return the cost of a run."""
    if known := self.finished.get(finished_costs.kind_of(experiment)):
      return known
    images = self.num_validation.get(experiment.data.dataset, 0)
    return self.device.cost(experiment, images)

  def is_measured(self, experiment: config.Experiment) -> bool:
    """Return whether a run like it is finished."""
    return finished_costs.kind_of(experiment) in self.finished

  def place_of(self, experiment: config.Experiment) -> str:
    """Return where a run is taken to be made, as a text."""
    if self.is_measured(experiment):
      return 'where the finished runs were made'
    return f'{self.device.name}, estimated'
