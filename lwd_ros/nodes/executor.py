"""An executor that serves the control path first."""

from collections.abc import Collection

from rclpy.callback_groups import CallbackGroup
from rclpy.event_handler import EventHandler
from rclpy.executors import ShutdownException, SingleThreadedExecutor, TimeoutException

from lwd_ros.nodes.rclpy_private import Watch, ready_callbacks


class ControlExecutor(SingleThreadedExecutor):
    """Serves a few urgent entities alone, or all; who calls `serve_urgent` or `serve_all` decides which, turn by turn.

    rclpy builds a wait set of all that a node has before every callback: some fifty entities of a lifecycle node, which
    takes longer than a policy's step, and serves them in a fixed order in which a flood of service calls is no less
    urgent than an observation. The wait set of the urgent ones is made once, by `watch`.
    """

    def __init__(self, *, context=None):
        super().__init__(context=context)
        self._watch: Watch | None = None

    def watch(self, group: CallbackGroup, also: Collection = ()) -> None:
        """Make urgent what is in `group` now, but for QoS events, and what is in `also`, until `forget`.

        What is destroyed meanwhile ends with `forget`. Urgent callbacks are functions, not coroutines.
        """
        self.forget()

        def is_urgent(entity) -> bool:
            return entity in also or (entity.callback_group is group and not isinstance(entity, EventHandler))

        self._watch = Watch(self, is_urgent)

    def forget(self) -> None:
        """Let go of what is urgent; nothing is, afterwards."""
        if self._watch is not None:
            self._watch.close()
            self._watch = None

    def shutdown(self, timeout_sec: float | None = None) -> bool:
        """End the executor."""
        self.forget()
        return super().shutdown(timeout_sec)

    def serve_urgent(self, timeout_s: float) -> bool:
        """Run one callback of each urgent entity that is ready within `timeout_s`; returns whether there was any.

        All that was found ready is served before the next look, so no entity can keep another one waiting.
        """
        assert self._watch is not None
        callbacks = self._watch.look(timeout_s)
        for callback in callbacks:
            callback()
        return bool(callbacks)

    def serve_all(self, timeout_s: float) -> bool:
        """Run one callback of each entity that is ready within `timeout_s`; returns whether there was any."""
        served = False
        try:
            for handler, _, _ in ready_callbacks(self, timeout_s):
                handler()
                handler.result()  # raises what the callback raised
                served = True
        except (ShutdownException, TimeoutException):
            return served
        return served


class Unwatched(CallbackGroup):
    """Of entities that no executor waits for: their owner looks into them."""

    def can_execute(self, entity) -> bool:
        """Never."""
        return False

    def beginning_execution(self, entity) -> bool:
        """Never."""
        return False

    def ending_execution(self, entity) -> None:
        """Nothing has begun."""
