"""What only the owner of a network can say of it."""

import dataclasses
import re

from transfusion_tf import errors

# Identifiers of licenses have no spaces: apache-2.0, cc-by-nc-4.0, mit.
_LICENSE_ID = re.compile(r'[a-z0-9][a-z0-9.+-]*')


@dataclasses.dataclass(frozen=True)
class About:
  """What is stated of a network; empty where nothing is.

  Attributes:
    license: An identifier as `apache-2.0`, or the name of another license.
    owner: Who answers for it, and how to reach them.
    citation: How to cite it, also as BibTeX of several lines.
    intended_use: What it is meant for.
  """

  license: str = ''
  owner: str = ''
  citation: str = ''
  intended_use: str = ''

  def __post_init__(self):
    for name in ('license', 'owner', 'intended_use'):
      errors.check_text(name, getattr(self, name))
    errors.check_text('citation', ' '.join(self.citation.split()))

  @property
  def license_id(self) -> str:
    """The license's identifier; `other` if it has none, empty if not stated."""
    if not self.license:
      return ''
    identifier = self.license.lower()
    return identifier if _LICENSE_ID.fullmatch(identifier) else 'other'


NOT_STATED = About()
