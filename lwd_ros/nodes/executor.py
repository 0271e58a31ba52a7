"""An executor that serves the control path first."""

from collections.abc import Collection

from rclpy.callback_groups import CallbackGroup
from rclpy.event_handler import EventHandler
from rclpy.executors import ShutdownException, SingleThreadedExecutor, TimeoutException

from lwd_ros.nodes.rclpy_private import Watch, ready_callbacks


class ControlExecutor(SingleThreadedExecutor):
    """An executor with two kinds of turns: `serve_urgent` serves the urgent entities alone, `serve_all` serves all.

    The caller chooses turn by turn. rclpy's own executors are too slow and too fair for a control loop. Before every
    callback they build a wait set of all entities of a node. A lifecycle node has some fifty of them, and building the
    set takes longer than a policy's step. They serve in a fixed order, so a flood of service calls delays observations.
    Here `watch` makes the wait set of the urgent entities once.
    """

    def __init__(self, *, context=None):
        super().__init__(context=context)
        self._watch: Watch | None = None

    def watch(self, group: CallbackGroup, also: Collection = ()) -> None:
        """Make entities urgent until `forget`: those that are in `group` now, without QoS events, and those of `also`.

        An entity that is destroyed meanwhile stays in the wait set until `forget`. Urgent callbacks must be functions,
        not coroutines.
        """
        self.forget()

        def is_urgent(entity) -> bool:
            return entity in also or (entity.callback_group is group and not isinstance(entity, EventHandler))

        self._watch = Watch(self, is_urgent)

    def forget(self) -> None:
        """Release the wait set. No entity is urgent afterwards."""
        if self._watch is not None:
            self._watch.close()
            self._watch = None

    def shutdown(self, timeout_sec: float | None = None) -> bool:
        """End the executor."""
        self.forget()
        return super().shutdown(timeout_sec)

    def serve_urgent(self, timeout_s: float) -> bool:
        """Run one callback of each urgent entity that is ready within `timeout_s`; returns whether there was any.

        Every ready entity is served before the next look, so no entity can keep another one waiting.
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
    """The group of entities that no executor waits for. Their owner takes their messages."""

    def can_execute(self, entity) -> bool:
        """Never."""
        return False

    def beginning_execution(self, entity) -> bool:
        """Never."""
        return False

    def ending_execution(self, entity) -> None:
        """Nothing has begun."""
