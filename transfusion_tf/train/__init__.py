"""Training: one loop, on any devices.

strategy, compute, workers   devices; precision and XLA; several processes
step                         many compiled steps in one call
loop                         train, evaluate, keep, stop
checkpoint, history          what is kept: weights and all else; metrics.jsonl
evaluation, metrics          every example once; exact AUC
optimizers, schedules        the update rule and its rate
preemption                   SIGTERM
progress, summaries, profile what is shown
"""
