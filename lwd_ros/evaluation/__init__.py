"""Rollouts of generated policies in simulation, and the figures made from them."""
