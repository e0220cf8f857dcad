"""Classifies files with an export; a process that has TensorFlow alone.

python -I bare_process.py EXPORT_DIR FILES.npy OUTPUT.npz [SIGNATURE]
"""

import gc
import sys

import numpy as np
import tensorflow as tf

# Any import of these fails.
sys.modules |= dict.fromkeys(('transfusion_tf', 'data', 'svcca', 'keras'))


def _main(export_dir, files, output, signature='serve'):
  files = np.load(files, allow_pickle=True)
  network = tf.saved_model.load(export_dir)
  serve = network.signatures[signature]
  found = {k: v.numpy() for k, v in serve(tf.constant(list(files))).items()}
  found['names'] = network.class_names.numpy()
  none = serve(tf.constant([], tf.string))
  found |= {f'none_{k}': v.numpy() for k, v in none.items()}
  found['by_loader_of_tf1'] = _by_loader_of_tf1(export_dir, files)
  np.savez(output, **found)


def _by_loader_of_tf1(export_dir, files):
  v1 = tf.compat.v1
  with v1.Session(graph=tf.Graph()) as session:
    meta = v1.saved_model.load(session, ['serve'], export_dir)
    signature = meta.signature_def['serving_default']
    return session.run(
      signature.outputs['probabilities'].name,
      {signature.inputs['image_bytes'].name: files},
    )


if __name__ == '__main__':
  _main(*sys.argv[1:])
  gc.freeze()  # It would visit all of TensorFlow at the end, for a second.
