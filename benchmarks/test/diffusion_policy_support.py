"""A Diffusion Policy that is trained in a second."""

from lwd_benchmarks.methods.diffusion_policy.config import DiffusionPolicyConfig

TINY = DiffusionPolicyConfig("tiny", prediction_horizon=8, channels=(8, 16), steps=40, batch=6, warmup_steps=5)
