"""Pins the one episode loop in an environment that has nothing but what every environment has."""

import numpy as np
import pytest
from rail_support import CONTENT, PERIOD_S, Rail, hasty, of_environment, towards, wrong

from lwd_ros.contract import CommandLimiter, Contract, Frames
from lwd_ros.environments.actors import ExpertActor, PolicyActor, RestingActor, nanoseconds
from lwd_ros.environments.disturbance import Disturbance, action_noise
from lwd_ros.environments.environment import SimulationError
from lwd_ros.environments.episode import Thinking, absolute, run_episode
from lwd_ros.environments.expert import expert_of, load, name_of
from lwd_ros.evaluation.actors import LwdActor
from lwd_ros.policy import PolicyError, PolicyLayout

LAYOUT = 100_000


@pytest.fixture
def rail(tmp_path):
    return Rail(tmp_path)


@pytest.fixture
def cart(rail):
    return rail.make("go", rail.spec.contract())


class Constant:
    """An actor of one command, that tells what it saw."""

    def __init__(self, command, due=False):
        self.queries, self.due, self.seen, self.given = 0, due, [], np.array(command)

    def begin(self, task, seed):
        self.started = task, seed

    def see(self, observation, time_s, stamp_s):
        self.seen.append((observation.copy(), time_s, stamp_s))

    def query(self):
        self.queries += 1

    def adopt(self, stood_still=False):
        pass

    def command(self):
        return self.given


def test_an_episode_ends_at_success_or_so_many_steps_later(cart):
    limiter = {"limiter": CommandLimiter(cart.contract)}
    outcome = run_episode(cart, ExpertActor(cart.expert()), LAYOUT, record=True, **limiter)
    assert outcome.success and outcome.is_done and outcome.steps == outcome.first_success_step < 40
    assert outcome.record.observations.shape == (outcome.steps, 3)
    np.testing.assert_array_equal(outcome.record.commands, cart.executed)
    np.testing.assert_array_equal(outcome.record.commands[0], towards(outcome.record.observations[0]))
    more = run_episode(cart, ExpertActor(cart.expert()), LAYOUT, extra_steps=3)
    assert (more.first_success_step, more.steps) == (outcome.steps, outcome.steps + 3)
    whole = run_episode(cart, ExpertActor(cart.expert()), LAYOUT, stop_at_success=False)
    assert (whole.first_success_step, whole.steps) == (outcome.steps, 40)
    assert run_episode(cart, ExpertActor(cart.expert()), LAYOUT, steps=0).steps == 0


def test_an_episode_ends_where_the_environment_ends_it(rail, cart):
    outcome = run_episode(rail.make("fall", cart.contract), Constant([1.0]), LAYOUT)
    assert outcome.ended and not outcome.success and 0 < outcome.steps < 40


def test_the_return_is_the_sum_of_the_rewards(cart):
    outcome = run_episode(cart, Constant([0.0]), LAYOUT, stop_at_success=False)
    assert outcome.total_reward == pytest.approx(-40 * abs(cart.x - cart.goal))


def test_without_a_layout_the_episode_goes_on(cart):
    actor = Constant([0.5])
    run_episode(cart, actor, LAYOUT, steps=3, stop_at_success=False)
    place = cart.x
    run_episode(cart, actor, None, steps=2, stop_at_success=False, start_s=3 * PERIOD_S)
    assert actor.started == ("go", LAYOUT + 1)
    assert [seen[0][0] for seen in actor.seen[3:]] == pytest.approx([place, place + 0.05])
    assert [time_s for _, time_s, _ in actor.seen] == pytest.approx([PERIOD_S * step for step in range(5)])


def test_a_limiter_carries_the_last_command_over(rail):
    slow = Contract.from_dict(CONTENT | {"command": {"velocity": {**CONTENT["command"]["velocity"], "slew_per_s": 1}}})
    cart, limiter = rail.make("go", slow), CommandLimiter(slow)
    for steps in (3, 2):
        run_episode(cart, Constant([1.0]), None, steps=steps, stop_at_success=False, limiter=limiter)
    assert np.ravel(cart.executed) == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5])


