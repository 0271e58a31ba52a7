"""What the entry point names: builds tasks. The physics are imported with the first of them."""

import hashlib
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from lwd_ros.contract import Contract
from lwd_ros.environments.environment import EnvironmentSpec
from lwd_ros.environments.messages import require_messages
from mobile_base.layouts import TASKS

if TYPE_CHECKING:
    from mobile_base.simulation import MobileBase

FOLDER = Path(__file__).parent
PERIOD_S = 0.1
TOPICS = {"scan": "sensor_msgs/msg/LaserScan", "odom": "nav_msgs/msg/Odometry"}
_PHYSICS = ("scene.xml", "layouts.py", "success.py", "simulation.py")


class Simulator:
    """See `lwd_ros.environments.environment.Simulator`, and `Speaks`: it sends the messages of `topics`."""

    topics = TOPICS

    @cached_property
    def spec(self) -> EnvironmentSpec:
        """As `Simulator.spec`."""
        return EnvironmentSpec(
            name="mobile_base",
            tasks=TASKS,
            contract_file=FOLDER / "contract.yaml",
            period_s=PERIOD_S,
            episode_steps=400,
            task_sets={"doors": ("door_left", "door_right")},
        )

    def digest(self) -> str:
        """As `StatesItself.digest`: of the files that say what happens."""
        return hashlib.sha256(b"".join((FOLDER / name).read_bytes() for name in _PHYSICS)).hexdigest()

    def require_contract(self, contract: Contract) -> None:
        """As `Simulator.require_contract`."""
        require_messages(contract, TOPICS, self.spec)

    def make(self, task: str, contract: Contract) -> "MobileBase":
        """As `Simulator.make`."""
        from mobile_base.simulation import MobileBase

        self.spec.require_tasks([task])
        self.require_contract(contract)
        return MobileBase(self.spec, task, contract)


SIMULATOR = Simulator()
