"""Pins the controller's loop in real processes: which policy made which command, the timer trigger, what is refused."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from geometry_msgs.msg import TwistStamped
from lifecycle_msgs.srv import GetState
from nodes_support import Cell, running_cell

from lwd_msgs.msg import ControllerStatus, PolicyWeights
from lwd_msgs.srv import GeneratePolicy
from lwd_ros.demo.supervisor import isolated_environment
from lwd_ros.nodes.conversions import policy_to_message, to_nanoseconds
from lwd_ros.nodes.streams import LATCHED
from lwd_ros.policy import PolicyLayout
from lwd_ros.resources import share_path

HIDDEN = share_path("models", "metaworld_mt10_hidden.onnx")
BRIDGE = {"task": "drawer-open-v3", "layout": 700_030}


@pytest.fixture
def offered(make_policy):
    """A function: publish a policy that commands this hand velocity in x, m/s, whatever it sees; returns it."""

    def publisher(cell):
        topic = cell.node.create_publisher(PolicyWeights, "policy", LATCHED)

        def offer(velocity):
            layout = PolicyLayout((21, 4))
            policy = make_policy(0, layout, weights=np.zeros(layout.parameters), action_offset=[velocity, 0, 0, 0])
            topic.publish(policy_to_message(policy, cell.node.get_clock().now().to_msg()))
            return policy

        return offer

    return publisher


def test_the_status_tells_which_policy_made_each_command(tmp_path, offered):
    """Policies that race: every command is one policy's, and the statuses' stamps say whose."""
    commands, statuses = {}, []
    with Cell(tmp_path) as cell:
        cell.start_node("metaworld_bridge", BRIDGE)
        cell.start_node("policy_controller")
        offer = offered(cell)
        cell.subscribe(ControllerStatus, "policy_controller/status", statuses.append, 1000)
        cell.subscribe(
            TwistStamped,
            "hand/velocity_command",
            lambda m: commands.setdefault(to_nanoseconds(m.header.stamp), m.twist.linear.x),
            1000,
        )
        velocities, policies = np.linspace(-0.3, 0.3, 40), {}
        for place, velocity in enumerate(velocities):
            policies[offer(velocity).policy_id] = velocity
            cell.spin((0.0, 0.003, 0.03)[place % 3])
            if place == 0:
                cell.wait("the first policy", lambda: cell.controller and cell.controller.policy_id)
        last = list(policies)[-1]
        cell.wait("the last policy", lambda: cell.controller.policy_id == last)
        cell.spin(0.3)
    swaps = {to_nanoseconds(m.policy_first_stamp): m.policy_id for m in statuses if m.policy_id}
    assert len(swaps) > 4 and list(swaps) == sorted(swaps)
    assert list(swaps.values())[-1] == last  # whatever raced, the last valid one runs
    firsts = np.array(list(swaps))
    for stamp, velocity in commands.items():
        if stamp >= firsts[0]:
            maker = list(swaps.values())[np.searchsorted(firsts, stamp, side="right") - 1]
            assert velocity == pytest.approx(policies[maker], abs=1e-6)


def test_the_timer_answers_at_its_own_rate_and_holds_when_observations_stop(tmp_path, offered):
    stamps = []
    with Cell(tmp_path) as cell:
        bridge = cell.start_node("metaworld_bridge", BRIDGE)
        cell.start_node("policy_controller", {"trigger": "timer"})
        offer = offered(cell)
        cell.subscribe(
            TwistStamped, "hand/velocity_command", lambda m: stamps.append(to_nanoseconds(m.header.stamp)), 1000
        )
        cell.wait_for_policy(offer(0.01).policy_id)
        cell.wait("ticks", lambda: cell.controller.ticks > 40)
        before, began = cell.controller.ticks, time.monotonic()
        cell.wait("ticks", lambda: cell.controller.ticks > before + 160)
        rate = (cell.controller.ticks - before) / (time.monotonic() - began)
        assert 60 < rate < 90
        bridge.send_signal(signal.SIGSTOP)
        try:
            cell.wait("hold", lambda: cell.controller.outcome == ControllerStatus.OUTCOME_HOLD)
            starved = cell.controller.starved_ticks
        finally:
            bridge.send_signal(signal.SIGCONT)
        cell.wait("going on", lambda: cell.controller.outcome == ControllerStatus.OUTCOME_CONTINUE)
    # Until the observations were stale (0.1 s), the newest one was answered again at each deadline.
    answered, times = np.unique([stamp for stamp in stamps if stamp], return_counts=True)
    assert starved >= 1
    assert times.max() >= 2
    assert len(answered) > 20


@pytest.mark.parametrize(
    ("node", "parameters", "sentence"),
    [
        (
            "metaworld_bridge",
            {"mode": "lockstep", "observation_delay_s": 0.1},
            "found a delay in mode 'lockstep', expected 0",
        ),
        (
            "metaworld_bridge",
            {"observation_delay_s": 2.0},
            "parameter 'observation_delay_s': found 2.0, expected a number from 0 to 1",
        ),
        (
            "metaworld_bridge",
            {"layout": "9" * 20},
            f"parameter 'layout': found 1e+20, expected a whole number from 0 to {2**62}",
        ),
        (
            "policy_controller",
            {"trigger": "sometimes"},
            "parameter 'trigger': found 'sometimes', expected observation or timer",
        ),
        (
            "policy_controller",
            {"cpu_affinity": "all"},
            "parameter 'cpu_affinity': found 'all', expected core numbers as in 2,3",
        ),
        (
            "policy_controller",
            {"cpu_affinity": "-1"},
            "parameter 'cpu_affinity': found '-1', expected core numbers as in 2,3",
        ),
        (
            "policy_controller",
            {"realtime_priority": 100},
            "parameter 'realtime_priority': found 100, expected a whole number from 0 to 99",
        ),
        (
            "policy_controller",
            {"contract_file": "''"},
            "parameter 'contract_file': found nothing, expected the contract between policy and robot (YAML)",
        ),
        (
            "policy_generator",
            {"model_file": "''"},
            "parameter 'model_file': found nothing, expected a model made by 'lwd export' (.onnx)",
        ),
        (
            "policy_generator",
            {"model_file": HIDDEN, "contract_file": "''"},
            "parameter 'contract_file': found nothing, expected the robot's contract (YAML): ",
        ),
        (
            "simulator_bridge",
            {},
            "parameter 'environment': found nothing, expected a registered name (avoiding, cheetah, metaworld, "
            "quadruped) or the path of",
        ),
        (
            "simulator_bridge",
            {"environment": "moon"},
            "environment 'moon': found no such, expected avoiding, cheetah, metaworld, quadruped, or the path of a "
            "YAML file",
        ),
        ("simulator_bridge", {"environment": "nowhere.yaml"}, "nowhere.yaml: cannot be read"),
    ],
)
def test_a_parameter_that_cannot_be_used_ends_the_node(tmp_path, node, parameters, sentence):
    with Cell(tmp_path) as cell:
        assert cell.start_node(node, parameters).wait(30) == 1
        log = cell.tail(node)
    assert sentence in log and "Traceback" not in log


def test_cores_that_do_not_exist_are_refused_aloud_and_the_controller_runs(tmp_path):
    with Cell(tmp_path) as cell:
        cell.start_node("policy_controller", {"cpu_affinity": 999})
        cell.wait("the controller", lambda: cell.controller is not None)
        assert cell.call(GetState, "policy_controller/get_state").current_state.label == "active"
        assert "cpu_affinity [999]: the system refused (" in cell.tail("policy_controller", 20)


def _may_run_in_real_time() -> bool:
    code = "import os; os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(5))"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def _threads(process: subprocess.Popen) -> list[int]:
    return [int(name) for name in os.listdir(f"/proc/{process.pid}/task")]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="scheduling of Linux")
def test_cores_and_real_time_priority_reach_every_thread_that_is_driving(tmp_path, offered):
    """A thread left at normal priority would hold the interpreter while others compute."""
    allowed = _may_run_in_real_time()
    core = min(os.sched_getaffinity(0))
    with Cell(tmp_path) as cell:
        cell.start_node("metaworld_bridge", BRIDGE)
        process = cell.start_node("policy_controller", {"realtime_priority": 5, "cpu_affinity": str(core)})
        cell.wait_for_policy(offered(cell)(0.01).policy_id)
        assert all(os.sched_getaffinity(thread) == {core} for thread in _threads(process))
        kinds = {os.sched_getscheduler(thread) for thread in _threads(process)}
        if allowed:
            assert kinds == {os.SCHED_FIFO}
            assert {os.sched_getparam(thread).sched_priority for thread in _threads(process)} == {5}
        else:
            assert kinds == {os.SCHED_OTHER}
            assert "realtime_priority 5: the system refused (" in cell.tail("policy_controller", 40)


def test_the_nodes_have_no_threads_that_split_a_matrix_product():
    """Two threads on one small product wait for each other; BLAS starts them when NumPy is imported."""
    code = "import os, lwd_ros.nodes, numpy; numpy.ones((500, 500)) @ numpy.ones(500)"
    code += "; print(len(os.listdir('/proc/self/task')))"
    environment = isolated_environment()
    environment.pop("OMP_NUM_THREADS")
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"


def test_a_flood_of_requests_disturbs_neither_the_policy_nor_the_last_request(tmp_path):
    """1,000 requests at once. A ROS service keeps the newest 10 that wait; the last one is answered, and it runs."""
    with running_cell(tmp_path, bridge=BRIDGE) as cell:
        cell.wait_for_policy(cell.generate("drawer-open-v3").policy_id)
        outcomes = []
        cell.subscribe(ControllerStatus, "policy_controller/status", lambda m: outcomes.append(m.outcome), 1000)
        client = cell.node.create_client(GeneratePolicy, "policy_generator/generate_policy")
        cell.wait("the service", client.service_is_ready)
        before, began = cell.controller.ticks, time.monotonic()
        futures = [client.call_async(GeneratePolicy.Request(task="drawer-open-v3", seed=s)) for s in range(1, 1001)]
        cell.wait("the last answer", futures[-1].done)
        assert all(future.result().success for future in futures if future.done())
        cell.wait_for_policy(futures[-1].result().policy_id)
        assert cell.controller.ticks - before > 20 * (time.monotonic() - began)  # of 80 a second
        assert ControllerStatus.OUTCOME_STOPPED not in outcomes
        assert cell.controller.outcome == ControllerStatus.OUTCOME_CONTINUE
        assert cell.controller.rejections == 0