@pytest.mark.parametrize(
    "disturbance",
    [Disturbance(action_noise=0.1), Disturbance(delay=2), Disturbance(dropped=0.5), Disturbance(period_s=PERIOD_S)],
    ids=["action noise", "delay", "dropped", "the contract's period"],
)
def test_what_needs_no_physics_disturbs_any_environment(cart, disturbance):
    assert run_episode(cart, Constant([0.1]), LAYOUT, disturbance=disturbance, stop_at_success=False).steps == 40


@pytest.mark.parametrize(
    "disturbance",
    [
        Disturbance(observation_noise_m=0.1),
        Disturbance(hand_push_m=0.1),
        Disturbance(object_push_mps=1.0),
        Disturbance(period_s=2 * PERIOD_S),
    ],
    ids=["observation noise", "hand", "object", "period"],
)
def test_what_needs_physics_asks_for_the_capability(cart, disturbance):
    with pytest.raises(SimulationError, match="environment 'rail': found capabilities expert, expected 'disturb'"):
        run_episode(cart, Constant([0.1]), LAYOUT, disturbance=disturbance)


def test_a_robot_stands_still_until_the_first_answer_and_rests_in_a_pause(cart):
    run_episode(cart, Constant([0.5], due=True), LAYOUT, thinking=Thinking(3), steps=4, stop_at_success=False)
    assert np.ravel(cart.executed) == pytest.approx([0.0, 0.0, 0.0, 0.5])
    assert RestingActor(cart, np.array([0.7])).command() == [0.0]


POSITION = {
    "observation": {"x": {"unit": "m", "limits": [-2, 2]}},
    "command": {"target": {"unit": "m", "limits": [-2, 2], "slew_per_s": 100, "rest": "x", "relative_to": "command"}},
}


def test_offsets_are_0_at_rest_and_experts_command_positions(rail):
    """A contract whose commands are offsets: policies give these, experts the positions themselves."""
    contract = Contract.from_dict(CONTENT | POSITION)
    cart = rail.make("go", contract)
    start = cart.x
    run_episode(cart, RestingActor(cart, np.array([0.7])), None, steps=2, stop_at_success=False)
    later = cart.x
    run_episode(cart, Constant([0.1]), None, steps=2, stop_at_success=False)
    assert np.ravel(cart.executed) == pytest.approx([start, start, later + 0.1, later + 0.2])
    cart.executed.clear()
    limiter = CommandLimiter(absolute(contract))
    run_episode(cart, Constant([0.3]), None, steps=2, stop_at_success=False, limiter=limiter)
    assert np.ravel(cart.executed).tolist() == [0.3, 0.3]


# What a policy reads: frames and ages


@pytest.mark.parametrize("history", [1, 3])
def test_policies_in_an_episode_read_what_a_controller_stacks(rail, make_policy, history):
    contract = Contract.from_dict(CONTENT | {"history": history}).with_age(0.25)
    cart, layout = rail.make("go", contract), PolicyLayout((contract.vector_size, 4, 1))
    indices = np.arange(contract.vector_size)
    policy = make_policy(layout=layout, indices=indices, contract_digest=contract.digest)
    disturbance, seen = Disturbance(delay=2, dropped=0.3), Constant([0.0])
    run_episode(cart, seen, LAYOUT, disturbance=disturbance, stop_at_success=False)
    late = [(observation, time_s, stamp_s) for observation, time_s, stamp_s in seen.seen]
    cart.executed.clear()
    outcome = run_episode(
        cart, PolicyActor(policy, contract), LAYOUT, disturbance=disturbance, stop_at_success=False, record=True
    )
    frames, expected = Frames(contract), []
    for observation, (_, time_s, stamp_s) in zip(outcome.record.observations, late, strict=False):
        frames.push(observation, nanoseconds(stamp_s))
        vector = frames.vector(nanoseconds(time_s)).copy()
        expected.append(policy.forward(vector, np.empty(1)).copy())
        ages = vector[list(contract.age_places)]
        assert ages[-1] == pytest.approx(min(time_s - stamp_s, 0.25))
    np.testing.assert_array_equal(outcome.record.outputs, expected)
    assert max(time_s - stamp_s for _, time_s, stamp_s in late) > 0.25, "the limit of the age was not met"


