"""A quadruped of the size of a Go2, whose tasks are gaits; `simulator` registers it."""
