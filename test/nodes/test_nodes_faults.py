"""Pins what users get for bad input and dead neighbours: a named outcome, one sentence, nothing lost."""

import json
import signal
import subprocess
import sys

import pytest
from geometry_msgs.msg import PoseStamped, TwistStamped
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from nodes_support import SHIPPED, Cell, running_cell
from sensor_msgs.msg import JointState
from std_srvs.srv import Trigger

from lwd_msgs.msg import ControllerStatus
from lwd_msgs.srv import GetPolicy, LoadTask
from lwd_ros.demo.supervisor import isolated_environment
from lwd_ros.resources import share_path

NODES = ("metaworld_bridge", "policy_generator", "policy_controller")
TASK = "drawer-open-v3"
MODEL = share_path("models", "metaworld_mt10_visible.onnx")
TRANSITIONS = {getattr(Transition, name) for name in dir(Transition) if name.startswith("TRANSITION_")} | {77, 255}
VALID_TRANSITIONS = {
    "unconfigured": {Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_UNCONFIGURED_SHUTDOWN},
    "inactive": {
        Transition.TRANSITION_CLEANUP,
        Transition.TRANSITION_ACTIVATE,
        Transition.TRANSITION_INACTIVE_SHUTDOWN,
    },
    "active": {Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_ACTIVE_SHUTDOWN},
}


@pytest.fixture(scope="module")
def cell(tmp_path_factory):
    """All three nodes, a task loaded, in real time."""
    with running_cell(tmp_path_factory.mktemp("cell")) as cell:
        cell.load(TASK, 700_020)
        yield cell


_WITH_MODULES = """
import json, sys
from lwd_ros.nodes import {node}
status = {node}.main(sys.argv)
json.dump(sorted(sys.modules), open({path!r}, "w"))
sys.exit(status)
"""


def test_robot_side_loads_neither_torch_nor_a_simulator(tmp_path):
    """The modules of the very processes that ran a policy, written when they end."""
    forbidden = {
        "policy_controller": ("torch", "onnxruntime", "mujoco", "metaworld", "pyarrow"),
        "policy_generator": ("torch", "mujoco", "metaworld"),
    }
    with Cell(tmp_path) as cell:
        for node in forbidden:
            code = _WITH_MODULES.format(node=node, path=str(tmp_path / f"{node}.json"))
            command = [sys.executable, "-c", code, *cell.ros_arguments(SHIPPED[node])]
            cell.processes[node] = subprocess.Popen(command, env=cell.environment)
        cell.start_node("metaworld_bridge", {"task": TASK, "layout": 700_021})
        cell.wait_for_policy(cell.generate(TASK).policy_id)
        assert set(cell.stop().values()) == {0}
    for node, packages in forbidden.items():
        loaded = {name.partition(".")[0] for name in json.loads((tmp_path / f"{node}.json").read_text())}
        assert "rclpy" in loaded and "lwd_ros" in loaded
        assert not loaded & set(packages)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "cannot be read"),
        (MODEL.read_bytes()[:100_000], "is not a whole ONNX file"),
        (b"", "is not a whole ONNX file"),
    ],
    ids=["missing", "truncated", "empty"],
)
def test_generator_without_a_model_answers_in_one_sentence(tmp_path, content, sentence):
    model = tmp_path / "model.onnx"
    if content is not None:
        model.write_bytes(content)
    with Cell(tmp_path) as cell:
        cell.start_node("policy_generator", {"model_file": model})
        response = cell.generate(TASK)
        assert not response.success
        assert str(model) in response.message and sentence in response.message
        assert "\n" not in response.message
        # The user mends the file and configures again; no restart is needed.
        model.write_bytes(MODEL.read_bytes())
        for transition in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE):
            assert _change(cell, "policy_generator", transition)
        assert cell.generate(TASK).success


def test_generator_that_is_not_active_says_so(tmp_path):
    with Cell(tmp_path) as cell:
        cell.start_node("policy_generator", {"autostart": False})
        for response in (cell.generate(TASK), cell.call(GetPolicy, "policy_generator/get_policy")):
            assert not response.success and "unconfigured, not active" in response.message
        assert _change(cell, "policy_generator", Transition.TRANSITION_CONFIGURE)
        assert "inactive, not active" in cell.generate(TASK).message


