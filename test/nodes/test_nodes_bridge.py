"""Pins what a person or a slow machine does to the simulator: restarts, new layouts, steps that take too long."""

import signal

from nodes_support import Cell, running_cell
from sensor_msgs.msg import JointState

from lwd_ros.nodes.conversions import to_stamp

TASK = "drawer-open-v3"

SLOW = """
import sys
import time
from lwd_ros.nodes import metaworld_bridge
from lwd_ros.environments.metaworld.scene import Scene
Bridge, step = metaworld_bridge.MetaworldBridge, Scene.step
take, ages = Bridge._on_command, []

def take_and_note(self, place, stamp_ns, *more):
    if place == 0 and stamp_ns:
        ages.append((self._robot.stamp_ns - stamp_ns) // self._robot.period_ns)
    take(self, place, stamp_ns, *more)

Bridge._on_command = take_and_note
Scene.step = lambda self, command: (time.sleep(0.03), step(self, command))[1]
status = metaworld_bridge.main()
print("AGE", sorted(ages)[len(ages) // 2])
sys.exit(status)
"""


def test_a_bridge_that_starts_again_in_lock_step_is_answered(tmp_path):
    """Its stamps begin anew, a few periods before those that the controller has seen."""
    with running_cell(tmp_path, bridge={"mode": "lockstep"}, controller={"use_sim_time": True}) as cell:
        for layout in (700_001, 700_002, 700_003):
            cell.load(TASK, layout)
        cell.wait("observations", lambda: not cell.controller.missing_streams)
        cell.processes["metaworld_bridge"].send_signal(signal.SIGKILL)
        cell.processes["metaworld_bridge"].wait()
        cell.start_node("metaworld_bridge", {"mode": "lockstep"})
        cell.load(TASK, 700_001)
        assert cell.generate(TASK).success
        cell.wait("steps", lambda: cell.task.episode == 1 and cell.task.step > 20)


def test_lock_step_without_simulated_time_says_what_it_waits_for(tmp_path):
    with running_cell(tmp_path, bridge={"mode": "lockstep"}) as cell:
        cell.load(TASK, 700_001)
        cell.wait("a stamp that stands still", lambda: not cell.controller.missing_streams)
        cell.spin(1.5)
        assert cell.generate(TASK).success
        sentence = f"'{TASK}' waits: hand/pose: one stamp for"
        cell.wait("the sentence", lambda: sentence in cell.tail("policy_controller"))


def test_what_is_held_on_to_in_one_layout_does_not_reach_into_the_next(tmp_path):
    """A stopped controller's safe command keeps the gripper shut, which the new layout begins with open."""
    with Cell(tmp_path) as cell:
        cell.start_node("metaworld_bridge", {"task": TASK, "layout": 700_026})
        gripper = cell.node.create_publisher(JointState, "gripper/command", 10)
        openings = []
        cell.subscribe(JointState, "gripper/state", lambda m: openings.append((m.position[0], m.header.stamp)))
        cell.wait("the bridge", lambda: gripper.get_subscription_count() > 0 and openings)

        def shut(answering: bool) -> float:
            for _ in range(60):
                command = JointState(name=["gripper"], effort=[1.0])
                command.header.frame_id = "base"
                command.header.stamp = openings[-1][1] if answering else to_stamp(0)
                gripper.publish(command)
                cell.spin(0.02)
            return openings[-1][0]

        assert shut(answering=True) < 0.5
        cell.load(TASK, 700_027)
        cell.spin(0.5)
        assert shut(answering=False) > 0.9
        assert shut(answering=True) < 0.5
        assert shut(answering=False) < 0.5


def test_a_simulation_slower_than_the_clock_is_commanded_by_new_commands(tmp_path):
    """30 ms a step instead of 12.5: old commands must not queue before the newest."""
    with Cell(tmp_path) as cell:
        (tmp_path / "slow_bridge.py").write_text(SLOW)
        cell.environment["PYTHONPATH"] = f"{tmp_path}:{cell.environment.get('PYTHONPATH', '')}"
        cell.start("metaworld_bridge", "slow_bridge", cell.ros_arguments({"task": TASK, "layout": 700_001}))
        cell.start_node("policy_generator")
        cell.start_node("policy_controller")
        cell.wait("the nodes", lambda: cell.controller is not None and cell.task is not None)
        cell.wait_for_policy(cell.generate(TASK, 5).policy_id)
        cell.wait("success", lambda: cell.task.succeeded)
    (age,) = [line for line in cell.tail("metaworld_bridge").splitlines() if line.startswith("AGE ")]
    assert int(age.split()[1]) <= 4  # periods, in the median; 10 where the queues stay full
