"""Pins how policies reach the controller, and that a bad one never disturbs the policy that runs."""

import array
import dataclasses
import os
import re

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from nodes_support import SHIPPED, Cell, running_cell
from std_srvs.srv import Trigger

from lwd_msgs.msg import ControllerStatus, PolicyWeights
from lwd_msgs.srv import GeneratePolicy, GetPolicy, ListTasks
from lwd_ros.environments.metaworld.tasks import MT10
from lwd_ros.generator import PolicyGenerator
from lwd_ros.nodes.conversions import policy_to_message, to_nanoseconds
from lwd_ros.nodes.streams import LATCHED
from lwd_ros.resources import share_path

TASK = "drawer-open-v3"


@pytest.fixture(scope="module")
def cell(tmp_path_factory):
    """All three nodes, a task loaded, in real time."""
    with running_cell(tmp_path_factory.mktemp("cell")) as cell:
        cell.load(TASK, 700_010)
        yield cell


@pytest.fixture
def running(cell) -> str:
    """The id of a policy that runs."""
    response = cell.generate(TASK)
    assert response.success, response.message
    cell.wait_for_policy(response.policy_id)
    return response.policy_id


def test_late_controller_receives_the_latched_policy(tmp_path):
    with Cell(tmp_path) as cell:
        cell.start_node("policy_generator")
        cell.start_node("metaworld_bridge", {"task": TASK, "layout": 700_011})
        response = cell.generate(TASK)
        assert response.success, response.message
        cell.start_node("policy_controller", {"get_policy_service": "nobody/get_policy"})
        cell.wait_for_policy(response.policy_id)


def test_late_controller_asks_for_the_policy_when_latching_fails(tmp_path):
    with Cell(tmp_path) as cell:
        cell.start_node("policy_generator")
        cell.start_node("metaworld_bridge", {"task": TASK, "layout": 700_012})
        response = cell.generate(TASK)
        # The topic leads nowhere, as a broken transient-local delivery would.
        arguments = [*cell.ros_arguments(SHIPPED["policy_controller"]), "-r", "policy:=policy_elsewhere"]
        cell.start("policy_controller", "lwd_ros.nodes.policy_controller", arguments)
        cell.wait_for_policy(response.policy_id)
        assert "get_policy" in cell.tail("policy_controller")


def test_latched_policy_moves_no_robot_that_forbids_it(tmp_path):
    """By the order of events, not by the clocks of two computers: the generator's runs an hour ahead here."""
    with Cell(tmp_path) as cell:
        cell.start_node("metaworld_bridge", {"task": TASK, "layout": 700_013})
        message = _message()
        message.header.stamp = Time(sec=2_000_000_000)
        publisher = cell.node.create_publisher(PolicyWeights, "policy", LATCHED)
        publisher.publish(message)
        cell.start_node("policy_controller", {"run_latched": False})
        cell.wait("the controller's subscriptions", lambda: publisher.get_subscription_count() == 2)
        cell.wait("observations", lambda: cell.controller is not None and cell.controller.observation_age_s >= 0)
        cell.spin(2.0)
        assert (cell.controller.ticks, cell.controller.policy_id) == (0, "")
        message.header.stamp = Time(sec=1)
        publisher.publish(message)
        cell.wait_for_policy(message.policy_id)


@pytest.mark.parametrize("stopped_first", [True, False])
def test_stop_is_not_undone_by_an_older_policy(tmp_path, stopped_first):
    """Neither get_policy nor a latched policy starts a robot again that was stopped."""
    with Cell(tmp_path) as cell:
        cell.start_node("metaworld_bridge", {"task": TASK, "layout": 700_014})
        cell.start_node("policy_generator")
        old = cell.generate(TASK)
        cell.start(
            "policy_controller",
            "lwd_ros.nodes.policy_controller",
            [
                *cell.ros_arguments(SHIPPED["policy_controller"]),
                *(["-r", "policy:=policy_elsewhere"] if stopped_first else []),
            ],
        )
        if not stopped_first:
            cell.wait_for_policy(old.policy_id)
        cell.wait("the controller", lambda: cell.controller is not None)
        assert cell.call(Trigger, "policy_controller/stop").success
        cell.controller = None
        cell.spin(3.0)
        assert cell.controller.outcome == ControllerStatus.OUTCOME_STOPPED
        assert cell.controller.policy_id == ""


