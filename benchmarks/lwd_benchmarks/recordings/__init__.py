"""Benchmarks of recordings: how fast they become a dataset."""
