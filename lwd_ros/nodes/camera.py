"""Pictures of a running simulation, drawn beside it where its states can be, so that they cannot delay its steps."""

import threading
import time

import numpy as np
from rclpy.node import Node
from sensor_msgs.msg import Image

from lwd_ros.environments.environment import Environment, Pictures, Renderer, Renders
from lwd_ros.environments.rendering import RenderError
from lwd_ros.nodes.conversions import to_stamp


class Camera:
    """Publishes `~/image` (rgb8), only while somebody listens.

    States are drawn in a thread of its own. An environment that has pictures alone is asked for them where it steps.
    """

    def __init__(self, node: Node, rate_hz: float):
        self._node, self._period = node, 1.0 / rate_hz
        self._publisher = node.create_publisher(Image, "~/image", 1)
        self._latest: tuple[Renders, np.ndarray, int] | None = None
        self._drawn_s = -np.inf
        self._failed = False
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="camera", daemon=True)
        self._thread.start()

    @property
    def wanted(self) -> bool:
        """Whether anybody listens."""
        return not self._failed and self._publisher.get_subscription_count() > 0

    def show(self, environment: Environment, stamp_ns: int) -> None:
        """Offer the environment's present state; the newest one is drawn."""
        if isinstance(environment, Renders):
            self._latest = (environment, environment.state(), stamp_ns)
        elif not isinstance(environment, Pictures):
            self._fail(f"environment '{environment.spec.name}' cannot be drawn")
        elif time.monotonic() - self._drawn_s >= self._period:
            self._drawn_s = time.monotonic()
            try:
                self._publish(environment.picture(), stamp_ns)
            except RenderError as error:
                self._fail(str(error))

    def close(self) -> None:
        """End the thread."""
        self._end.set()
        self._thread.join()
        self._node.destroy_publisher(self._publisher)

    def _fail(self, reason: str) -> None:
        self._failed = True
        self._node.get_logger().error(f"~/image ends: {reason}")

    def _publish(self, picture: np.ndarray, stamp_ns: int) -> None:
        message = Image(height=picture.shape[0], width=picture.shape[1], encoding="rgb8", step=3 * picture.shape[1])
        message.header.stamp = to_stamp(stamp_ns)
        message.header.frame_id = "camera"
        message.data.frombytes(picture.tobytes())
        self._publisher.publish(message)

    def _run(self) -> None:
        renderer: Renderer | None = None
        drawn = None
        while not self._end.wait(self._period):
            latest, self._latest = self._latest, None
            if latest is None or not self.wanted:
                continue
            environment, state, stamp_ns = latest
            try:
                if renderer is None or drawn is not environment:
                    if renderer is not None:
                        renderer.close()
                    renderer, drawn = environment.renderer(), environment
                self._publish(renderer.draw(state), stamp_ns)
            except RenderError as error:
                self._fail(str(error))
                return
        if renderer is not None:
            renderer.close()
