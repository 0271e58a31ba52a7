"""Pins the controller's modes: the table of transitions, what belongs to a mode and ends with it, what outlives it."""

import ast
import inspect
import re
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from control_support import PERIOD, Feeder, constant, control_contract, offer, started, tick
from hypothesis import given, settings
from hypothesis import strategies as st

import lwd_ros
from lwd_ros.contract import AGE
from lwd_ros.control import (
    TRANSITIONS,
    ControllerCore,
    Event,
    Forbidden,
    Holding,
    Outcome,
    Running,
    Sent,
    Stopped,
    Transition,
    WaitingForObservation,
    WaitingForPolicy,
)
from lwd_ros.policy import PolicyLayout

ROOT = Path(lwd_ros.__file__).parents[1]


def aged(make_policy, contract, **more):
    """A policy that reads all scalars of a contract with an age, and commands little."""
    size = len(contract.observation)
    plain = {"observation_mean": np.zeros(size), "observation_std": np.ones(size), "action_scale": np.ones(4)}
    plain |= {"action_offset": np.zeros(4), "weights": np.zeros(4 * (size + 1))}
    plain |= {"observation_minimum": np.full(size, -1e9), "observation_maximum": np.full(size, 1e9)}
    layout = PolicyLayout((size, 4))
    return make_policy(0, layout, np.arange(size), contract_digest=contract.digest, **plain, **more)


class Driver:
    """Does to a core what may happen to a controller, in any order; notes every change of mode, with what was sent."""

    # What each act may be to the core; which of these it was is told by the reason of the mode that it led to.
    ACTS: ClassVar[dict[str, set[Event]]] = {
        "observe": {Event.ANSWERED, Event.SWAPPED, Event.REFUSED, Event.UNTRUSTED, Event.FORBIDDEN},
        "observe_pace": {Event.ANSWERED, Event.SWAPPED, Event.REFUSED, Event.UNTRUSTED, Event.FORBIDDEN},
        "wait": {Event.UNTRUSTED, Event.REFUSED, Event.FORBIDDEN},
        "watch": {Event.UNTRUSTED, Event.REFUSED, Event.FORBIDDEN},
        "offer": {Event.ACCEPTED},
        "offer_another": {Event.ACCEPTED},
        "offer_bad": {Event.ACCEPTED},
        "stop": {Event.STOPPED},
        "reactivate": {Event.ACTIVATED},
        "forbid": {Event.FORBIDDEN},
        "lose": {Event.FORBIDDEN},
        "permit": {Event.RESUMED, Event.RELEASED},
    }

    def __init__(self, make_policy, sync: str, after_loss: str):
        self.core = ControllerCore(control_contract(sync=sync, after_loss=after_loss), policy_timeout_s=0.3)
        self.permit()
        self.feeder, self.stamp = Feeder(self.core), 0
        self.good, self.another = constant(make_policy, [0.5, -0.5, 0.25, -1.0]), constant(make_policy, [0.1] * 4)
        self.bad = make_policy(
            layout=PolicyLayout((1, 1, 1, 4), "relu"),
            indices=[0],
            weights=[1e4, 0, 1e4, 0, *[1e4] * 4, *[0] * 4],
            observation_mean=[0],
            observation_std=[1e-30],
        )
        self.seen, self.commanded = set(), False

    def observe(self):
        self.stamp += 1
        self.feeder.now += 0.0125
        observation = self.feeder.observation(self.stamp, np.full(21, 1e300))
        return observation and self.core.tick(observation, self.feeder.now)

    def observe_pace(self):
        """With `latest`, the pacing stream alone."""
        self.stamp += 1
        self.feeder.now += 0.15
        observation = self.feeder.message(0, self.stamp, np.full(21, 1e300))
        return observation and self.core.tick(observation, self.feeder.now)

    def wait(self):
        self.feeder.now += 0.2
        return self.core.watch(self.feeder.now)

    def watch(self):
        return self.core.watch(self.feeder.now)

    def offer(self):
        self.core.accept(self.core.check(self.good))

    def offer_another(self):
        self.core.accept(self.core.check(self.another))

    def offer_bad(self):
        self.core.accept(self.bad)

    def stop(self):
        return self.core.stop("asked to", self.feeder.now)

    def reactivate(self):
        if isinstance(self.core.mode, Stopped):  # the node stops before it deactivates
            self.core.activate()
            self.permit()
            self.commanded = False

    def forbid(self):
        return self.core.permit(0, 0.0, self.feeder.now)

    def lose(self):
        """The publisher of the permission is gone."""
        return self.core.revoke(0, self.feeder.now)

    def permit(self):
        return self.core.permit(0, 1.0, 0.0)

    def act(self, name: str) -> None:
        before, active = self.core.mode, self.core.active
        with np.errstate(over="ignore", invalid="ignore"):
            command = getattr(self, name)()
        after = self.core.mode
        assert command is None or (command.stamp_ns == 0) == (command.vector[:3].tolist() == [0.0, 0.0, 0.0])
        waits = isinstance(before, WaitingForObservation) and isinstance(after, WaitingForObservation)
        if after is not before and not (waits and name == "permit"):  # it waits for one thing less
            self.seen.add(self.row(name, before, active, after, command))
        self.commanded |= command is not None

    def row(self, name, before, active, after, command) -> Transition:
        """The row of the table that an act was; fails where there is none."""
        candidates = [
            each
            for each in TRANSITIONS
            if (each.before, each.after) == (type(before), type(after)) and each.event in self.ACTS[name]
        ]
        if len(candidates) > 1 and "no permission" in getattr(after, "reason", ""):
            candidates = [each for each in candidates if each.event is Event.FORBIDDEN]
        elif len(candidates) > 1:
            candidates = [each for each in candidates if each.event is not Event.FORBIDDEN]
        if isinstance(before, Forbidden) and isinstance(after, Stopped):
            candidates = [each for each in candidates if (each.event is Event.RELEASED) == (name == "permit")]
        if isinstance(after, Running) and isinstance(before, (Running, Holding)):
            swapped = self.core.active is not active
            candidates = [each for each in candidates if (each.event is Event.SWAPPED) == swapped]
        if name == "permit":
            assert isinstance(after, WaitingForObservation) == before.resumes
        assert len(candidates) == 1, (name, before, after)
        sent = candidates[0].sent
        if sent is Sent.SAFE_AGAIN:
            sent = Sent.SAFE if self.commanded else Sent.NOTHING
        found = Sent.NOTHING if command is None else Sent.POLICY if command.stamp_ns else Sent.SAFE
        if type(before) is type(after) and found is Sent.SAFE and sent is Sent.NOTHING:
            found = Sent.NOTHING if before.repeat_until_s is not None else found  # a stop's command, once more
        assert found is sent, (candidates[0], command)
        return candidates[0]