SLOW_GENERATOR = """
import sys, time
from lwd_ros.nodes import policy_generator

class Slow(policy_generator.PolicyGenerator):
    def generate(self, *given):
        time.sleep(1.5)
        return super().generate(*given)

policy_generator.PolicyGenerator = Slow
sys.exit(policy_generator.main())
"""


def test_a_policy_that_was_requested_before_a_stop_is_refused_though_it_is_published_after_it(tmp_path):
    """Two requests: one is being generated when the stop comes, the other one waits for its turn meanwhile."""
    (tmp_path / "slow_generator.py").write_text(SLOW_GENERATOR)
    with Cell(tmp_path) as cell:
        cell.environment["PYTHONPATH"] = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
        cell.start_node("metaworld_bridge", {"task": TASK, "layout": 700_015})
        cell.start_node("policy_controller")
        cell.start("policy_generator", "slow_generator", cell.ros_arguments(SHIPPED["policy_generator"]))
        cell.wait_for_policy(cell.generate(TASK, 1).policy_id)
        client = cell.node.create_client(GeneratePolicy, "policy_generator/generate_policy")
        cell.wait("the service", client.service_is_ready)
        answers = [client.call_async(GeneratePolicy.Request(task=TASK, seed=seed)) for seed in (2, 3)]
        cell.spin(0.7)
        assert cell.call(Trigger, "policy_controller/stop").success
        cell.wait("both policies", lambda: all(answer.done() for answer in answers))
        cell.wait("both refusals", lambda: cell.controller.rejections == 2)
        assert cell.controller.rejected_policy_id == answers[1].result().policy_id
        assert re.match(r"it was requested [01]\.\d{3} s before the last stop; ask", cell.controller.rejected_reason)
        assert cell.controller.outcome == ControllerStatus.OUTCOME_STOPPED
        last = cell.call(GetPolicy, "policy_generator/get_policy").policy
        generated_s = 1e-9 * (to_nanoseconds(last.header.stamp) - to_nanoseconds(last.requested))
        assert 3.0 <= generated_s < 10.0  # it waited for the other one
        cell.wait_for_policy(cell.generate(TASK, 3).policy_id)  # asked for again, the same one runs


def test_get_policy_and_list_tasks_answer(cell, running):
    response = cell.call(GetPolicy, "policy_generator/get_policy")
    assert response.success and response.policy.policy_id == running
    tasks = cell.call(ListTasks, "policy_generator/list_tasks")
    assert tasks.success and tuple(tasks.tasks) == MT10
    assert tasks.contract_digest == cell.controller.contract_digest


def test_a_seed_gives_the_same_policy_again(cell):
    first, again, other = (cell.generate(TASK, seed) for seed in (7, 7, 8))
    assert first.policy_id == again.policy_id != other.policy_id
    drawn = [cell.generate(TASK, 0) for _ in range(2)]
    assert drawn[0].seed != drawn[1].seed and 0 not in (drawn[0].seed, drawn[1].seed)


def test_unknown_task_lists_the_known_ones(cell, running):
    response = cell.generate("juggle-v3")
    assert not response.success and response.policy_id == ""
    assert "'juggle-v3' is unknown" in response.message
    assert all(task in response.message for task in MT10)
    cell.assert_still_runs(running)


def _message() -> PolicyWeights:
    generator = PolicyGenerator(share_path("models", "metaworld_mt10_visible.onnx"))
    return policy_to_message(generator.generate(TASK, 99), Time(sec=1))


def _truncate(message):
    message.weights = message.weights[:-1]


def _flip_a_bit(message):
    bits = np.array(message.weights, dtype=np.float32).view(np.uint32)
    bits[100] ^= 1 << 12
    message.weights = array.array("f", bits.view(np.float32).tobytes())


def _not_a_number(message):
    message.weights[5] = float("nan")


def _huge(message):
    message.weights[5] = 1e30


def _zero_std(message):
    message.observation_std[0] = 0.0


def _wrong_layers(message):
    message.layer_sizes = array.array("I", [21, 16, 4])


def _no_layers(message):
    message.layer_sizes = array.array("I")


def _unknown_activation(message):
    message.hidden_activation = "step"


def _bad_index(message):
    message.observation_indices[0] = 4_000_000_000


