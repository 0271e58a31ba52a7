"""What errors of decoded policies count: by command, and beside the size of their weights."""

import numpy as np
import pytest
import torch
from lwd_benchmarks.methods.networks import MultiTaskMlp, TaskMlps

from lwd_ros.contract import Contract
from lwd_ros.dataset import Demonstrations, Episode, write_dataset
from lwd_ros.learning.autoencoder import Autoencoder
from lwd_ros.learning.config import TrainConfig
from lwd_ros.learning.data import TrainingData
from lwd_ros.learning.networks import cloning_error, squared_matrices
from lwd_ros.learning.train import policy_layout
from lwd_ros.policy import PolicyLayout

ANGLE = {"unit": "rad", "limits": [-3.0, 3.0]}
CONTRACT = Contract.from_dict(
    {
        "name": "guided",
        "period_s": 0.1,
        "history": 1,
        "observation": {"elbow": ANGLE},
        "command": {
            "elbow_target": {**ANGLE, "slew_per_s": 20.0, "rest": "elbow", "relative_to": "command"},
            "gripper": {"unit": "1", "limits": [0.0, 1.0], "slew_per_s": 20.0, "rest": "keep"},
        },
    }
)
CONFIG = TrainConfig.from_dict({"name": "guided", "hidden_layers": [4, 4], "action_loss": "motion"})


@pytest.fixture
def guided(tmp_path) -> Demonstrations:
    """Two demonstrations of an elbow that moves 0.01 rad in most periods, and 0.1 rad in one; a gripper closes."""
    steps = np.full(40, 0.01)
    steps[7] = 0.1
    target = np.cumsum(steps)
    observation = np.concatenate([[0.0], target[:-1]])[:, None]
    action = np.stack([target, (np.arange(40) > 20).astype(float)], axis=1)
    write_dataset(tmp_path / "data", CONTRACT, {"reach": [Episode(observation, action, layout=n) for n in (0, 1)]}, {})
    return Demonstrations(tmp_path / "data")


def test_errors_of_offsets_count_in_units_of_the_usual_offset(guided):
    """±1 of the output is the largest offset, 0.1 rad; the usual one about sqrt((0.1² + 38 · 0.01²) / 40)."""
    data = TrainingData(guided, CONFIG)
    offsets = data.action[:, 0] * data.action_scale[0] + data.action_offset[0]
    assert float(offsets.abs().max()) == pytest.approx(0.1, abs=1e-6)
    usual = float(offsets.square().mean().sqrt())
    assert 0.015 < usual < 0.02
    weight = data.action_weight.tolist()
    assert weight[0] == pytest.approx((0.1 / usual) ** 2, rel=1e-4) and weight[1] == 1.0
    assert TrainingData(guided, CONFIG.changed({"action_loss": "range"})).action_weight is None


def test_errors_of_a_command_are_multiplied_by_its_weight():
    predicted, action = torch.tensor([[0.5, 0.5]]), torch.tensor([[0.0, 0.3]])
    assert cloning_error(predicted, action, torch.tensor([9.0, 1.0])).tolist() == [
        pytest.approx([9 * 0.25, 0.04], rel=1e-6)
    ]


def test_squared_matrices_leave_biases_out():
    layout = PolicyLayout((2, 3, 1))
    weights = torch.arange(2 * layout.parameters, dtype=torch.float32).reshape(2, -1)
    first, second = weights.square()[:, :6], weights.square()[:, 9:12]  # [3, 2] and 3 biases, then [1, 3] and a bias
    expected = (first.sum(dim=1) + second.sum(dim=1)).mean()
    assert float(squared_matrices(layout, weights)) == pytest.approx(float(expected))


@pytest.mark.parametrize("method", [Autoencoder, TaskMlps, MultiTaskMlp])
def test_decay_adds_the_squares_of_the_policies_weights(guided, method):
    """To LWD and to what it is compared with alike."""
    losses = []
    for decay in (0.0, 0.5):
        config = CONFIG.changed({"autoencoder.policy_decay": decay})
        data = TrainingData(guided, config)
        torch.manual_seed(0)
        network = method(data, policy_layout(config, data), config.autoencoder)
        losses.append(float(network.loss(data, torch.Generator().manual_seed(1))["loss"].detach()))
        if method is TaskMlps:
            squares = float(squared_matrices(network.layout, network.table.detach()))
    assert losses[1] > losses[0] + 0.5
    if method is TaskMlps:
        assert losses[1] - losses[0] == pytest.approx(0.5 * squares, rel=1e-4)


def test_a_config_without_decay_is_written_as_before():
    """Run folders and model files that were made before the key stay valid."""
    assert "policy_decay" not in CONFIG.to_dict()["autoencoder"]
    assert CONFIG.changed({"autoencoder.policy_decay": 0.1}).to_dict()["autoencoder"]["policy_decay"] == 0.1
