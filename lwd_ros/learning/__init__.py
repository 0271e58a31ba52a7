"""Latent Weight Diffusion: encoder, hypernetwork, denoiser, training in two stages, export."""