@pytest.mark.parametrize("node", ["policy_controller", "metaworld_bridge", "policy_generator"])
def test_bad_contract_stops_the_node_naming_the_key(tmp_path, node):
    text = share_path("config", "metaworld.yaml").read_text()
    broken = tmp_path / "broken.yaml"
    broken.write_text(text.replace("limits: [-0.8, 0.8], slew_per_s: 64.0", "limits: [0.8, -0.8], slew_per_s: 64.0", 1))
    with Cell(tmp_path) as cell:
        process = cell.start_node(node, {"contract_file": broken})
        assert process.wait(30) == 1
        log = cell.tail(node)
    assert "key 'command.hand_velocity_x.limits': found [0.8, -0.8], expected" in log
    assert "Traceback" not in log


@pytest.mark.parametrize("node", NODES)
def test_invalid_transition_does_not_kill(tmp_path, node):
    """In every state, every transition that does not lead out of it is refused, unknown ones too."""
    with Cell(tmp_path) as cell:
        process = cell.start_node(node, {"autostart": False})
        for state, valid in VALID_TRANSITIONS.items():
            for transition in sorted(TRANSITIONS - valid):
                assert not _change(cell, node, transition), f"{transition} from {state}"
            assert cell.call(GetState, f"{node}/get_state").current_state.label == state
            forward = Transition.TRANSITION_CONFIGURE if state == "unconfigured" else Transition.TRANSITION_ACTIVATE
            assert state == "active" or _change(cell, node, forward)
        assert process.poll() is None
        assert "refused transition 3 from state 'active'" in cell.tail(node, 100)


def test_invalid_transitions_leave_a_running_policy_alone(cell):
    policy = cell.generate(TASK).policy_id
    cell.wait_for_policy(policy)
    for transition in sorted(TRANSITIONS - VALID_TRANSITIONS["active"]):
        assert not _change(cell, "policy_controller", transition)
    cell.assert_still_runs(policy)


def test_load_task_refuses_what_it_cannot_do(cell):
    policy = cell.generate(TASK).policy_id
    cell.wait_for_policy(policy)
    for task, keep_state, sentence in (
        ("no-such-task", False, "'no-such-task' is unknown"),
        ("door-open-v3", True, "has another scene than 'drawer-open-v3'"),
    ):
        request = LoadTask.Request(task=task, keep_state=keep_state)
        response = cell.call(LoadTask, "metaworld_bridge/load_task", request)
        assert not response.success and sentence in response.message
    assert cell.task.task == TASK
    cell.assert_still_runs(policy)


def test_reset_starts_the_same_layout_again(cell):
    cell.wait("some steps", lambda: cell.task.step > 20)
    episode, layout = cell.task.episode, cell.task.layout
    assert cell.call(Trigger, "metaworld_bridge/reset").success
    cell.wait("the new episode", lambda: cell.task.episode == episode + 1)
    assert cell.task.layout == layout


def test_dead_bridge_means_hold_and_its_return_goes_on(tmp_path):
    """kill -9 of the robot's side: velocities 0, the gripper keeps its command; back again, the policy goes on."""
    hand, gripper = [], []
    with running_cell(tmp_path, bridge={"task": TASK, "layout": 700_022}) as cell:
        cell.subscribe(TwistStamped, "hand/velocity_command", hand.append)
        cell.subscribe(JointState, "gripper/command", gripper.append)
        policy = cell.generate(TASK).policy_id
        cell.wait_for_policy(policy)
        cell.wait("a moving arm", lambda: hand and abs(hand[-1].twist.linear.y) > 0.1)
        bridge = cell.processes["metaworld_bridge"]
        bridge.kill()
        bridge.wait()
        cell.wait("hold", lambda: cell.controller.outcome == ControllerStatus.OUTCOME_HOLD)
        assert "hand/pose: silent" in cell.controller.reason
        assert "hold: hand/pose: silent" in cell.tail("policy_controller")
        cell.spin(0.3)
        linear = hand[-1].twist.linear
        assert (linear.x, linear.y, linear.z) == (0.0, 0.0, 0.0)
        assert gripper[-1].effort[0] == pytest.approx(-1.0, abs=0.05)
        cell.start_node("metaworld_bridge", {"task": TASK, "layout": 700_023})
        cell.wait_for_policy(policy)


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_controller_leaves_the_arm_still(tmp_path, end):
    """Ended in mid-motion: the last command is the safe one, the exit status 0."""
    hand = []
    with running_cell(tmp_path, bridge={"task": TASK, "layout": 700_024}) as cell:
        cell.subscribe(TwistStamped, "hand/velocity_command", hand.append)
        cell.wait_for_policy(cell.generate(TASK).policy_id)
        cell.wait("a moving arm", lambda: hand and abs(hand[-1].twist.linear.y) > 0.1)
        controller = cell.processes["policy_controller"]
        controller.send_signal(end)
        assert controller.wait(20) == 0
        cell.spin(0.5)
        linear = hand[-1].twist.linear
        assert (linear.x, linear.y, linear.z) == (0.0, 0.0, 0.0)
        cell.wait("the bridge to hold", lambda: cell.task.holding)


