"""Training: one loop, on any devices.

strategy, compute, workers   devices; precision and XLA; several processes
step                         many compiled steps in one call
loop                         train, evaluate, save, stop early
checkpoint, history          the state of a run; metrics.jsonl
evaluation                   every example scored once
optimizers, schedules        the update rule and its learning rate
preemption                   SIGTERM and SIGHUP
progress, profile            progress lines; a trace for TensorBoard
"""
