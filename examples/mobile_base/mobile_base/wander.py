"""Drives the base about by its topics for a while, as a person with a remote control would to see what it can do.

python -m mobile_base.wander --seconds 20
"""

import argparse
import time

import numpy as np
import rclpy
from geometry_msgs.msg import TwistStamped
from sensor_msgs.msg import LaserScan

PERIOD_S = 0.1
_SLOW_M = 0.4  # nearer than this to anything ahead, it turns on the spot


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20.0, help="how long (%(default)s)")
    seconds = parser.parse_args().seconds
    rclpy.init()
    node = rclpy.create_node("wander")
    publisher = node.create_publisher(TwistStamped, "cmd_vel", 10)
    scans: list[LaserScan] = []
    node.create_subscription(LaserScan, "scan", lambda scan: scans.__setitem__(slice(None), [scan]), 10)
    message = TwistStamped()
    message.header.frame_id = "base_link"
    start, due = time.monotonic(), time.monotonic()
    while rclpy.ok() and (now := time.monotonic()) < start + seconds:
        rclpy.spin_once(node, timeout_sec=max(due - now, 0.0))
        if time.monotonic() < due or not scans:
            continue
        due += PERIOD_S
        ranges = np.nan_to_num(np.asarray(scans[0].ranges), nan=9.0, posinf=9.0)
        ahead = ranges[len(ranges) // 2 - 30 : len(ranges) // 2 + 30].min()  # the first beam looks back
        message.header.stamp = scans[0].header.stamp
        message.twist.linear.x = 0.2 * (1.0 + 0.5 * np.sin(now)) if ahead > _SLOW_M else 0.0
        message.twist.angular.z = float(0.8 * np.sin(0.7 * now)) if ahead > _SLOW_M else 0.8
        publisher.publish(message)
    publisher.publish(TwistStamped(header=message.header))
    node.destroy_node()
    rclpy.try_shutdown()


if __name__ == "__main__":
    main()