@settings(max_examples=150)
@given(
    st.sampled_from(("same_stamp", "latest")),
    st.sampled_from(("request", "resume")),
    st.lists(st.sampled_from(sorted(Driver.ACTS)), max_size=40),
)
def test_no_change_of_mode_is_missing_in_the_table(make_policy, sync, after_loss, acts):
    driver = Driver(make_policy, sync, after_loss)
    for name in acts:
        driver.act(name)


def test_every_row_of_the_table_happens(make_policy):
    seen, rng = set(), np.random.default_rng(0)
    names = [*Driver.ACTS, "observe", "observe", "observe", "offer"]
    for sync, after_loss in (("same_stamp", "request"), ("latest", "resume"), ("latest", "request")):
        for _ in range(150):
            driver = Driver(make_policy, sync, after_loss)
            for name in rng.choice(names, size=60).tolist():
                driver.act(name)
            seen |= driver.seen
    assert seen == set(TRANSITIONS)


def test_the_docs_show_the_table():
    text = (ROOT / "docs/explanation/safety.md").read_text(encoding="utf-8")
    rows = [f"| {e.before.__name__} | {e.event} | {e.after.__name__} | {e.sent} |" for e in TRANSITIONS]
    section = text[text.index("| from |") :].split("\n\n")[0]
    assert section.splitlines()[2:] == rows


@pytest.mark.parametrize("kind", [WaitingForPolicy, WaitingForObservation, Running, Holding, Stopped, Forbidden])
def test_modes_are_frozen_values(kind):
    assert kind.__dataclass_params__.frozen


