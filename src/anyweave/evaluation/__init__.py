"""Benchmarks of a model, reached only through `generation`, and metrics as pure functions."""
