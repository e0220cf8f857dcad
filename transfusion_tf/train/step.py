"""One training step, the same on one device, many, and a TPU pod.

Many steps run in one host call (`TrainStep.__call__`): the loop is inside the
compiled function and the number of steps is a tensor, so that a new number
does not trigger a compilation.
"""

from collections.abc import Callable, Collection, Iterator
import functools

import keras
import tensorflow as tf

from transfusion_tf.models import graph as graph_lib
from transfusion_tf.models import state as state_lib

_Batch = dict[str, 'tf.Tensor']
# Name -> start and dtype.
_COUNTERS = {
  'step': (0, tf.int64),
  'loss_sum': (0, tf.float64),
  'loss_steps': (0, tf.int64),
  'bad_step': (-1, tf.int64),
}


class TrainStep:
  """Compiled training steps of a model under a strategy.

  Attributes:
    optimizer: The optimizer.
    generator: Keras' global random generator, if training draws from it; else
      None.
    batch_size: Global batch size.
    counters: `step`; `loss_sum` and `loss_steps` since the last
      `reset_mean_loss`; `bad_step`, the first step whose loss was not finite,
      or -1. All are part of a checkpoint.
  """

  def __init__(
    self,
    strategy: tf.distribute.Strategy,
    model: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    prepare: Callable[[_Batch], 'tf.Tensor'],
    loss: Callable[..., 'tf.Tensor'],
    batch_size: int,
    weight_decay: float = 0.0,
    xla: bool = False,
    measure_input_wait: bool = True,
    head: Collection[str] = (),
  ):
    """Initialize the step of a model that is already built.

    Args:
      strategy: The devices.
      model: A model of logits [b, K].
      optimizer: An optimizer built on the model's trainable variables.
      prepare: Maps a batch to the model's input.
      loss: Maps logits, targets and mask, [b, K] each, to losses [b].
      batch_size: Global batch size, by which the sum of losses is divided.
      weight_decay: L2 penalty on all trainable weights except biases and those
        of rank 1, as batch norm's.
      xla: Whether to compile the forward and backward pass.
      measure_input_wait: Whether to time the waiting for batches. TensorFlow
        does not read a clock with op determinism.
      head: Paths of the weights that steps of a linear probe train.
    """
    self._strategy = strategy
    self._model = model
    self.optimizer = optimizer
    # Moments begin at zero; the scale of losses in half precision does not.
    self._scalars = {
      id(v): v.numpy() for v in optimizer.variables if v.shape == ()
    }
    self._prepare = prepare
    self._loss = loss
    self.batch_size = batch_size
    self._weight_decay = weight_decay
    self._measure_input_wait = measure_input_wait
    self._scales = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    self._graph = graph_lib.Graph(model)
    self._decayed = [
      w.variable
      for w in self._graph.weights
      if w.variable.trainable
      and w.role == graph_lib.KERNEL
      and len(w.variable.shape) > 1
    ]
    self._frozen = _frozen_nodes(self._graph)
    self._is_head = {
      id(w.variable): w.path in head for w in self._graph.weights
    }
    self._body = _body_nodes(self._graph, head)
    with strategy.scope():
      self.generator = state_lib.global_generator(model)
    self._statistics = (
      [v.value for v in state_lib.assigned_in_training(model) if _is_real(v)]
      if strategy.num_replicas_in_sync > 1
      else []
    )
    # Gradients only: collective operations do not compile.
    self._gradients = (
      tf.function(self._compute_gradients, jit_compile=True)
      if xla
      else self._compute_gradients
    )
    with tf.device('CPU:0'):  # Counted on the host.
      self.counters = {
        name: _counter(start, dtype)
        for name, (start, dtype) in _COUNTERS.items()
      }
      # No state of the training: not part of a checkpoint.
      self._waited = _counter(
        0 if measure_input_wait else float('nan'), tf.float64
      )

  @tf.function(reduce_retracing=True, autograph=False)
  def __call__(
    self,
    batches: Iterator[_Batch],
    num_steps: 'tf.Tensor',
    probing: bool = False,
  ) -> None:
    """Take steps.

    Args:
      batches: Distributed batches.
      num_steps: Number of steps; a Python number would be compiled in.
      probing: Whether they train the head alone, on features as in evaluation.
    """
    if not tf.is_tensor(num_steps):
      raise TypeError(f'num_steps must be a tensor, not {num_steps!r}')

    def take_one(done):
      # A TPU strategy would make a tensor of an argument.
      step = functools.partial(self._replica_step, probing=probing)
      losses = self._strategy.run(step, (self._next(batches),))
      self._count(
        self._strategy.reduce(tf.distribute.ReduceOp.SUM, losses, axis=None)
      )
      return done + 1

    tf.while_loop(
      lambda done: done < num_steps,
      take_one,
      [tf.zeros_like(num_steps)],
      parallel_iterations=1,
    )

  def reset(self) -> None:
    """Return to step 0; the weights stay."""
    self.reset_optimizer()
    for name, counter in self.counters.items():
      start, _ = _COUNTERS[name]
      counter.assign(start)

  def reset_optimizer(self) -> None:
    """Forget moments and begin the schedule of the learning rate anew."""
    for variable in self.optimizer.variables:
      zeros = tf.zeros(variable.shape, variable.dtype)
      variable.assign(self._scalars.get(id(variable), zeros))

  @property
  def step(self) -> int:
    """The number of steps taken."""
    return int(self.counters['step'].numpy())

  @property
  def learning_rate(self) -> float:
    """The learning rate of the next step."""
    return float(self.optimizer.learning_rate)

  @property
  def seconds_waited(self) -> float:
    """Seconds that this host has waited for batches; NaN if not measured."""
    return float(self._waited.numpy())

  @property
  def mean_loss(self) -> float:
    """The mean loss of the steps since `reset_mean_loss`; 0 of no step."""
    total, count = self.counters['loss_sum'], self.counters['loss_steps']
    return float(total.numpy()) / max(int(count.numpy()), 1)

  def reset_mean_loss(self) -> None:
    """Begin a new mean."""
    for name in ('loss_sum', 'loss_steps'):
      self.counters[name].assign(_COUNTERS[name][0])

  def _next(self, batches):
    """Return the next batch; add the seconds of waiting for it to `_waited`.

    The host's clock is read twice. An iteration of the loop ends with the loss
    on the host before the next one begins: batches that are read while the
    devices compute cost no waiting. Where the loss is known before the weights
    are updated (GPUs without XLA), this is an upper bound.
    """
    if not self._measure_input_wait:
      return next(batches)
    with tf.device('CPU:0'):
      began = tf.timestamp()
    with tf.control_dependencies([began]):
      batch = next(batches)
    parts = tf.nest.flatten(batch, expand_composites=True)
    with tf.control_dependencies(parts), tf.device('CPU:0'):
      self._waited.assign_add(tf.timestamp() - began)
    return batch

  def _replica_step(self, batch, probing=False):
    if self.generator is not None:
      state_lib.set_global_generator(self.generator)
    loss, gradients = self._gradients(batch, probing)
    if self._scales and self._strategy.num_replicas_in_sync > 1:
      gradients = _all_or_none(gradients)
    self.optimizer.apply(gradients, self._model.trainable_variables)
    self._average_statistics()
    return loss

  def _average_statistics(self):
    """Average the moving statistics, as batch norm's, over the replicas.

    Each replica normalizes with its own batch, as one device would. The
    statistics would drift apart, and a checkpoint holds only the first
    replica's.
    """
    if self._strategy.num_replicas_in_sync > 1 and self._statistics:
      means = tf.distribute.get_replica_context().all_reduce(
        tf.distribute.ReduceOp.MEAN,
        [tf.identity(v) for v in self._statistics],
      )
      for variable, mean in zip(self._statistics, means, strict=True):
        variable.assign(mean)

  def _compute_gradients(self, batch, probing=False):
    with tf.GradientTape() as tape:
      logits = self._logits(self._prepare(batch), probing)
      losses = self._loss(
        tf.cast(logits, tf.float32), batch['targets'], batch['mask']
      )
      loss = tf.reduce_sum(losses) / self.batch_size
      if self._weight_decay:
        penalty = tf.add_n([tf.nn.l2_loss(v) for v in self._decayed])
        loss += (
          self._weight_decay * penalty / self._strategy.num_replicas_in_sync
        )
      # Of layers of the user's: regularizers and `add_loss`.
      if added := self._model.losses:
        loss += tf.add_n(added) / self._strategy.num_replicas_in_sync
      # Half precision needs gradients away from zero; `apply` scales back.
      scaled = self.optimizer.scale_loss(loss) if self._scales else loss
    variables = self._model.trainable_variables
    trained = [v.value for v in variables if not probing or self._on_top(v)]
    gradients = iter(tape.gradient(scaled, trained))
    # Without moments, a gradient of zero changes no bit of a weight.
    return loss, [
      next(gradients)
      if not probing or self._on_top(v)
      else tf.zeros(v.shape, v.dtype)
      for v in variables
    ]

  def _on_top(self, variable):
    """Return whether a variable is one of the head."""
    return self._is_head[id(variable)]

  def _logits(self, inputs, probing):
    inference = self._frozen | self._body if probing else self._frozen
    if not inference:
      return self._model(inputs, training=True)
    (logits,) = self._graph.outputs
    return self._graph.run(
      inputs, [logits], training=True, inference=inference
    )[logits]

  def _count(self, loss):
    counters = self.counters
    counters['step'].assign_add(1)
    counters['loss_sum'].assign_add(tf.cast(loss, tf.float64))
    counters['loss_steps'].assign_add(1)
    bad = counters['bad_step']
    first = (bad < 0) & ~tf.math.is_finite(loss)
    bad.assign(tf.where(first, counters['step'], bad))


