"""What is cited is where the paper has it."""

import re
import subprocess

import paths
import pytest

# The paper's sections and appendices, and what is told where.
_PLACES = {
  *(f'Section {n}' for n in (1, 2, 3, '3.1', 4, 5, 6)),
  *(f'Appendix {n}' for n in ('A', 'B', 'C', 'D', 'E', 'F')),
  *(f'Appendix F.{n}' for n in (1, 2, 3)),
}
_CITATION = re.compile(r'\b(Section|Appendix) ([A-F0-9](?:\.\d)?)\b')
_OTHERS = ('CIPA DC-008', 'Exif')  # Standards have sections, too.
# The training of Appendix A: none of it is in Section 2, which has the data.
_TRAINING = re.compile(
  r'Adam|batch|crop|\bhue|flips?\b|sigmoid|momentum|learning rate', re.I
)


def _lines():
  files = subprocess.run(
    ['git', 'ls-files', '*.py', '*.md', '*.json'],
    cwd=paths.ROOT,
    capture_output=True,
    text=True,
    check=True,
  ).stdout.split()
  for name in files:
    if not name.startswith('tests/'):
      for line in (paths.ROOT / name).read_text().splitlines():
        yield name, line


def test_cited_sections_exist():
  cited = [
    (name, ' '.join(match.groups()))
    for name, line in _lines()
    if not any(other in line for other in _OTHERS)
    for match in _CITATION.finditer(line)
  ]
  assert len(cited) > 50
  assert [pair for pair in cited if pair[1] not in _PLACES] == []


def test_training_is_not_cited_from_section_2():
  wrong = [
    line
    for _, line in _lines()
    if 'Section 2' in line and _TRAINING.search(line)
  ]
  assert wrong == []


@pytest.mark.parametrize(
  ('figure', 'place'),
  [('Figure 4', 'Section 4'), ('Figure 20', 'Appendix F')],
)
def test_figures_are_in_their_sections(figure, place):
  claims = (paths.ROOT / 'transfusion_tf/paper/values/claims.json').read_text()
  references = re.findall(r'"reference": "([^"]*)"', claims)
  assert [r for r in references if r.endswith(figure)] == [f'{place}, {figure}']
