"""Methods to compare Latent Weight Diffusion with. Each ends as an ordinary model file that `lwd evaluate` judges.

Three are trained on the same data, by the same trainer, for as many steps and pairs as stage 1 of LWD: one network for
all tasks, one network a task, and a hypernetwork without diffusion. Two are made from a finished LWD run, to say what
its sampling contributes: each sampled latent replaced by the nearest training latent, or by their mean.
"""

from lwd_benchmarks.baselines.latents import LATENT, latent_baseline
from lwd_benchmarks.baselines.training import TRAINED, train_baseline

METHODS = (*TRAINED, *LATENT)
"""All methods by name: the names that `lwd baseline` takes and that model files state."""

__all__ = ["LATENT", "METHODS", "TRAINED", "latent_baseline", "train_baseline"]