def _other_format(message):
    message.format_version = 2


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (_truncate, "weights"),
        (_flip_a_bit, "policy_id"),
        (_not_a_number, "weights"),
        (_huge, "weights"),
        (_zero_std, "observation_std"),
        (_wrong_layers, "weights"),
        (_no_layers, "layer_sizes"),
        (_unknown_activation, "hidden_activation"),
        (_bad_index, "policy_id"),
        (_other_format, "format_version"),
    ],
)
def test_malformed_policy_is_refused_and_the_old_one_runs_on(cell, running, damage, named):
    message = _message()
    damage(message)
    _publish_and_expect_refusal(cell, message, named)
    cell.assert_still_runs(running)


def test_policy_that_reads_beyond_the_contract_is_refused(cell, running):
    """With a correct id: nothing but the check of its places stands between it and the robot."""
    generator = PolicyGenerator(share_path("models", "metaworld_mt10_visible.onnx"))
    policy = generator.generate(TASK, 99)
    places = policy.observation_indices.copy()
    places[0] = 4_000_000_000
    beyond = dataclasses.replace(policy, observation_indices=places)
    _publish_and_expect_refusal(cell, policy_to_message(beyond, Time(sec=1)), "layer_sizes")
    cell.assert_still_runs(running)


def test_policy_for_another_contract_is_refused_and_the_old_one_runs_on(cell, running):
    generator = PolicyGenerator(share_path("models", "metaworld_mt10_visible.onnx"))
    foreign = dataclasses.replace(generator.generate(TASK, 99), contract_digest="0" * 64)
    _publish_and_expect_refusal(cell, policy_to_message(foreign, Time(sec=1)), "contract_digest")
    cell.assert_still_runs(running)


def _publish_and_expect_refusal(cell, message: PolicyWeights, named: str) -> None:
    publisher = cell.node.create_publisher(PolicyWeights, "policy", LATCHED)
    cell.wait("the controller's subscription", lambda: publisher.get_subscription_count() > 0)
    cell.wait("a status", lambda: cell.controller is not None)
    before = cell.controller.rejections
    publisher.publish(message)
    cell.wait("the refusal", lambda: cell.controller.rejections == before + 1)
    cell.node.destroy_publisher(publisher)
    assert cell.controller.rejected_reason.startswith(named), cell.controller.rejected_reason
    assert cell.controller.rejected_policy_id == message.policy_id


def test_stop_holds_until_a_new_policy_arrives(cell, running):
    assert cell.call(Trigger, "policy_controller/stop").success
    cell.wait("stopped", lambda: cell.controller.outcome == ControllerStatus.OUTCOME_STOPPED)
    assert "stopped: ~/stop was called" in cell.tail("policy_controller")
    assert cell.controller.policy_id == ""
    ticks = cell.controller.ticks
    cell.controller = None
    cell.wait("a status", lambda: cell.controller is not None)
    assert cell.controller.ticks == ticks
    cell.wait("the bridge to hold", lambda: cell.task.holding)
    cell.wait_for_policy(cell.generate(TASK).policy_id)
    cell.wait("the bridge to move again", lambda: not cell.task.holding)


# Conditions by name


def test_list_tasks_names_what_policies_are_generated_for(cell, running):
    tasks = cell.call(ListTasks, "policy_generator/list_tasks")
    assert list(tasks.conditions) == ["task"] and not tasks.condition_on_observation


@pytest.mark.parametrize(
    ("task", "names", "values", "sentence"),
    [
        ("", ["task"], ["juggle-v3"], "task 'juggle-v3' is unknown"),
        (TASK, ["task"], [TASK], "condition 'task': found two values, expected one"),
        (TASK, ["observation"], ["[0.0]"], "condition 'observation' is unknown to"),
        (TASK, ["image"], ["view.png"], "it takes task"),
        (TASK, ["task"], [], "found 1 condition_names and 0 condition_values, expected as many"),
    ],
)
def test_a_wrong_condition_is_answered_in_one_sentence(cell, running, task, names, values, sentence):
    request = GeneratePolicy.Request(task=task, seed=3, condition_names=names, condition_values=values)
    response = cell.call(GeneratePolicy, "policy_generator/generate_policy", request)
    assert not response.success and sentence in response.message and "\n" not in response.message


def test_a_task_may_be_given_as_a_condition(cell, running):
    request = GeneratePolicy.Request(seed=7, condition_names=["task"], condition_values=[TASK])
    response = cell.call(GeneratePolicy, "policy_generator/generate_policy", request)
    assert response.success, response.message
    assert response.policy_id == cell.generate(TASK, 7).policy_id
    cell.wait_for_policy(response.policy_id)
