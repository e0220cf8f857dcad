"""The base of our TFDS builders: records of raw files become a data set.

A builder says how to find its records, what is stored of a photograph, and
which label features there are. The rest, here, is shared: the examples carry

  image       JPEG, as `picture` makes it
  image_id    unique in the set
  patient_id  whom it shows
  ...         the label features

and `splits.csv` and the preflight's reports lie beside the records.
"""

import abc
from collections.abc import Callable, Iterator, Mapping, Sequence
import contextlib
import dataclasses
import functools
import glob
import io
import os
from typing import Any, Self

from PIL import Image
import tensorflow_datasets as tfds

from data import examples
from data import findings
from data import opened
from data import parallel
from data import preflight
from data import preflight_html
from data import preflight_report
from data import raw_dataset
from data import set_digest
from data import sizes
from transfusion_tf import errors
from transfusion_tf import scratch
from transfusion_tf import storage


@dataclasses.dataclass(eq=False)
class Config(tfds.core.BuilderConfig):
  """One of several raw data sets, and the side of the squares to store."""

  source: str = ''
  image_size: int = 0


def config(source: str, image_size: int) -> Config:
  """Return a config named SOURCE_SIZE."""
  name = f'{source}_{image_size}'
  return Config(name=name, source=source, image_size=image_size)


