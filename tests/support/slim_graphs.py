"""TF-Slim's own graphs, and checkpoints as its authors published them."""

import sys

import numpy as np
import tensorflow as tf

tf1 = tf.compat.v1
NUM_CLASSES = {'inception_v3': 1001, 'resnet50': 1000}


def tf_slim_nets():
  # tf-slim imports a name that TF 2.21's tf_keras keeps elsewhere.
  import tf_keras.src.legacy_tf_layers

  sys.modules['tf_keras.legacy_tf_layers'] = tf_keras.src.legacy_tf_layers
  from tf_slim.nets import inception_v3
  from tf_slim.nets import resnet_v1
  from tf_slim.ops import arg_scope

  return inception_v3, resnet_v1, arg_scope.arg_scope


def graph(name, images, aux):
  """TF-Slim's logits [B, classes] in the present graph."""
  inception_v3, resnet_v1, arg_scope = tf_slim_nets()
  classes = NUM_CLASSES[name]
  if name == 'inception_v3':
    with arg_scope(inception_v3.inception_v3_arg_scope()):
      logits, _ = inception_v3.inception_v3(
        images,
        classes,
        is_training=False,
        create_aux_logits=aux,
        spatial_squeeze=aux,
      )
  else:
    with arg_scope(resnet_v1.resnet_arg_scope()):
      logits, _ = resnet_v1.resnet_v1_50(images, classes, is_training=False)
  return tf.reshape(logits, [-1, classes])


def randomize(session, variables, seed=0):
  """Batch norm statistics and biases are random too, not at identity."""
  rng = np.random.default_rng(seed)
  values = {}
  for variable in variables:
    shape = variable.shape.as_list()
    if variable.op.name.endswith('moving_variance'):
      values[variable] = rng.uniform(0.5, 1.5, shape)
    elif variable.op.name.endswith('gamma'):
      # Around one half, or the sums of ResNet's units grow to thousands, and
      # with them the last digit of float32 beyond the tolerance.
      values[variable] = rng.uniform(0.25, 0.75, shape)
    elif not variable.op.name.endswith('/weights'):
      values[variable] = rng.normal(0, 0.3, shape)
  assignments = [variable.initializer for variable in values]
  # One call: each takes as long as all.
  session.run(
    assignments,
    {a.inputs[1]: v for a, v in zip(assignments, values.values(), strict=True)},
  )


def save(folder, name):
  """A Saver checkpoint of the randomized graph, as published: its prefix."""
  with tf1.Graph().as_default(), tf1.Session() as session:
    tf1.set_random_seed(1)
    graph(name, tf.zeros([1, 299, 299, 3]), aux=True)
    network = tf1.global_variables()
    tf1.get_variable('global_step', initializer=np.int64(7))
    if name == 'resnet50':
      tf1.get_variable('resnet_v1_50/mean_rgb', [3])
    session.run(tf1.global_variables_initializer())
    randomize(session, network)
    prefix = str(folder / f'{name}.ckpt')
    return tf1.train.Saver().save(session, prefix, write_meta_graph=False)
