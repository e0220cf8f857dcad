"""Reading, cropping and scaling image files, in TensorFlow's operations.

Before a run sees an image, `bin/prepare_data.py` has decoded, cut, scaled and
stored it. An exported network meets files that nobody prepared, and does with
them what preparing did, in a graph that needs nothing but TensorFlow:

  rules                 the numbers and formulas, which `data/` takes from here
  containers            what a file says of its pixels, and if it is whole
  decode                encoded bytes -> an upright 8-bit picture
  orientation           which way up a camera says that its photograph is
  resize                Pillow's scaling
  blocks                some rows after the others, where memory is short
  fundus                the disc of a fundus photograph, found and cut out
  connected_components  connected regions of a mask
  validate              an unreadable file has a status, not an exception

`data/` itself prepares with Pillow and SciPy, so that a worker process need not
import TensorFlow and a file may be TIFF, BMP or DICOM; tests hold the two to
each other: decoding, also of damaged files, thumbnails and discs are equal,
scaling is within one gray value.
"""