def _is_self(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"


def test_few_attributes_of_the_core_change():
    """Beside the mode and the objects that are made once: state that nobody can name belongs in neither."""
    tree = ast.parse(inspect.getsource(ControllerCore))
    changed = set()
    for function in tree.body[0].body:
        if isinstance(function, ast.FunctionDef) and function.name != "__init__":
            for node in ast.walk(function):
                targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
                for target in targets:
                    parts = target.elts if isinstance(target, ast.Tuple) else [target]
                    changed |= {each.attr for each in parts if isinstance(each, ast.Attribute) and _is_self(each.value)}
    assert changed == {"mode", "_statistics", "_last", "_newest"}


def test_the_node_talks_to_the_core_and_not_to_its_parts():
    for name in ("policy_controller", "controller_report", "controller_advice", "controller_tick", "policy_delivery"):
        text = (ROOT / f"lwd_ros/nodes/{name}.py").read_text(encoding="utf-8")
        assert not re.search(r"core\._|core\.\w+\.(assembler|slot|slew)", text)


# What belongs to a policy ends with it


def test_a_policy_that_was_stopped_for_its_clock_leaves_nothing_to_the_next(make_policy):
    """One that does not read the age must not be stopped for the age that another one was told."""
    contract = control_contract(age=0.1)
    core = ControllerCore(contract, stop_outside_training_range=True, stamp_clock_ns=lambda: 10**12)
    feeder = Feeder(core)
    offer(core, aged(make_policy, contract))
    for stamp in range(1, 40):
        tick(core, feeder, stamp)
    assert core.mode.reason == f"far outside what 'reach-v3' was trained on: {AGE}"
    wide = {"observation_minimum": np.full(21, -1e9), "observation_maximum": np.full(21, 1e9)}
    offer(core, constant(make_policy, [0.1, 0, 0, 0], contract, **wide))
    assert tick(core, feeder, 40) is not None
    assert core.mode.outcome is Outcome.CONTINUE
    assert core.told_age_s is None
    offer(core, aged(make_policy, contract))  # and one that reads it has its own patience
    assert tick(core, feeder, 41) is not None


def test_what_was_seen_before_a_hold_is_not_reported_in_it(make_policy):
    core, feeder = started(make_policy)  # trained on -1 to 1, and observes 300 and more
    assert core.outside_training_range()
    core.watch(feeder.now + 0.2)
    assert core.mode.outcome is Outcome.HOLD
    assert core.outside_training_range() == []
    assert core.active is not None


# What outlives them


@pytest.mark.parametrize(("on_fault", "gripper"), [("hold", 0.0), ("zero", 1.0)])
def test_after_a_reactivation_slew_goes_on_from_the_command_that_was_kept(make_policy, on_fault, gripper):
    """The gripper was kept at -1 when the controller was deactivated; nobody has told it anything else since."""
    core, feeder = started(make_policy, on_fault=on_fault)
    safe = core.stop("the controller is being deactivated", feeder.now)
    assert safe.vector[3] == (-1.0 if on_fault == "hold" else 0.0)
    core.activate()
    offer(core, constant(make_policy, [0.1, 0.1, 0.1, 1.0], core.contract))
    assert tick(core, feeder, 10).vector[3] == pytest.approx(gripper)


def test_a_new_policy_does_not_end_the_repetition_of_the_safe_command(make_policy):
    """The receiver may have missed the first one, and the observation that the policy waits for may never come."""
    core, feeder = started(make_policy)
    core.stop("asked to", feeder.now)
    offer(core, make_policy(5))
    assert isinstance(core.mode, WaitingForObservation)
    assert core.watch(feeder.now + 0.5).vector.tolist() == [0.0, 0.0, 0.0, -1.0]
    assert core.watch(feeder.now + 1.5) is None


def test_a_hold_remembers_when_it_began(make_policy):
    core, feeder = started(make_policy)
    began = feeder.now + 0.2
    core.watch(began)
    core.watch(began + 5.0)
    assert (core.mode.since_s, "silent for 5.20 s" in core.mode.reason) == (began, True)


@pytest.mark.parametrize("simulated_time", [False, True])
@pytest.mark.parametrize("apart_s", [0.4, 30.0, 3600.0])
def test_two_robots_on_one_topic_are_answered_no_faster_than_one(make_policy, simulated_time, apart_s):
    """Observations of two clocks in turns, at 160 Hz together: one a period is answered."""
    core, feeder = started(make_policy, simulated_time=simulated_time)
    answers = 0
    for step in range(4, 164):
        for clock in (0, round(apart_s * 1e9)):
            feeder.now += 0.00625
            vector = np.arange(21.0)
            found = [feeder.message_at(stream, step * PERIOD + clock, vector) for stream in range(5)]
            observation = next((each for each in found if each), None)
            answers += observation is not None and core.tick(observation, feeder.now) is not None
    assert 155 <= answers <= 161


def test_after_a_hold_in_simulated_time_a_leap_is_slew_limited_from_rest(make_policy):
    """Only the very next stamp says that a lock-step simulator executed the answer and no hold."""
    for leap in (-2000, 2000):
        core, feeder = started(make_policy, simulated_time=True, slew=4.0)  # 0.05 m/s a period
        feeder.now = 100.0
        for stamp in range(4000, 4020):
            feeder.now += 0.0125
            tick(core, feeder, stamp)
        assert core.watch(feeder.now + 0.2).vector[0] == 0.0
        feeder.now += 0.2
        found = []
        for stamp in range(4020 + leap, 4030 + leap):
            feeder.now += 0.0125
            observation = feeder.observation(stamp)
            if observation:
                found.append(core.tick(observation, feeder.now).vector[0])
        assert found[:3] == pytest.approx([0.05, 0.1, 0.15])


def test_clocks_that_are_apart_stop_policies_however_often_they_are_replaced(make_policy):
    contract = control_contract(age=0.1)
    core = ControllerCore(contract, stop_outside_training_range=True, stamp_clock_ns=lambda: 10**12)
    feeder = Feeder(core)
    for stamp in range(1, 40):
        if stamp % 4 == 1 and core.mode.outcome is not Outcome.STOPPED:
            offer(core, aged(make_policy, contract, seed=stamp))
        tick(core, feeder, stamp)
    assert core.mode.reason == f"far outside what 'reach-v3' was trained on: {AGE}"