def test_missing_and_mistyped_streams_are_named(tmp_path):
    """A controller that waits says for what: nothing there, or there with another type."""
    with Cell(tmp_path) as cell:
        cell.node.create_publisher(TwistStamped, "goal", 10)
        cell.start_node("policy_controller")
        cell.wait("a status", lambda: cell.controller is not None and len(cell.controller.missing_streams) == 5)

        def reason(topic: str) -> str:
            return dict(zip(cell.controller.missing_streams, cell.controller.missing_reasons, strict=True))[topic]

        assert "no publisher" in reason("hand/pose")
        cell.wait("the type to be named", lambda: "published as geometry_msgs/msg/TwistStamped" in reason("goal"))


def test_observation_in_a_wrong_frame_is_refused(tmp_path):
    with Cell(tmp_path) as cell:
        publisher = cell.node.create_publisher(PoseStamped, "hand/pose", 10)
        cell.start_node("policy_controller")
        cell.wait("the subscription", lambda: publisher.get_subscription_count() > 0)
        message = PoseStamped()
        message.header.frame_id = "camera"

        def named() -> bool:
            publisher.publish(message)
            return "found frame_id 'camera', expected 'base'" in cell.tail("policy_controller")

        cell.wait("the log line", named)


def test_lifecycle_goes_round_and_the_latched_policy_comes_back(tmp_path):
    with running_cell(tmp_path, bridge={"task": TASK, "layout": 700_025}) as cell:
        policy = cell.generate(TASK).policy_id
        cell.wait_for_policy(policy)
        for transition in (
            Transition.TRANSITION_DEACTIVATE,
            Transition.TRANSITION_CLEANUP,
            Transition.TRANSITION_CONFIGURE,
            Transition.TRANSITION_ACTIVATE,
        ):
            assert _change(cell, "policy_controller", transition)
        cell.controller = None
        cell.wait_for_policy(policy)
        for node in ("metaworld_bridge", "policy_generator"):
            assert _change(cell, node, Transition.TRANSITION_DEACTIVATE)
            assert _change(cell, node, Transition.TRANSITION_ACTIVATE)
        cell.wait_for_policy(cell.generate(TASK).policy_id)


def test_the_command_names_a_missing_extra(tmp_path):
    """`lwd` names the missing extra in one sentence."""
    code = "import sys; sys.modules['mujoco'] = None; "
    code += "sys.argv = ['lwd', 'collect', '--tasks', 'reach-v3', '--out', 'x']; from lwd_ros.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=isolated_environment(),
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 2
    assert "lwd_ros[sim]" in done.stderr and "Traceback" not in done.stderr


def _change(cell: Cell, node: str, transition: int) -> bool:
    request = ChangeState.Request(transition=Transition(id=transition))
    return cell.call(ChangeState, f"{node}/change_state", request).success


def test_the_arm_is_held_when_only_the_gripper_is_commanded(tmp_path):
    """Commands are as old as the oldest of their streams, and a command in a foreign frame is none."""
    with Cell(tmp_path) as cell:
        cell.start_node("metaworld_bridge", {"task": TASK, "layout": 700_026})
        hand = cell.node.create_publisher(TwistStamped, "hand/velocity_command", 10)
        gripper = cell.node.create_publisher(JointState, "gripper/command", 10)
        positions = []
        cell.subscribe(PoseStamped, "hand/pose", lambda m: positions.append(m.pose.position.x))
        for publisher in (hand, gripper):
            cell.wait("the bridge", lambda p=publisher: p.get_subscription_count() > 0)
        cell.wait("observations", lambda: bool(positions))
        velocity = TwistStamped()
        velocity.header.frame_id = "base"
        velocity.twist.linear.x = 0.4
        effort = JointState(name=["gripper"], effort=[-1.0])
        effort.header.frame_id = "base"

        def command(frame_id: str, with_hand: bool) -> None:
            velocity.header.frame_id = frame_id
            if with_hand:
                hand.publish(velocity)
            gripper.publish(effort)
            cell.spin(0.01)

        cell.spin(2.0)  # after a reset the arm swings into its place by itself
        start = positions[-1]
        for _ in range(20):
            command("camera", with_hand=True)
        assert abs(positions[-1] - start) < 0.005
        for _ in range(20):
            command("base", with_hand=True)
        assert positions[-1] - start > 0.02
        for _ in range(30):
            command("base", with_hand=False)
        assert cell.task.holding
        still = positions[-1]
        for _ in range(20):
            command("base", with_hand=False)
        assert abs(positions[-1] - still) < 0.005


