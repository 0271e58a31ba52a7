"""An executor that serves the control path first."""

from rclpy.event_handler import EventHandler
from rclpy.executors import ShutdownException, SingleThreadedExecutor, TimeoutException


class ControlExecutor(SingleThreadedExecutor):
    """Serves a few urgent entities alone, or all; who calls `serve` decides which, callback by callback.

    rclpy builds a wait set of all that a node has before every callback: some fifty entities of a lifecycle node, which
    takes longer than a policy's step, and serves them in a fixed order in which a flood of service calls is no less
    urgent than an observation. Urgent is what is in the callback group `urgent`.
    """

    def __init__(self, *, context=None):
        super().__init__(context=context)
        self.urgent = None
        self._urgent_alone = False

    def can_execute(self, entity) -> bool:
        """Whether to wait for this entity now (rclpy asks this while it builds a wait set)."""
        if self._urgent_alone and (entity.callback_group is not self.urgent or isinstance(entity, EventHandler)):
            return False
        return super().can_execute(entity)

    def serve(self, urgent_alone: bool, timeout_s: float) -> bool:
        """Run the next callback that is ready within `timeout_s`; returns whether there was one."""
        self._urgent_alone = urgent_alone
        try:
            # Arguments that differ from the last call's make rclpy look anew, and not go on with what it found then.
            handler, _, _ = self.wait_for_ready_callbacks(timeout_s, None, _never_urgent if urgent_alone else _never)
        except (ShutdownException, TimeoutException):
            return False
        finally:
            self._urgent_alone = False
        handler()
        handler.result()  # raises what the callback raised
        return True


def _never() -> bool:
    return False


def _never_urgent() -> bool:
    return False
