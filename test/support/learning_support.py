"""Runs that are trained in seconds."""

TASKS = ("reach-v3", "button-press-topdown-v3")
CONFIG = {
    "name": "tiny",
    "hidden_layers": [6],
    "autoencoder": {"steps": 30, "demonstrations": 6, "pairs": 16, "latent_size": 4, "encoder_layers": [16]},
    "diffusion": {"steps": 30, "batch": 8, "width": 16, "blocks": 1, "sampling_steps": 4},
}
HIDDEN = CONFIG | {"name": "hidden", "hide": ["goal_x", "goal_y", "goal_z"], "condition_on_observation": True}
