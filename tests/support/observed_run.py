"""Runs an experiment and keeps what this process itself holds.

  python observed_run.py CONFIG RUN_DIR OUTPUT

OUTPUT (.npz) gets the test scores before the first step and the weights after
the last one, from memory: on every worker, not only the one that writes.
"""

import sys

import numpy as np

from transfusion_tf import config
from transfusion_tf.run import train_and_evaluate
from transfusion_tf.run import trainer


class Observed(trainer.Trainer):
  def __init__(self, built, *args):
    super().__init__(built, *args)
    train, scores = self.loop.run, self.predict('test')

    def run():
      stopped_early = train()
      weights = {v.path: v.numpy() for v in built.model.weights}
      np.savez(sys.argv[3], scores=scores, **weights)
      return stopped_early

    self.loop.run = run


if __name__ == '__main__':
  trainer.Trainer = Observed
  train_and_evaluate.run(config.load(sys.argv[1]), sys.argv[2])
