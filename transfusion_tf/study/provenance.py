"""What a report says of how its runs were made."""

from transfusion_tf.study import results


def of_run(run: results.Result) -> list[str]:
  """Return what made a run, and what its folder holds."""
  made = ', '.join(f'{k} {v}' for k, v in run.result['versions'].items())
  return [
    f'Made with {made}. Every run folder holds its whole configuration '
    '(config.json), what happened to each weight before training (init.json) '
    'and one line an evaluation (metrics.jsonl).'
  ]
