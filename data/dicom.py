"""DICOM files, by the optional dependency pydicom."""

import io

import numpy as np
from PIL import Image

from data import images
from data import raw_dataset


def load(data: bytes) -> Image.Image:
  """Decode a single-frame DICOM file as 8-bit gray or color.

  Gray values go through the modality transform and the first window (VOI) of
  the header and are stretched to 0..255; MONOCHROME1, in which high is dark,
  is inverted.

  Raises:
    InvalidRecordError: Not installed, not decodable, or many frames.
  """
  try:
    import pydicom
    from pydicom import pixels
  except ImportError:
    raise raw_dataset.InvalidRecordError(
      'not an image', 'DICOM: install the extra, pip install -e .[dicom]'
    ) from None
  try:
    file = pydicom.dcmread(io.BytesIO(data))
    images.check_size(file.Columns, file.Rows)
    if int(file.get('NumberOfFrames', 1)) != 1:
      raise raw_dataset.InvalidRecordError(
        'not an image', f'DICOM of {file.NumberOfFrames} frames'
      )
    if file.SamplesPerPixel == 3:
      return Image.fromarray(pixels.pixel_array(file))  # YBR becomes RGB.
    values = pixels.apply_modality_lut(file.pixel_array, file)
    values = pixels.apply_voi_lut(values, file)
  except raw_dataset.InvalidRecordError:
    raise
  except Exception as error:  # The header's fields can lack or lie.
    raise raw_dataset.InvalidRecordError(
      'not an image', f'DICOM: {error}'
    ) from None
  if file.PhotometricInterpretation == 'MONOCHROME1':
    values = -np.asarray(values, np.float32)
  return images.rescale_intensity(values)