def test_an_lwd_actor_reads_frames_its_generator_one_of_no_age(model_path, monkeypatch):
    actor = LwdActor(model_path)
    actor.contract = actor.contract.with_history(2).with_age(0.1)
    asked, read = [], []

    class _Policy:
        def forward(self, vector, out):
            read.append(vector.copy())
            return out

    monkeypatch.setattr(actor._generator, "generate", lambda task, seed, seen: asked.append(seen.copy()) or _Policy())
    size = actor.contract.frame_size
    actor.begin("reach-v3", 1)
    for step in range(3):
        actor.see(np.full(size, float(step)) * (np.arange(size) < size - 1), 0.0125 * step, 0.0125 * max(0, step - 1))
        if actor.due:
            actor.query()
            actor.adopt()
        actor.command()
    assert [seen.shape for seen in asked] == [(size,)] and not asked[0].any()
    assert [vector[0] for vector in read] == [0.0, 0.0, 1.0] and [vector[size] for vector in read] == [0.0, 1.0, 2.0]
    assert [vector[-1] for vector in read] == pytest.approx([0.0, 0.0125, 0.0125])
    # A swap keeps what was seen, a new episode does not.
    actor.swap("push-v3", 2)
    assert actor.due and actor.command() is None
    actor.see(np.full(size, 3.0), 0.0375, 0.025)
    assert actor._seen[0] == 2.0
    actor.begin("push-v3", 2)
    actor.see(np.full(size, 4.0), 0.05, 0.0375)
    assert actor._seen[0] == 4.0


def test_a_policy_of_another_contract_is_refused(make_policy, cart):
    with pytest.raises(PolicyError, match="contract"):
        PolicyActor(make_policy(), cart.contract)


# Experts


def test_experts_are_the_environments_own_or_functions(cart, tmp_path, monkeypatch):
    cart.reset(LAYOUT)
    expected = towards(cart.observe())
    for given in (None, towards, of_environment, "rail_support:towards", "rail_support:of_environment"):
        assert expert_of(cart, given).command() == expected
    assert name_of(towards) == name_of("rail_support:towards") == "rail_support:towards"
    (tmp_path / "experts_of_mine.py").write_text("import numpy\ndef still(observation):\n    return numpy.zeros(1)\n")
    monkeypatch.chdir(tmp_path)
    assert expert_of(cart, "experts_of_mine:still").command() == [0.0]
    assert expert_of(cart, hasty).command() == [-1.0], "labels are what can be executed"


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("towards", "expert 'towards': found no MODULE:FUNCTION, expected for instance"),
        ("rail_support:", "found no MODULE:FUNCTION"),
        ("nowhere_at_all:f", r"expert 'nowhere_at_all:f': cannot be loaded \(ModuleNotFoundError: No module"),
        ("rail_support:nothing", "expert 'rail_support:nothing': cannot be loaded"),
        ("rail_support:PERIOD_S", "expert 'rail_support:PERIOD_S': found 0.1 is not a callable"),
        (lambda: None, "expected a function of one argument, an environment or an observation"),
    ],
)
def test_experts_that_cannot_be_used_are_named(given, sentence):
    with pytest.raises(SimulationError, match=sentence):
        load(given)


def test_an_environment_without_experts_says_so(tmp_path):
    rail = Rail(tmp_path, has_expert=False)
    cart = rail.make("go", rail.spec.contract())
    with pytest.raises(SimulationError, match="found capabilities none, expected 'expert'"):
        expert_of(cart)
    with pytest.raises(SimulationError, match=r"'rail_support:wrong': found \[0. 0.\], expected 1 finite numbers"):
        expert_of(cart, wrong).command()


def test_noise_is_in_shares_of_half_a_commands_range(rail):
    command = {"velocity": {"unit": "m/s", "limits": [0, 4], "slew_per_s": 100}}
    noisy = action_noise(Contract.from_dict(CONTENT | {"command": command}), 0.5, np.random.default_rng(0))
    draws = [noisy(np.array([2.0]))[0] for _ in range(2000)]
    assert np.mean(draws) == pytest.approx(2.0, abs=0.1) and np.std(draws) == pytest.approx(1.0, rel=0.1)
