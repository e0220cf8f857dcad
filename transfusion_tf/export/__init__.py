"""A trained network as a folder that needs nothing of this project.

run = experiment.load_run('RUN', 'best', strategy='one_device')
exported = export.export(run, 'DIR', run_dir='RUN', step=480)

DIR holds a SavedModel that takes image files (`signatures`), the same network
as `model.keras` to train on, a file for each of the `runtimes` asked for, and
`model_card.md`.
"""

from transfusion_tf.export.about import About
from transfusion_tf.export.exporting import Exported
from transfusion_tf.export.exporting import export

__all__ = ['About', 'Exported', 'export']