class Builder(
  tfds.core.GeneratorBasedBuilder,  # Untyped: mypy takes it for `object`.
  skip_registration=True,  # type: ignore[call-arg]
):
  """Builds a data set from image files that are already on disk.

  Attributes:
    checked: The records to build; if None, the manual folder is listed and
      checked first, and must have no bad records.
    num_processes: 0 is one a core.
    use_beam: If true, the examples are made in an Apache Beam pipeline.
  """

  VERSION = tfds.core.Version('1.0.0')
  MANUAL_DOWNLOAD_INSTRUCTIONS = 'See data/README.md.'

  checked: preflight_report.Report | None = None
  num_processes: int = 0
  use_beam: bool = False

  @classmethod
  def from_source(
    cls,
    data_dir: str | os.PathLike,
    source: str | None = None,
    image_size: int | None = None,
  ) -> Self:
    """Return a builder with BUILDER_CONFIGS, for a source and any image size.

    Raises:
      InputError: There is no such source.
    """
    known = {known.source: known for known in cls.BUILDER_CONFIGS}
    default = cls.BUILDER_CONFIGS[0]
    if source and source not in known:
      raise errors.unknown('source', source, known)
    new = config(source or default.source, image_size or default.image_size)
    return cls(data_dir=data_dir, config=cls.builder_configs.get(new.name, new))

  @abc.abstractmethod
  def find(self, manual_dir: str | os.PathLike) -> raw_dataset.RawDataset:
    """List the raw data set."""

  @property
  @abc.abstractmethod
  def picture(self) -> preflight_html.Picture:
    """A picklable function from a raw picture to the one to store."""

  @abc.abstractmethod
  def label_features(self) -> Mapping[str, Any]:
    """Return the TFDS features of `Record.labels`."""

  def recorded(self) -> Mapping[str, Any]:
    """Return what the metadata have to tell whoever reads the set."""
    return {}

  @property
  def squeezed_side(self) -> int:
    """The side of the squares that a network gets, if images are not cut."""
    return 0

  @property
  def look(self) -> Callable[[Image.Image], str] | None:
    """A function: small copy of an image -> kind of its note, or ''.

    It may refuse the image with `raw_dataset.InvalidRecordError`.
    """
    return None

  def check(
    self, manual_dir: str | os.PathLike, seed: int = 0, split_file: str = ''
  ) -> preflight_report.Report:
    """List and check the raw data set; see `preflight.check`."""
    dataset = preflight.check(
      self.find(manual_dir), self.look, seed, split_file, self.num_processes
    )
    dataset.problems.extend(sizes.notes(dataset.records, self.squeezed_side))
    shown = preflight_html.pictures(dataset, self.picture, self.num_processes)
    return preflight_report.Report(
      self.info.full_name, dataset, seed, shown, split_file
    )

  def build(
    self,
    checked: preflight_report.Report,
    overwrite: bool = False,
    beam: Mapping[str, Any] | None = None,
    remedy: str = 'replace it with --overwrite or choose another --data_dir',
  ) -> bool:
    """Build what `check` found good.

    Args:
      checked: The result of `check`.
      overwrite: If true, a data set built from other data is replaced.
      beam: The result of `beam_config`; None builds without Beam.
      remedy: What to do if another data set is there.

    Returns:
      False if the same data set was there.

    Raises:
      InputError: Another data set is there.
      RunError: A worker of Beam was lost, or failed.
    """
    if self.data_path.exists() and not overwrite:
      existing = self.info.metadata.get('records_sha256')
      if existing in (checked.summary['records_sha256'], self._before(checked)):
        # They are no part of the records, and may be asked for later.
        checked.write_subgroups(self.data_path)
        return False
      raise errors.InputError(
        f'{self.data_dir} was prepared from other raw data or another split; '
        f'{remedy}'
      )
    self.checked, self.use_beam = checked, bool(beam)
    tfds.disable_progress_bar()  # Ours knows how much there is to do.
    with _convert_beam_errors() if beam else contextlib.nullcontext():
      run(self, overwrite, **(beam or {}))
    return True

  def _before(self, checked):
    """Return the fingerprint of the same data by the split that is there.

    Earlier versions left a split without a class where the draw did.
    """
    path = self.data_path / 'splits.csv'
    drawn_alike = self.info.metadata.get('seed') == checked.seed
    if checked.split_file or not drawn_alike or not path.exists():
      return None
    return checked.fingerprint(path)

  def _info(self) -> tfds.core.DatasetInfo:
    info = self.dataset_info_from_configs(
      features=tfds.features.FeaturesDict(
        {
          'image': tfds.features.Image(encoding_format='jpeg'),
          'image_id': tfds.features.Text(),
          'patient_id': tfds.features.Text(),
          **self.label_features(),
        }
      ),
      metadata=tfds.core.MetadataDict(),
    )
    # TFDS would ask Google's bucket for a set of this name, and leave a folder.
    info.initialize_from_bucket = lambda: None
    return info

  def _split_generators(self, dl_manager: tfds.download.DownloadManager):
    checked = self.checked
    if not checked:
      checked = self.check(dl_manager.manual_dir)
      checked.refuse()
    self.info.metadata.update(
      {**checked.summary, **self._order(), **self.recorded()}
    )
    # `data_dir` still is the temporary folder that is renamed in the end.
    checked.write(self.data_dir)
    groups = checked.dataset.splits()
    return {s: self._generate_examples(r) for s, r in groups.items()}

  def _download_and_prepare(self, dl_manager, download_config):
    super()._download_and_prepare(dl_manager, download_config)
    digest = set_digest.of_examples(self._written())
    self.info.metadata['pixels_sha256'] = digest

  def _written(self) -> Iterator[set_digest.Example]:
    """Yield the examples, which are in the temporary folder."""
    import tensorflow as tf  # A check alone does without.

    labels = _label_columns(self.label_features())
    for split in self.info.splits.values():
      files = [os.fspath(path) for path in split.filepaths]
      for record in tf.data.TFRecordDataset(files).as_numpy_iterator():
        values = tf.train.Example.FromString(record).features.feature
        yield set_digest.Example(
          split.name,
          values['patient_id'].bytes_list.value[0].decode(),
          {
            name: feature.names[values[name].int64_list.value[0]]
            for name, feature in labels.items()
          },
          values['image'].bytes_list.value[0],
        )

  def _order(self):
    """Return the findings in order, which TFDS does not keep."""
    labels = self.label_features()
    names = labels.get('findings')
    return {'findings': list(names)} if names else {}

  def _example_writer(self) -> tfds.core.writer.ExampleWriter:
    return _SameBytes(file_format=self.info.file_format)

  def _generate_examples(self, records: Sequence[raw_dataset.Record]):
    make_example = functools.partial(examples.make, picture=self.picture)
    if self.use_beam:
      import apache_beam as beam

      items = beam.Create(records) | beam.Reshuffle()
      return items | beam.Map(opened.Opened) | beam.Map(make_example)
    return parallel.ordered_map(
      make_example,
      opened.opened(records),
      self.num_processes,
      title=records[0].split,
      total=len(records),
    )


