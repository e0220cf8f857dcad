"""One run: built from its config, trained in its folder, shown on TensorBoard.

`build` builds the parts of a run, from a config or from a run folder;
`train_and_evaluate` trains them and scores the selected checkpoint.
"""
