"""One run: built from its config, trained in its folder, shown on TensorBoard.

`build` makes a run's parts, from a config or from a run folder;
`train_and_evaluate` trains them and scores the selected checkpoint.
"""
