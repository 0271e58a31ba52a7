"""The rclpy nodes: they declare parameters, convert messages, call what lies below, and report."""

import os

# Before NumPy is imported: BLAS would split a policy's larger matrices among threads, and a tick would wait for them.
os.environ.setdefault("OMP_NUM_THREADS", "1")
