"""Scripts for lerobot's environment; nothing here is imported by lwd_benchmarks."""
