"""model_card.md: what an exported network is, and what it is not."""

from collections.abc import Sequence
import os
import pathlib

import markupsafe

from transfusion_tf import decisions as decisions_lib
from transfusion_tf import metrics
from transfusion_tf import shown_text
from transfusion_tf import templates
from transfusion_tf.export import about as about_lib
from transfusion_tf.export import card_data
from transfusion_tf.export import contents as contents_lib
from transfusion_tf.export import front_matter
from transfusion_tf.export import preparation as preparation_lib
from transfusion_tf.export import runtime_examples
from transfusion_tf.image_ops import validate
from transfusion_tf.run import build as run_lib
from transfusion_tf.run import record as record_lib
from transfusion_tf.run import scores as scores_lib
from transfusion_tf.run import train_and_evaluate
from transfusion_tf.study import subgroups
from transfusion_tf.study.plots import reliability

_TEMPLATE = pathlib.Path(__file__).parent / 'templates' / 'model_card.md'
# Settings that are listed; those of `runtime` change no result.
_LISTED = ('data.', 'model.', 'init.', 'optimizer.', 'train.', 'seed')


def render(
  run: run_lib.Run,
  preparation: preparation_lib.Preparation,
  layers: Sequence[str],
  record: record_lib.Record,
  contents: contents_lib.Contents,
  about: about_lib.About,
) -> str:
  """Return the card's text, from the run, its data and its folder.

  Metrics are shown only if they are of the exported checkpoint.

  Args:
    run: The run.
    preparation: The steps that raw files go through.
    layers: Layers of the signature `activations`.
    record: What is known of the network.
    contents: The files, and how well they agree with the run.
    about: What is stated of the network.
  """
  prepared = run.source.prepared
  dataset = prepared.identity['dataset']
  result, other = record.result, record.other(prepared.known_as)
  scored = result.get('test', {}) if record.is_judged else {}
  table, decisions = record.scores, record.decisions
  data = trained_on(run, record)
  head = front_matter.render(
    run.experiment.model.name,
    data,
    about,
    scored,
    result.get('judged_split', ''),
    [*(['keras'] if contents.keras else []), *_tags(contents.runtimes)],
  )
  return head + templates.render(
    _TEMPLATE,
    {'code': lambda text: markupsafe.Markup(text.strip())},
    about=about,
    citation=_indented(about.citation),
    model=run.experiment.model.name,
    members=run.members,
    parameters=run.model.count_params(),
    image_size=run.experiment.data.image_size,
    window=card_data.window(run.experiment.data),
    window_side=run.source.reader.evaluation_side,
    read_pixels=runtime_examples.read_pixels(run),
    normalization=run.experiment.data.normalization,
    task=type(run.task).__name__,
    classes=run.task.names,
    primary_metric=run.primary_metric,
    data=data,
    prepared_like=dataset if other else '',
    splits={} if other else card_data.splits(prepared),
    published={} if other else card_data.published_counts(prepared.summary),
    preparation=preparation.text,
    layers=layers,
    step=record.step,
    metrics={name: metrics.cells(score) for name, score in scored.items()},
    noise=_noise(table),
    points=_points(_judged(decisions, table, result)) if scored else [],
    confusion=_confusion(run.task, table),
    decisions=(decisions or decisions_lib.Decisions()).names(run.task),
    temperature=decisions.temperature if decisions else None,
    **_subgroups(run, table if not other else None),
    num_test=result.get('num_test'),
    judged_split=result.get('judged_split'),
    judged_step=result.get('judged_step'),
    num_train=result.get('num_train'),
    settings={
      k: _without_folders(v)
      for k, v in run.settings.items()
      if k.startswith(_LISTED)
    },
    trained_with=result.get('versions', {}),
    exported_with=train_and_evaluate.versions(),
    statuses=validate.STATUSES,
    contents=contents,
    example=contents.example,
    is_short=len(run.task.names) <= metrics.agreement.MOST_SHOWN,
    precision=run.network.precision,
  )


def trained_on(run: run_lib.Run, record: record_lib.Record) -> str:
  """Return the name of the data set that a network was trained on."""
  prepared = run.source.prepared
  other = record.other(prepared.known_as)
  return other.get('dataset', prepared.identity['dataset'])


def _tags(runtimes):
  """Return the tags of runtimes: what their flags begin with."""
  return sorted({runtime.name.partition('_')[0] for runtime in runtimes})


def _indented(text):
  """Return a text as a block that Markdown shows as it is."""
  lines = map(shown_text.printable, text.splitlines())
  return markupsafe.Markup('\n'.join(f'    {line}' for line in lines))


def _without_folders(value):
  """Return a setting; of a path, only what it names."""
  if isinstance(value, str) and (os.path.isabs(value) or '://' in value):
    return os.path.basename(os.path.normpath(value))
  return value


def _noise(table):
  """Return the calibration error that noise alone makes, or None."""
  if table is None or metrics.answers.from_table(table) is None:
    return None
  return reliability.noise(table)


def _confusion(task, table):
  """Return a row for each class: its name, and how often each was said."""
  if table is None or len(task.names) > metrics.agreement.MOST_SHOWN:
    return []
  found = scores_lib.confusion(task, table)
  return [
    (name, *counts)
    for name, counts in zip(
      found.get('names', ()), found.get('counts', ()), strict=True
    )
  ]


def _judged(decisions, table, result):
  """Return the operating points that are stored, on the test scores."""
  if table is None or not decisions:
    return result.get('operating_points', ())
  return scores_lib.judge(decisions.points, table)


def _points(judged):
  """Return a row of texts for each operating point."""
  return [
    (
      point['question'],
      f'{point["point"]}, {point["at_least"]:g} or more',
      'none' if point['threshold'] is None else f'{point["threshold"]:.4f}',
      f'{point["chosen_on"]} images',
      *(
        metrics.text(point[side]).replace('95 % interval ', '')
        for side in ('sensitivity', 'specificity')
      ),
    )
    for point in judged
  ]


def _subgroups(run, table):
  """Return the rows of the table of subgroups, and what to make of it."""
  groups = run.source.prepared.subgroups
  if table is None or not len(groups.columns):
    return {'subgroups': [], 'caution': ''}
  rows = subgroups.rows([table], groups, run.primary_metric)
  texts = [
    (
      *(row[name] for name in subgroups.COLUMNS[:-1]),
      '–' if row['positive'] is None else row['positive'],
      row['score'].text(),
      row['difference'].text(sign='+'),
    )
    for row in rows.astype(object).to_dict('records')
  ]
  return {'subgroups': texts, 'caution': subgroups.caution(rows)}
