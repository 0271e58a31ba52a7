"""The seam to simulators: environments by name, and what runs them."""