def test_bridge_refuses_a_contract_that_metaworld_cannot_keep(tmp_path):
    other = tmp_path / "other.yaml"
    other.write_text(share_path("config", "metaworld.yaml").read_text().replace("period_s: 0.0125", "period_s: 0.01"))
    with Cell(tmp_path) as cell:
        assert cell.start_node("metaworld_bridge", {"contract_file": other}).wait(30) == 1
        assert "key 'period_s': found 0.01, expected 0.0125" in cell.tail("metaworld_bridge")


def test_a_recording_that_cannot_be_written_is_refused_at_the_start(tmp_path):
    (tmp_path / "file").write_text("")
    with Cell(tmp_path) as cell:
        for file, reason in (
            ("file/states.npz", "Not a directory"),
            ("no/x.npz", "No such file"),
            ("", "Is a directory"),
        ):
            assert cell.start_node("metaworld_bridge", {"record_file": tmp_path / file}).wait(30) == 1
            log = cell.tail("metaworld_bridge")
            assert f"configure failed: parameter 'record_file': found '{tmp_path / file}' ({reason}" in log
            assert "expected a file in a folder that exists and can be written" in log and "Traceback" not in log
    assert not (tmp_path / "no").exists()


CRASHES = f"""
import sys
from lwd_ros.nodes import managed, policy_generator

class Generator(policy_generator.PolicyGeneratorNode):
    def activate(self):
        self.create_timer(0.1, lambda: 1 / 0, clock=self.steady)

sys.exit(managed.run(Generator, ["generator", "--ros-args", "-p", "model_file:={MODEL}"]))
"""


def test_a_crash_has_an_exit_status_of_its_own():
    """Status 1 says that starting the node again is no use; `ros2 launch` would not respawn it."""
    given = f"model_file:={SHIPPED['policy_generator']['model_file']}"
    command = [sys.executable, "-c", CRASHES, "--ros-args", "-p", given]
    done = subprocess.run(command, env=isolated_environment(), capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 70
    assert "ended by an error that is ours" in done.stderr and "ZeroDivisionError" in done.stderr
    assert "shutdown done" in done.stderr  # through the lifecycle, as ever


MISGIVEN = """
import sys
from lwd_ros.errors import LwdError
from lwd_ros.nodes import managed

class Node(managed.ManagedNode):
    def __init__(self):
        super().__init__("misgiven")

    def spin(self, executor, stop):
        raise LwdError("toy.yaml: key 'success.info': found 'there', expected one of reward")

sys.exit(managed.run(Node))
"""


def test_what_a_user_can_mend_ends_a_running_node_in_one_sentence():
    """Such as an entry of `info` that an environment does not have, which its first step shows."""
    command = [sys.executable, "-c", MISGIVEN]
    done = subprocess.run(command, env=isolated_environment(), capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "ended: toy.yaml: key 'success.info': found 'there', expected one of reward" in done.stderr
    assert "Traceback" not in done.stderr and "shutdown done" in done.stderr


WITHOUT_PHYSICS = """
import sys
sys.modules["mujoco"] = None
from lwd_ros.nodes import metaworld_bridge

sys.exit(metaworld_bridge.main())
"""


def test_a_bridge_without_its_simulator_ends_and_says_how_to_get_it():
    command = [sys.executable, "-c", WITHOUT_PHYSICS]
    done = subprocess.run(command, env=isolated_environment(), capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "environment 'metaworld': needs the package 'mujoco'; " in done.stderr and "lwd_ros[sim]" in done.stderr
    assert "Traceback" not in done.stderr


IMPORTS_FOR_EVER = """
import importlib, time
from lwd_ros.nodes import start

def import_module(name):
    print("importing", name, flush=True)
    time.sleep(60)

importlib.import_module = import_module
start.{node}()
"""


@pytest.mark.parametrize("node", NODES)
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_while_python_still_imports_ends_in_silence(node, end):
    process = subprocess.Popen(
        [sys.executable, "-c", IMPORTS_FOR_EVER.format(node=node)],
        env=isolated_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == f"importing lwd_ros.nodes.{node}\n"
    process.send_signal(end)
    assert process.communicate(timeout=30) == ("", "")
    assert process.returncode == 0


def test_an_argument_that_no_node_reads_is_not_ignored():
    command = [sys.executable, "-m", "lwd_ros.nodes.metaworld_bridge", "task:=drawer-open-v3"]
    done = subprocess.run(command, env=isolated_environment(), capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert "found argument 'task:=drawer-open-v3'; parameters go after --ros-args" in done.stdout
