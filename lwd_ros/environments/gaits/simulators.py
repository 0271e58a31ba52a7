"""What the environments of legged robots register: one for each robot, its gaits are its tasks."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from lwd_ros.contract import Contract, ContractError
from lwd_ros.environments.environment import EnvironmentSpec
from lwd_ros.environments.gaits.gait import Gait
from lwd_ros.environments.gaits.robot import PERIOD_S, Robot
from lwd_ros.environments.messages import require_messages
from lwd_ros.resources import share_path

EPISODE_STEPS = 1000
"""20 s."""

IMU, JOINTS, ODOMETRY = "imu", "joint_states", "odom"


@dataclass(frozen=True)
class Teacher:
    """One task: its `gait`, its `direction` along x, 1 or -1, and how far the gait goes in an episode, m."""

    gait: Gait
    direction: int
    distance_m: float


class GaitSimulator:
    """Builds the gaits of one robot.

    Attributes:
        robot: that goes.
        topics: as `Speaks.topics`.
    """

    topics: Mapping[str, str] = {
        IMU: "sensor_msgs/msg/Imu",
        JOINTS: "sensor_msgs/msg/JointState",
        ODOMETRY: "nav_msgs/msg/Odometry",
    }

    def __init__(self, folder: Path, joints: tuple[str, ...], is_planar: bool):
        """Of a folder with the robot's model and the parameters of its gaits, both named after the environment."""
        self.robot = Robot(folder.name, folder / f"{folder.name}.xml", joints, is_planar)
        self._file = folder / f"{folder.name}.json"

    @cached_property
    def teachers(self) -> Mapping[str, Teacher]:
        """By task."""
        content = json.loads(self._file.read_text(encoding="utf-8"))
        return {
            task: Teacher(Gait.from_dict(entry["gait"]), entry["direction"], entry["distance_m"])
            for task, entry in content.items()
        }

    @cached_property
    def spec(self) -> EnvironmentSpec:
        """What is known without MuJoCo."""
        return EnvironmentSpec(
            name=self.robot.name,
            tasks=tuple(self.teachers),
            contract_file=share_path("config", f"{self.robot.name}.yaml"),
            period_s=PERIOD_S,
            episode_steps=EPISODE_STEPS,
        )

    def require_contract(self, contract: Contract) -> None:
        """As `Simulator.require_contract`."""
        require_messages(contract, self.topics, self.spec)
        expected = self.robot.command_names
        if sorted(contract.command_names) != sorted(expected):
            found = ", ".join(contract.command_names)
            raise ContractError(
                f"contract '{contract.name}': key 'command': found {found}, expected {', '.join(expected)}"
            )

    def make(self, task: str, contract: Contract):
        """Build one gait with layout 0; raises SimulationError, ContractError."""
        from lwd_ros.environments.gaits.walking import Walking

        self.spec.require_tasks([task])
        self.require_contract(contract)
        return Walking(self.spec, task, contract, self.robot, self.teachers)
