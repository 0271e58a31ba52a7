"""Metaworld in the registry; its physics are imported when a task is built."""

from functools import cached_property

from lwd_ros.contract import Contract
from lwd_ros.environments.environment import EnvironmentSpec
from lwd_ros.environments.metaworld.tasks import EPISODE_STEPS, MT10, MT50, PERIOD_S, REVERSES
from lwd_ros.environments.metaworld.ways import SEVERAL
from lwd_ros.resources import share_path


class MetaworldSimulator:
    """Builds Metaworld's tasks, with the goal visible."""

    @cached_property
    def spec(self) -> EnvironmentSpec:
        """What is known without Metaworld."""
        return EnvironmentSpec(
            name="metaworld",
            tasks=(*MT50, *SEVERAL),
            contract_file=share_path("config", "metaworld.yaml"),
            period_s=PERIOD_S,
            episode_steps=EPISODE_STEPS,
            task_sets={"mt10": MT10, "mt50": MT50, "ways": tuple(SEVERAL)},
            reverses=REVERSES,
            example="drawer-open-v3",
        )

    def require_contract(self, contract: Contract) -> None:
        """As `Simulator.require_contract`."""
        from lwd_ros.environments.metaworld.scene import require_contract

        require_contract(contract)

    def make(self, task: str, contract: Contract):
        """Build one task (0.2 to 0.7 s) with layout 0; raises SimulationError, ContractError."""
        from lwd_ros.environments.metaworld.scene import Scene

        return Scene(task, contract)

    def expert_revision(self, task: str, anywhere: bool = False) -> int:
        """As `StatesExperts.expert_revision`."""
        from lwd_ros.environments.metaworld.experts import revision

        return revision(task, anywhere)


SIMULATOR = MetaworldSimulator()
