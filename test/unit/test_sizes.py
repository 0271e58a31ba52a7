"""Pins what training chooses without a config, and what it says about the data."""

from dataclasses import replace

import numpy as np
import pytest

from lwd_ros.contract import Contract
from lwd_ros.dataset import DatasetError, Episode
from lwd_ros.learning.config import TrainConfig
from lwd_ros.learning.facts import facts_of, resting_frames
from lwd_ros.learning.pace import Pace
from lwd_ros.learning.parting import SEVERAL, parting_share
from lwd_ros.learning.sizes import LARGEST_POLICY, choose, held_out_share, hidden_width, tokens, with_steps
from lwd_ros.policy import PolicyLayout


def _contract(observation: dict, command: dict, history: int = 1) -> Contract:
    content = {"name": "bench", "period_s": 0.1, "history": history, "observation": observation, "command": command}
    return Contract.from_dict(content)


ANGLE = {"unit": "rad", "limits": [-3.0, 3.0]}
ARM = _contract(
    {"elbow": ANGLE, "cup": {"unit": "m", "limits": [-1, 1]}, "table": {"unit": "m", "limits": [-1, 1]}},
    {
        "elbow_target": {**ANGLE, "slew_per_s": 5.0, "rest": "elbow"},
        "gripper": {"unit": "1", "limits": [0.0, 1.0], "slew_per_s": 10.0, "rest": "keep"},
    },
)


def _base(size: int, history: int = 1) -> Contract:
    return _contract(
        {"x": {"unit": "m", "limits": [-5, 5]}, "scan": {"unit": "m", "limits": [0, 4], "size": size}},
        {
            name: {"unit": "m/s", "limits": [-1, 1], "slew_per_s": 2.0}
            for name in ("speed", "slide")
        },
        history,
    )  # fmt: skip


def _arm_episode(steps: int = 40, seed: int = 0, idle: int = 0) -> Episode:
    """An elbow that goes from 0 to 1 rad, targets 0.05 rad ahead; a gripper that closes half-way; then nothing."""
    elbow = np.concatenate([np.linspace(0, 1, steps), np.ones(idle)])
    cup = np.full(steps + idle, np.random.default_rng(seed).uniform(0.1, 0.5))
    target = np.where(np.arange(steps + idle) < steps, elbow + 0.05, elbow)
    gripper = (elbow > 0.5).astype(float)
    table = np.full(steps + idle, 0.4)
    return Episode(np.stack([elbow, cup, table], axis=1), np.stack([target, gripper], axis=1), layout=seed)


def _arm(episodes: int = 20, **kinds):
    return facts_of(ARM, [[_arm_episode(seed=seed, **kinds) for seed in range(episodes)]])


def _drive(contract: Contract, tasks: int = 2, episodes: int = 12, speed: float = 1.0):
    random = np.random.default_rng(0)

    def episode() -> Episode:
        size = len(contract.observation)
        return Episode(random.uniform(0, 1, (30, size)), random.uniform(-speed, speed, (30, 2)), layout=0)

    return facts_of(contract, [[episode() for _ in range(episodes)] for _ in range(tasks)])


def test_a_position_a_switch_and_a_scalar_that_never_changes_are_told_apart():
    elbow, gripper = _arm().commands
    assert _arm().constant == ("table",)
    assert elbow.motion == pytest.approx(0.05, rel=1e-6) and elbow.levels == ()
    assert gripper.levels == (0.0, 1.0) and gripper.motion is None
    assert gripper.rest_share > 0.9 and elbow.rest_share == 0.0


def test_a_position_rests_where_it_is_measured():
    episode = _arm_episode(steps=10, idle=5)
    assert resting_frames(ARM, 0, episode.observation, episode.action).tolist() == [False] * 10 + [True] * 5


def test_positions_are_learned_in_units_of_their_motion_and_of_what_was_shown():
    choice = choose(_arm(), "arm")
    assert choice.config.action_loss == "motion" and choice.config.action_range == "demonstrated"
    assert choice.config.hide == ("table",) and not choice.config.condition_on_observation
    told = " ".join(choice.lines)
    assert "never change here: table" in told and "elbow_target count in units of their motion" in told
    assert any("relative_to" in warning for warning in choice.warnings)


def test_offsets_are_learned_in_units_of_their_usual_size():
    """The largest offset of a guided arm is many times the usual one: in its units, what moves the arm drowns."""
    target = {**ANGLE, "slew_per_s": 5.0, "rest": "elbow", "relative_to": "command"}
    gripper = {"unit": "1", "limits": [0.0, 1.0], "slew_per_s": 10.0, "rest": "keep"}
    metre = {"unit": "m", "limits": [-1, 1]}
    contract = _contract({"elbow": ANGLE, "cup": metre, "table": metre}, {"elbow_target": target, "gripper": gripper})
    choice = choose(facts_of(contract, [[_arm_episode(seed=seed) for seed in range(20)]]), "arm")
    assert choice.config.action_loss == "motion"
    assert any("Errors of elbow_target count in units of the usual offset" in line for line in choice.lines)


def test_policies_of_few_demonstrations_are_kept_smooth():
    assert choose(_arm(), "arm").config.autoencoder.policy_decay == 2e-4


def test_velocities_that_use_their_limits_are_learned_as_they_are():
    config = choose(_drive(_base(4)), "base").config
    assert config.action_loss == "range" and config.action_range == "limits"


@pytest.mark.parametrize("size", [4, 24, 36, 60])
def test_a_lidar_scan_stays_below_a_thousand_parameters(size):
    facts = _drive(_base(size))
    width = hidden_width(facts)
    assert PolicyLayout((size + 1, width, width, 2)).parameters <= LARGEST_POLICY
    one_more = PolicyLayout((size + 1, width + 1, width + 1, 2)).parameters
    assert one_more > LARGEST_POLICY or choose(_drive(_base(1)), "base").config.hidden_layers == (width, width)


