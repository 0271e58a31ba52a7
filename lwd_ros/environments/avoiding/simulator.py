"""Avoiding in the registry; its physics are imported when a task is built."""

from collections.abc import Mapping
from functools import cached_property

from lwd_ros.contract import Contract, ContractError
from lwd_ros.environments.avoiding.geometry import ROWS
from lwd_ros.environments.environment import EnvironmentSpec
from lwd_ros.environments.messages import require_messages
from lwd_ros.resources import share_path

PERIOD_S = 0.05
"""Control period."""

EPISODE_STEPS = 180
"""9 s; the longest way takes 6.5 s."""

TASKS = ("fixed", "varied")
"""The published scene, the same in every layout; and others like it by the layout's seed."""

COMMANDS = ("rod_velocity_x", "rod_velocity_y")

_ROD = "rod/pose"


def cylinder_topic(number: int) -> str:
    """The topic of a cylinder, which are counted from 1, row by row."""
    return f"cylinder_{number}"


class AvoidingSimulator:
    """Builds the two versions of one task: to bring the rod over the goal line without touching a cylinder."""

    topics: Mapping[str, str] = {
        _ROD: "geometry_msgs/msg/PoseStamped",
        **{cylinder_topic(number): "visualization_msgs/msg/Marker" for number in range(1, sum(ROWS) + 1)},
    }
    """As `Speaks.topics`."""

    @cached_property
    def spec(self) -> EnvironmentSpec:
        """What is known without MuJoCo."""
        return EnvironmentSpec(
            name="avoiding",
            tasks=TASKS,
            contract_file=share_path("config", "avoiding.yaml"),
            period_s=PERIOD_S,
            episode_steps=EPISODE_STEPS,
        )

    def require_contract(self, contract: Contract) -> None:
        """As `Simulator.require_contract`."""
        require_messages(contract, self.topics, self.spec)
        names = contract.command_names
        if sorted(names) != sorted(COMMANDS):
            found = ", ".join(names)
            raise ContractError(
                f"contract '{contract.name}': key 'command': found {found}, expected {', '.join(COMMANDS)}"
            )

    def make(self, task: str, contract: Contract):
        """Build one task with layout 0; raises SimulationError, ContractError."""
        from lwd_ros.environments.avoiding.simulation import Avoiding

        self.spec.require_tasks([task])
        self.require_contract(contract)
        return Avoiding(self.spec, task, contract)


SIMULATOR = AvoidingSimulator()
