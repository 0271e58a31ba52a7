"""Diffusion Policy (Chi et al. 2023, arXiv 2303.04137), state-based: what LWD is compared with at action horizons.

`training` learns it and writes a model file; `model_file` samples sequences of actions from one, without torch.
"""