def _counter(start, dtype):
  return tf.Variable(start, dtype=dtype, trainable=False)


def _frozen_nodes(graph):
  """Return the nodes with frozen weights, and those between them.

  They compute as in evaluation: in training, some layers also change weights
  that they do not train.
  """
  return graph.between(
    [
      number
      for number, node in enumerate(graph.nodes)
      if node.weights and not any(w.layer.trainable for w in node.weights)
    ]
  )


def _body_nodes(graph, head):
  """Return the nodes with weights below the head, and those between them."""
  return graph.between(
    [
      number
      for number, node in enumerate(graph.nodes)
      if any(w.path not in head for w in node.weights)
    ]
  )


def _is_real(variable):
  return variable.dtype in ('float32', 'float64')


def _all_or_none(gradients):
  """Replace all gradients by NaN if a replica's gradients overflowed.

  Each replica's LossScaleOptimizer checks its own gradients only, and all must
  skip the same steps.
  """
  finite = tf.reduce_all(
    [tf.reduce_all(tf.math.is_finite(g)) for g in gradients]
  )
  context = tf.distribute.get_replica_context()
  fraction = context.all_reduce(
    tf.distribute.ReduceOp.MEAN, tf.cast(finite, tf.float32)
  )
  return [tf.where(fraction == 1, g, float('nan')) for g in gradients]
