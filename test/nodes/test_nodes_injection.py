"""Pins the controller under injected faults, in real processes: killed neighbours, damaged streams, clocks, disks."""

import random
import resource
import signal
import subprocess
import sys

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from geometry_msgs.msg import TwistStamped
from lifecycle_msgs.srv import GetState
from nodes_support import SHIPPED, Cell, running_cell
from robot_support import HOUR_NS, PERIOD_NS, Robot, at_rest
from rosgraph_msgs.msg import Clock
from std_srvs.srv import Trigger

from lwd_msgs.msg import ControllerStatus, PolicyWeights
from lwd_msgs.srv import GeneratePolicy
from lwd_ros.nodes.conversions import policy_to_message, to_nanoseconds, to_stamp
from lwd_ros.nodes.streams import LATCHED, StreamPublisher

TASK = "drawer-open-v3"


@pytest.fixture
def robot(tmp_path, contract, make_policy):
    with Cell(tmp_path) as cell:
        yield Robot(cell, contract, make_policy)


def test_damaged_streams_never_make_a_mixed_or_a_repeated_tick(robot):
    """Drop-outs, duplicates and reordering, one after the other and all at once."""
    draw = random.Random(5)
    streams = range(len(robot.single))

    def dropping():
        robot.observe([place for place in streams if draw.random() > 0.1])

    def duplicating():
        robot.observe([place for place in streams for _ in range(draw.choice((1, 2, 3)))])

    def reordering():
        late = draw.choice(streams)
        robot.observe([place for place in streams if place != late])
        robot.stamp_ns += PERIOD_NS
        stamp = robot.stamp_ns
        for place in draw.sample(streams, len(streams)):
            robot.single[place].send(robot.vector(), stamp)
        robot.stamp_ns -= PERIOD_NS
        robot.single[late].send(robot.vector(), robot.stamp_ns)
        robot.stamp_ns += PERIOD_NS

    for damage in (dropping, duplicating, reordering):
        robot.run(60, damage)
        robot.assert_runs()
    answers = {}
    for stamp, *command in robot.commands:
        if stamp:  # a repeated stamp repeats its answer
            assert answers.setdefault(stamp, command) == command


def test_a_burst_moves_the_arm_no_faster(robot):
    """Observations that waited somewhere and come at once: stamps closer than the period are not answered."""
    step = PERIOD_NS // 10
    before = robot.commands[-1][0]

    def burst():
        for _ in range(20):
            robot.stamp_ns += step - PERIOD_NS
            robot.observe()

    robot.run(10, burst)
    stamps = np.array([stamp for stamp, *_ in robot.commands if stamp > before])
    assert len(stamps) > 5
    assert np.diff(np.unique(stamps)).min() >= 0.75 * PERIOD_NS
    robot.assert_runs()


