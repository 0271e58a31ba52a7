"""A Diffusion Policy that is trained in a second."""

from lwd_benchmarks.methods.diffusion_policy.config import DiffusionPolicyConfig

STEPS = 3
"""Of sampling, each unrolled in the model file: with the published 10, onnxruntime takes 4 s to open one."""

TINY = DiffusionPolicyConfig(
    "tiny", prediction_horizon=8, channels=(8, 16), steps=40, batch=6, warmup_steps=5, sampling_steps=STEPS
)
