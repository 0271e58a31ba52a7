"""A cheetah in a plane, whose tasks are gaits; `simulator` registers it."""
