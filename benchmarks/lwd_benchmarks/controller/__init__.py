"""Benchmarks of the controller: real nodes, real DDS, real time."""
