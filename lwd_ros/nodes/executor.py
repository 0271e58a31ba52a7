"""An executor that serves the control path first."""

from rclpy.event_handler import EventHandler
from rclpy.executors import ShutdownException, SingleThreadedExecutor, TimeoutException


class ControlExecutor(SingleThreadedExecutor):
    """Serves a few urgent entities alone, or all; who calls `serve` decides which, turn by turn.

    rclpy builds a wait set of all that a node has before every callback: some fifty entities of a lifecycle node, which
    takes longer than a policy's step, and serves them in a fixed order in which a flood of service calls is no less
    urgent than an observation. Urgent is
    what is in the callback group `urgent`, but for QoS events, and what is in `also_urgent`.
    """

    def __init__(self, *, context=None):
        super().__init__(context=context)
        self.urgent = None
        self.also_urgent: frozenset = frozenset()
        self._urgent_alone = False

    def can_execute(self, entity) -> bool:
        """Whether to wait for this entity now (rclpy asks this while it builds a wait set)."""
        if self._urgent_alone and not self._is_urgent(entity):
            return False
        return super().can_execute(entity)

    def _is_urgent(self, entity) -> bool:
        in_group = entity.callback_group is self.urgent and not isinstance(entity, EventHandler)
        return in_group or entity in self.also_urgent

    def serve(self, urgent_alone: bool, timeout_s: float) -> bool:
        """Run one callback of each entity that is ready within `timeout_s`; returns whether there was any.

        All that was found ready is served before the next look, so no entity can keep another one waiting.
        """
        self._urgent_alone, served = urgent_alone, False
        try:
            for handler, _, _ in self._wait_for_ready_callbacks(timeout_s):
                handler()
                handler.result()  # raises what the callback raised
                served = True
        except (ShutdownException, TimeoutException):
            return served
        finally:
            self._urgent_alone = False
        return served