def test_a_vector_that_is_too_large_is_named():
    line = next(line for line in choose(_drive(_base(60, history=4)), "base").lines if "parameters" in line)
    assert f"above {LARGEST_POLICY}" in line and "scan (60)" in line


@pytest.mark.parametrize(("steps", "count"), [(2, 2), (10, 10), (62, 16), (100, 16), (400, 25), (5000, 32)])
def test_a_demonstration_has_as_many_tokens_as_its_length_needs(steps, count):
    assert tokens(np.array([steps])) == count


def test_steps_fill_the_minutes_and_are_part_of_the_config():
    config, line = with_steps(TrainConfig(name="a"), Pace(0.01, 0.01), minutes=2.1)
    assert (config.autoencoder.steps, config.diffusion.steps) == (8000, 4000)
    assert "about 2.1 minutes" in line


def test_few_minutes_are_said_to_be_few_and_many_are_not_used_up():
    few, line = with_steps(TrainConfig(name="a"), Pace(0.1, 0.1), minutes=1)
    assert few.autoencoder.steps == 1000 and "That is little" in line and "--minutes 11" in line
    many, _ = with_steps(TrainConfig(name="a"), Pace(0.001, 0.001), minutes=60)
    assert many.autoencoder.steps == 20_000


def test_what_may_make_a_robot_fail_is_said():
    def warnings(facts):
        return " ".join(choose(facts, "arm").warnings)

    assert "every command is at rest" in warnings(_arm(idle=60))
    assert "every command is at rest" not in warnings(_arm())
    assert "3 demonstrations" in warnings(_arm(episodes=3))
    assert "fewer than 16 steps" in warnings(_arm(steps=6))
    assert "beyond the contract's limits" in warnings(_drive(_base(4), speed=2.0))
    still = [Episode(e.observation, np.full_like(e.action, 0.5), 0) for e in (_arm_episode(seed=s) for s in range(12))]
    assert "Never changes" in warnings(facts_of(ARM, [still]))


def test_demonstrations_of_a_robot_that_sees_nothing_change_are_refused():
    blind = Episode(np.zeros((20, 3)), np.random.default_rng(0).uniform(0, 1, (20, 2)), layout=0)
    with pytest.raises(DatasetError, match="no observed scalar that ever changes"):
        choose(facts_of(ARM, [[blind]]), "arm")


@pytest.mark.parametrize(
    ("counts", "kept"), [([9], 0), ([10], 1), ([19], 1), ([20], 1), ([39], 1), ([40], 2), ([50, 12], 1)]
)
def test_so_many_of_the_smallest_task_are_held_out(counts, kept):
    assert int(held_out_share(counts) * min(counts)) == kept


ROD = _contract(
    {name: {"unit": "m", "limits": [-1, 2]} for name in ("x", "y")},
    {name: {"unit": "m/s", "limits": [-1, 1], "slew_per_s": 2.0} for name in ("speed_x", "speed_y")},
)


def _rod_episode(side: float, seed: int, way: str = "", fork: float = 0.0) -> Episode:
    """A rod that goes to y = 1 m, and from `fork` on to its left (-1) or its right (+1)."""
    random = np.random.default_rng(seed)
    y = np.linspace(0, 1, 60)
    x = side * 0.5 * np.maximum(y - fork, 0.0) + 0.01 * random.standard_normal()
    path = np.stack([x, y], axis=1)
    speed = np.gradient(path, 0.1, axis=0)
    return Episode(path + 0.002 * random.standard_normal(path.shape), speed, layout=seed, way=way)


@pytest.mark.parametrize("fork", [0.0, 0.5])
def test_demonstrations_that_meet_and_part_are_seen(fork):
    alike = [_rod_episode(1.0, seed, fork=fork) for seed in range(20)]
    several = [_rod_episode((-1.0) ** seed, seed, fork=fork) for seed in range(20)]
    assert parting_share(alike) == pytest.approx(0.0, abs=0.05)
    assert SEVERAL < parting_share(several) <= 1.0


def test_who_never_meets_tells_nothing():
    apart = [
        Episode(e.observation + np.array([0.0, 10.0 * e.layout]), e.action, e.layout) for e in map(_right, range(5))
    ]
    assert parting_share(apart) is None and parting_share([_right(0)]) is None
    short = [Episode(np.zeros((4, 2)), np.zeros((4, 2)), layout=0)] * 9
    assert parting_share(short) is None


def _right(seed: int) -> Episode:
    return _rod_episode(1.0, seed)


def test_several_ways_are_learned_apart_by_the_column_or_by_how_demonstrations_part():
    facts = facts_of(ROD, [[_right(seed) for seed in range(12)]])
    usual = choose(facts, "rod")
    assert usual.config.autoencoder.others == "task" and usual.config.diffusion.latent_unit == "means"
    named = choose(replace(facts, ways=2, parting=0.0), "rod")
    assert named.config.autoencoder.others == "neighbours" and named.config.diffusion.latent_unit == "posterior"
    assert any("go 2 ways" in line for line in named.lines) and named.warnings == usual.warnings
    seen = choose(replace(facts, parting=0.58), "rod")
    assert seen.config == named.config
    (warning,) = set(seen.warnings) - set(usual.warnings)
    assert "part in 58 %" in warning and "column 'way'" in warning
    one = choose(replace(facts, ways=1, parting=0.58), "rod")  # the column says that there is one
    assert one.config == usual.config