@pytest.mark.parametrize("jump_ns", [HOUR_NS, -HOUR_NS // 2])
def test_a_clock_that_jumps_is_followed(robot, jump_ns):
    robot.stamp_ns += jump_ns
    robot.assert_runs()
    assert abs(robot.commands[-1][0] - robot.stamp_ns) < 20 * PERIOD_NS


def test_watchdogs_work_while_the_clock_of_the_simulation_stands_still(tmp_path, contract, make_policy):
    """use_sim_time and nobody publishes /clock: ticks, staleness and status go by the steady clock."""
    with Cell(tmp_path) as cell:
        robot = Robot(cell, contract, make_policy, {"use_sim_time": True})
        robot.assert_runs()
        cell.wait("hold", lambda: cell.controller.outcome == ControllerStatus.OUTCOME_HOLD)
        robot.wait_safe()
        assert "silent for" in cell.controller.reason


def test_the_timer_goes_by_the_clock_of_the_simulation_and_holds_when_it_stands_still(tmp_path, contract, make_policy):
    with Cell(tmp_path) as cell:
        clock, now_ns = cell.node.create_publisher(Clock, "clock", 10), HOUR_NS

        def advance() -> None:
            nonlocal now_ns
            now_ns += PERIOD_NS
            clock.publish(Clock(clock=to_stamp(now_ns)))

        running = cell.node.create_timer(0.0125, advance)
        robot = Robot(cell, contract, make_policy, {"use_sim_time": True, "trigger": "timer"})
        robot.assert_runs()
        running.cancel()
        cell.spin(0.1)
        commands = len(robot.commands)
        robot.run(40)
        assert cell.controller.outcome == ControllerStatus.OUTCOME_HOLD
        assert "though observations arrive: does the clock stand still?" in cell.controller.reason
        assert set(robot.commands[commands:]) == {(0, 0.0, 0.0)}
        running.reset()
        robot.assert_runs()


def test_the_same_publication_again_is_no_swap(robot):
    message = policy_to_message(robot.policy, Time(sec=77))
    robot.policies.publish(message)
    robot.run(20)
    robot.cell.wait("the swap", lambda: robot.cell.controller.policy_stamp.sec == 77)
    swaps = robot.cell.controller.swaps
    for _ in range(20):
        robot.policies.publish(message)
        robot.run(1)
    robot.assert_runs()
    assert (robot.cell.controller.swaps, robot.cell.controller.rejections) == (swaps, 0)


def test_stop_is_heard_through_a_flood_of_observations(robot):
    """Far more observations than the controller can read: the stop is served in between."""
    robot.cell.node.create_timer(0.0005, robot.observe)
    robot.cell.spin(0.5)
    assert robot.cell.call(Trigger, "policy_controller/stop", seconds=5.0).success
    robot.cell.wait("stopped", lambda: robot.cell.controller.outcome == ControllerStatus.OUTCOME_STOPPED, 5.0)


def test_an_activation_that_fails_leaves_nothing_behind_that_could_move_the_robot(tmp_path, contract, make_policy):
    with Cell(tmp_path) as cell:
        streams = contract.require_binding().observation_streams
        observations = StreamPublisher(cell.node, streams, lambda sentence: None)
        commands, vector = [], at_rest(contract)
        cell.subscribe(TwistStamped, "hand/velocity_command", commands.append, 1000)
        policies = cell.node.create_publisher(PolicyWeights, "policy", LATCHED)
        policies.publish(policy_to_message(make_policy(), Time(sec=1)))
        cell.start_node("policy_controller", {"get_policy_service": "not-a-name/get_policy"})
        cell.wait("the failure", lambda: "activate failed: " in cell.tail("policy_controller"))
        for step in range(100):
            observations.send(vector, HOUR_NS + step * PERIOD_NS)
            cell.spin(0.0125)
        assert cell.call(GetState, "policy_controller/get_state").current_state.label == "inactive"
        assert not commands


def test_killed_nodes_come_back_and_nothing_else_stops(tmp_path):
    """kill -9 of each node at drawn moments, and its restart."""
    draw = random.Random(3)
    with running_cell(tmp_path, bridge={"task": TASK, "layout": 700_031}) as cell:
        running = cell.generate(TASK).policy_id
        cell.wait_for_policy(running)
        for _ in range(2):
            cell.spin(draw.uniform(0.0, 0.3))
            _kill(cell, "policy_generator")
            cell.assert_still_runs(running)
            cell.start_node("policy_generator")
            running = _generate_again(cell)
            cell.wait_for_policy(running)
            cell.spin(draw.uniform(0.0, 0.3))
            _kill(cell, "policy_controller")
            cell.wait("the bridge to hold", lambda: cell.task.holding)
            cell.controller = None
            cell.start_node("policy_controller")
            cell.wait_for_policy(running)  # latched
            cell.wait("the bridge to move again", lambda: not cell.task.holding)
            cell.spin(draw.uniform(0.0, 0.3))
            _kill(cell, "metaworld_bridge")
            cell.wait("hold", lambda: cell.controller.outcome == ControllerStatus.OUTCOME_HOLD)
            cell.start_node("metaworld_bridge", {"task": TASK, "layout": 700_031})
            cell.wait_for_policy(running)


def _generate_again(cell: Cell) -> str:
    """A policy of the new generator: for a while, DDS goes on showing the service of the one that was killed."""
    client = cell.node.create_client(GeneratePolicy, "policy_generator/generate_policy")
    futures = []

    def answered() -> bool:
        futures.append(client.call_async(GeneratePolicy.Request(task=TASK)))
        cell.spin(1.0)
        return any(future.done() for future in futures)

    cell.wait("an answer of the new generator", answered)
    cell.spin(1.0)  # let every request that got through be answered: the last policy is the one that runs
    cell.node.destroy_client(client)
    return max((f.result() for f in futures if f.done()), key=lambda r: to_nanoseconds(r.stamp)).policy_id


def _kill(cell: Cell, name: str) -> None:
    cell.processes[name].send_signal(signal.SIGKILL)
    cell.processes[name].wait()


def test_a_generator_killed_at_work_stops_nothing(tmp_path):
    """kill -9 while requests are being answered: what was published runs, the rest never arrives."""
    with running_cell(tmp_path, bridge={"task": TASK, "layout": 700_033}) as cell:
        published = []
        cell.subscribe(PolicyWeights, "policy", lambda message: published.append(message.policy_id), LATCHED)
        cell.wait_for_policy(cell.generate(TASK).policy_id)
        client = cell.node.create_client(GeneratePolicy, "policy_generator/generate_policy")
        cell.wait("the service", client.service_is_ready)
        for seed in range(1, 11):
            client.call_async(GeneratePolicy.Request(task=TASK, seed=seed))
        cell.spin(0.01)
        _kill(cell, "policy_generator")
        cell.spin(0.5)
        cell.assert_still_runs(published[-1])
        assert cell.controller.rejections == 0


def test_of_two_latched_policies_the_newer_one_comes_back(tmp_path, contract, make_policy):
    """Each generator latches its own; a controller that starts later receives both, in any order."""
    older, newer = make_policy(1), make_policy(2)
    with Cell(tmp_path) as cell:
        for second, policy in ((2, newer), (1, older)):
            publisher = cell.node.create_publisher(PolicyWeights, "policy", LATCHED)
            publisher.publish(policy_to_message(policy, Time(sec=second)))
        streams = contract.require_binding().observation_streams
        observations = StreamPublisher(cell.node, streams, lambda sentence: None)
        stamps = iter(range(HOUR_NS, 2 * HOUR_NS, PERIOD_NS))
        cell.node.create_timer(0.0125, lambda: observations.send(at_rest(contract), next(stamps)))
        for _ in range(3):
            cell.controller = None
            cell.start_node("policy_controller")
            cell.wait_for_policy(newer.policy_id)
            cell.spin(1.0)
            assert cell.controller.policy_id == newer.policy_id
            _kill(cell, "policy_controller")


def test_of_two_generators_the_last_policy_runs(tmp_path):
    with running_cell(tmp_path, bridge={"task": TASK, "layout": 700_032}) as cell:
        arguments = cell.ros_arguments(SHIPPED["policy_generator"])
        other = [sys.executable, "-m", "lwd_ros.nodes.policy_generator", *arguments]
        cell.processes["other"] = subprocess.Popen([*other, "-r", "__node:=other"], env=cell.environment)
        for seed in range(1, 7):
            service = ("policy_generator", "other")[seed % 2]
            request = GeneratePolicy.Request(task=TASK, seed=seed)
            cell.wait_for_policy(cell.call(GeneratePolicy, f"{service}/generate_policy", request).policy_id)
        assert cell.controller.rejections == 0


def test_a_disk_without_room_for_logs_stops_no_robot(tmp_path, contract, make_policy):
    """Every write to a file fails in the controller's process, as on a full disk."""

    class FullDisk(Cell):
        def start(self, name, module, arguments=(), output=None):
            command = [sys.executable, "-m", module, *arguments]
            self.processes[name] = subprocess.Popen(
                command,
                env={**self.environment, "FASTDDS_BUILTIN_TRANSPORTS": "UDPv4", "ROS_LOG_DIR": str(tmp_path)},
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)),
            )
            return self.processes[name]

    with FullDisk(tmp_path) as cell:
        robot = Robot(cell, contract, make_policy)
        robot.assert_runs()
        robot.cell.wait("hold", lambda: cell.controller.outcome == ControllerStatus.OUTCOME_HOLD)
        robot.wait_safe()
