"""A data set in the three places that one takes; `test_registry` joins it."""
