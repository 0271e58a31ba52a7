"""A joystick's buttons as switches."""

import math
from collections.abc import Callable, Mapping

from sensor_msgs.msg import Joy

from lwd_ros.nodes.managed import ManagedNode

_BOUNCE_S = 0.3  # a button that bounces is pressed once


class Joystick:
    """Calls `acts[name]` when the button of that name goes down; `buttons` are numbers, -1 for none.

    A button that is down in the first message was pressed for something else.
    """

    def __init__(
        self, node: ManagedNode, topic: str, buttons: Mapping[str, int], acts: Mapping[str, Callable[[], object]]
    ):
        """Subscribe to `topic`, a sensor_msgs/msg/Joy."""
        self._node, self._topic, self._acts = node, topic, acts
        self._buttons = {name: number for name, number in buttons.items() if number >= 0}
        self._down: dict[str, bool] | None = None
        self._acted: dict[str, float] = dict.fromkeys(self._buttons, -math.inf)
        self._subscription = node.create_subscription(Joy, topic, self._on_joy, 10)

    def _on_joy(self, message: Joy) -> None:
        for name, number in self._buttons.items():
            if number >= len(message.buttons):
                found = f"{self._topic}: found {len(message.buttons)} buttons"
                self._node.warn(f"{found}, expected more than {number} for the parameter 'joy_{name}'")
                return
        down = {name: bool(message.buttons[number]) for name, number in self._buttons.items()}
        before, self._down = self._down, down
        now = self._node.now_s()
        for name in self._buttons:
            if before is None or not down[name] or before[name] or now - self._acted[name] < _BOUNCE_S:
                continue
            self._acted[name] = now
            self._acts[name]()

    def destroy(self) -> None:
        """End the subscription."""
        self._node.destroy_subscription(self._subscription)
