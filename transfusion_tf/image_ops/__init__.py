"""Raw image files -> what the network was trained on, in TensorFlow's ops.

Before a run sees an image, `bin/prepare_data.py` has decoded, cut, scaled and
stored it. An exported network meets files that nobody prepared. This room does
with them what preparing did, in a graph that needs nothing but TensorFlow:

  decoding       encoded bytes -> an upright 8-bit picture
  orientation    which way up a camera says that its photograph is
  resampling     Pillow's scaling
  fundus         the disc of a fundus photograph, found and cut out
  regions        connected regions of a mask
  preparation    what a prepared data set's images went through
  guard          a file that cannot be read has a status, not an exception
"""
