"""Writes a study's numbers, tables, figures, claims and report.html."""

from collections.abc import Sequence
import io
import os

import matplotlib as mpl
from matplotlib import figure
import pandas as pd

from transfusion_tf import storage
from transfusion_tf.paper import claims
from transfusion_tf.paper import csv_export
from transfusion_tf.paper import figures
from transfusion_tf.paper import provenance
from transfusion_tf.paper import published_values
from transfusion_tf.paper import runs
from transfusion_tf.paper import study as study_lib
from transfusion_tf.paper import table_format
from transfusion_tf.paper import tables
from transfusion_tf.study import report
from transfusion_tf.study import results
from transfusion_tf.study import statistics
from transfusion_tf.study.plots import layout


def write(study: study_lib.Study, targets: Sequence[str]) -> str:
  """Write the targets below the study's folder; return tables as text."""
  names, texts = runs.expand(targets), []
  captions = published_values.read('captions')
  sections = [provenance.about(study, names)]
  for name, frame in csv_export.frames(study, names).items():
    _write(study, f'{name}.csv', frame.to_csv(index=False, float_format='%.6g'))
  if {runs.CLAIMS, runs.ALL} & set(targets):
    judged = _claims_frame(study)
    _write(study, 'claims.csv', judged.to_csv(index=False))
    sections.append(_claims_section(judged))
    shown = judged[['Claim', 'The paper says', 'Verdict']]
    texts.append(shown.to_string(index=False))
  for number, name in enumerate(n for n in names if n in tables.TABLES):
    table = tables.TABLES[name](study)
    texts.append(_write_table(study, table))
    sections.append(
      report.Section(
        _title(name),
        [captions[name], table.about],
        table.frame(),
        part='' if number else 'Tables',
      )
    )
  for number, name in enumerate(n for n in names if n in figures.FIGURES):
    drawn = draw(study, name)
    _write_figure(study, name, drawn)
    sections.append(
      report.Section(
        _title(name),
        figure=drawn,
        caption=captions.get(name, ''),
        part='' if number else 'Figures',
      )
    )
  sections += provenance.paper_sections()
  sections += provenance.missing_runs(study, names)
  path = os.path.join(study.root, 'report.html')
  report.write(path, f'Transfusion, scale {study.scale.name}', sections)
  return '\n\n'.join(texts)


def draw(study: study_lib.Study, name: str) -> figure.Figure:
  """Return a figure; where nothing can be drawn, one that says why."""
  try:
    drawn = figures.FIGURES[name](study)
    drawn.draw_without_rendering()
    drawn.set_layout_engine('none')  # Once is enough for all formats.
    return drawn
  except results.UNAVAILABLE as error:
    missing = str(error)
  fig, axes = layout.single((6, 1.5))
  axes.set_axis_off()
  axes.text(0.5, 0.5, f'missing: {missing}', ha='center', wrap=True)
  return fig


def _claims_frame(study):
  judgements = claims.judge_all(study)
  adjusted = statistics.holm([judged.p_value for judged in judgements])
  return pd.DataFrame(
    [
      {
        'Claim': str(judged.claim.number),
        'The paper says': judged.claim.text,
        'Where': judged.claim.reference,
        'Ours': judged.finding,
        'Verdict': judged.verdict,
        'p': f'{p_value:.3f}',
        'Why the scale may matter': judged.claim.scale,
      }
      for judged, p_value in zip(judgements, adjusted, strict=True)
    ]
  )


def _claims_section(frame):
  counts = frame['Verdict'].value_counts()
  return report.Section(
    'The nineteen claims',
    [
      'Each part of a claim is judged by a 95 % interval: inside the range '
      'that the claim names it holds, outside it does not, across the border '
      'it is inconclusive. A claim holds if all its parts do. It does not if '
      'one does not, with a p value that the number of parts multiplies: many '
      'parts are many chances to fail by luck. Claims about learning are not '
      'judged by networks that have not learned their task. p is that of the '
      'verdict, adjusted for nineteen claims (Holm). '
      'Verdicts: '
      + '; '.join(f'{verdict}: {count}' for verdict, count in counts.items())
      + '.'
    ],
    frame,
  )


def _write_table(study, table: table_format.Table) -> str:
  text = table.frame().to_string(index=False)
  name = os.path.join('tables', table.name)
  _write(study, f'{name}.txt', f'{text}\n\n{table.about}\n')
  _write(study, f'{name}.csv', table.numbers().to_csv(index=False))
  _write(study, f'{name}.tex', table.latex())
  return f'{_title(table.name)}: {table.title}\n{text}'


def _write_figure(study, name, drawn):
  # Ids that are the same each time, no date: the same study, the same file.
  with mpl.rc_context({'svg.hashsalt': name}):
    for kind, metadata in (('png', {}), ('svg', {'Date': None})):
      buffer = io.BytesIO()
      drawn.savefig(buffer, format=kind, dpi=144, metadata=metadata)
      _write(study, f'figures/{name}.{kind}', buffer.getvalue())


def _title(name):
  kind = 'table' if name in tables.TABLES else 'figure'
  return f'{kind.capitalize()} {name.removeprefix(kind)}'


def _write(study, name, content):
  content = content if isinstance(content, bytes) else content.encode()
  with storage.atomic_write(os.path.join(study.root, name), 'wb') as file:
    file.write(content)