def _label_columns(features):
  """Return the class label of each column that a record has."""
  columns = {
    f'findings/{n}': f for n, f in features.get('findings', {}).items()
  }
  return columns | {k: features[k] for k in ('grade', 'label') if k in features}


class _SameBytes(tfds.core.writer.ExampleWriter):
  """Writes an example as the same bytes in every process.

  TFDS serializes the features in the order of a hash table, which is another
  one in every process.
  """

  def write(self, path, examples):
    import tensorflow as tf  # A check alone does without.

    parse = tf.train.Example.FromString
    return super().write(
      path,
      (
        (key, parse(data).SerializeToString(deterministic=True))
        for key, data in examples
      ),
    )


def run(builder: tfds.core.DatasetBuilder, overwrite: bool, **options: Any):
  """Build into a temporary folder that is renamed when all is done.

  Args:
    builder: Any TFDS builder.
    overwrite: If true, a data set that was built before is replaced.
    **options: Arguments of `tfds.download.DownloadConfig`.

  Raises:
    InputError: Another process is building it.
  """
  modes = tfds.download.GenerateMode
  options['download_mode'] = (
    modes.REUSE_CACHE_IF_EXISTS if overwrite else modes.REUSE_DATASET_IF_EXISTS
  )
  # Nothing is downloaded, though TFDS says so.
  with _alone(builder), contextlib.redirect_stdout(io.StringIO()):
    builder.download_and_prepare(
      download_config=tfds.download.DownloadConfig(**options)
    )


@contextlib.contextmanager
def _convert_beam_errors():
  """Make one line of what a runner raises, with the traces of its workers."""
  try:
    yield
  except (errors.InputError, OSError):
    raise
  except Exception as error:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    raise errors.RunError(
      f'a worker of --beam_runner was lost, or failed: {lines[-1]}; nothing is '
      'built, and the same command begins anew'
    ) from error


@contextlib.contextmanager
def _alone(builder):
  """Keep other processes from building the same; delete what dead ones left."""
  folder = os.path.dirname(os.fspath(builder.data_path))
  with storage.held(folder, 'wait for it or choose another --data_dir'):
    if not storage.is_remote(folder):
      scratch.delete_dead(os.path.join(glob.escape(folder), 'incomplete.*'))
    yield


def beam_config(runner: str, options: Sequence[str]) -> dict[str, Any]:
  """Return what TFDS has to know to build through Beam.

  Args:
    runner: Name of the Beam runner.
    options: Options of the runner, `name=value` each.

  Raises:
    InputError: There is no such runner, or no Beam.
  """
  try:
    from apache_beam import runners
    from apache_beam.options import pipeline_options
  except ImportError:
    raise errors.InputError(
      "--beam_runner needs Apache Beam: pip install -e '.[beam]'"
    ) from None
  try:
    runners.create_runner(runner)
  except ValueError as error:
    raise errors.InputError(f'--beam_runner: {error}') from None
  arguments = [f'--{option}' for option in options]
  return {
    'beam_runner': runner,
    'beam_options': pipeline_options.PipelineOptions(arguments),
  }


def findings_feature(names: Sequence[str]) -> tfds.features.FeaturesDict:
  """Return a four-state class label for each finding."""
  return tfds.features.FeaturesDict(
    {name: tfds.features.ClassLabel(names=findings.STATES) for name in names}
  )
