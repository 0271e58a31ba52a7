"""Pictures of a running simulation, drawn beside it so that they cannot delay its steps."""

import threading

from rclpy.node import Node
from sensor_msgs.msg import Image

from lwd_ros.environments.environment import Environment
from lwd_ros.environments.rendering import RenderError
from lwd_ros.nodes.conversions import to_stamp


class Camera:
    """Publishes `~/image` (rgb8) in a thread of its own, only while somebody listens."""

    def __init__(self, node: Node, rate_hz: float):
        self._node, self._period = node, 1.0 / rate_hz
        self._publisher = node.create_publisher(Image, "~/image", 1)
        self._latest: tuple[Environment, object, int] | None = None
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="camera", daemon=True)
        self._thread.start()

    @property
    def wanted(self) -> bool:
        """Whether anybody listens."""
        return self._publisher.get_subscription_count() > 0

    def show(self, scene: Environment, stamp_ns: int) -> None:
        """Offer the scene's present state; the newest one is drawn."""
        self._latest = (scene, scene.state(), stamp_ns)

    def close(self) -> None:
        """End the thread."""
        self._end.set()
        self._thread.join()
        self._node.destroy_publisher(self._publisher)

    def _run(self) -> None:
        renderer, drawn = None, None
        while not self._end.wait(self._period):
            latest, self._latest = self._latest, None
            if latest is None or not self.wanted:
                continue
            scene, qpos, stamp_ns = latest
            try:
                if drawn is not scene:
                    if renderer is not None:
                        renderer.close()
                    renderer, drawn = scene.renderer(), scene
                picture = renderer.draw(qpos)
            except RenderError as error:
                self._node.get_logger().error(f"~/image ends: {error}")
                return
            message = Image(height=picture.shape[0], width=picture.shape[1], encoding="rgb8", step=3 * picture.shape[1])
            message.header.stamp = to_stamp(stamp_ns)
            message.header.frame_id = "camera"
            message.data.frombytes(picture.tobytes())
            self._publisher.publish(message)
        if renderer is not None:
            renderer.close()
