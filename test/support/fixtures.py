"""The shipped contract and model, a random policy, a few demonstrations."""

import numpy as np
import pytest

from lwd_ros.contract import Contract
from lwd_ros.policy import Policy, PolicyLayout
from lwd_ros.resources import share_path


@pytest.fixture(scope="session")
def contract() -> Contract:
    """The shipped Metaworld contract."""
    return Contract.load(share_path("config", "metaworld.yaml"))


@pytest.fixture(scope="session")
def model_path():
    """The shipped model file."""
    return share_path("models", "metaworld_mt10_visible.onnx")


@pytest.fixture(scope="session")
def make_policy(contract):
    """A function that builds a valid random policy for the shipped contract; keywords replace fields."""

    def make(draw: int = 0, layout: PolicyLayout | None = None, indices=None, **changes) -> Policy:
        rng = np.random.default_rng(draw)
        indices = np.arange(len(contract.observation)) if indices is None else np.asarray(indices)
        layout = layout or PolicyLayout((len(indices), 16, 16, len(contract.command)))
        inputs, outputs = layout.layer_sizes[0], layout.layer_sizes[-1]
        values = {
            "layout": layout,
            "weights": rng.normal(size=layout.parameters),
            "observation_indices": indices,
            "observation_mean": rng.normal(size=inputs),
            "observation_std": rng.uniform(0.5, 2.0, size=inputs),
            "observation_minimum": np.full(inputs, -1.0),
            "observation_maximum": np.full(inputs, 1.0),
            "action_offset": rng.normal(size=outputs),
            "action_scale": rng.uniform(0.5, 2.0, size=outputs),
            "contract_digest": contract.digest,
            "model_digest": "a" * 64,
            "latent_digest": "b" * 64,
            "task": "reach-v3",
            "seed": 7,
        }
        return Policy(**(values | changes))

    return make


@pytest.fixture(scope="session")
def two_tasks(tmp_path_factory, contract):
    """Two demonstrations of each of two tasks."""
    from lwd_ros.dataset import Demonstrations
    from lwd_ros.environments.collect import CollectSettings, collect

    folder = tmp_path_factory.mktemp("demonstrations")
    collect(folder, ("reach-v3", "drawer-close-v3"), contract, CollectSettings(episodes=2), workers=1)
    return Demonstrations(folder, contract)
