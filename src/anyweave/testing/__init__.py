"""Fakes for tests: real interfaces, tiny random weights, no files, no network."""
