"""Gaits: how the teachers were made, and how LWD's policies go beside them."""
