"""Small raw data sets in the real raw layouts, for the demo and the tests."""
