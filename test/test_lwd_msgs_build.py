"""Builds lwd_msgs by both roads, pip and colcon, from the same tree, and sends a message with what was built."""

import os
import sys

import pytest
from build_support import NODES, SITE_PACKAGES, copy_sources, pip_install, run

# The environment that runs the tests has an lwd_msgs of its own: the module and every library must be the built ones.
ROUNDTRIP = """
import array, sys, time
import rclpy
from lwd_msgs.msg import PolicyWeights
from rclpy.qos import DurabilityPolicy, QoSProfile

prefix = sys.argv[1]
sent = PolicyWeights(
    policy_id="0123456789abcdef",
    seed=2**63 + 1,
    layer_sizes=array.array("I", [21, 16, 4]),
    weights=array.array("f", [0.5, -0.25, 3.0] * 500),
)
rclpy.init()
node = rclpy.create_node("roundtrip")
latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
received = []
node.create_publisher(PolicyWeights, "policy", latched).publish(sent)
node.create_subscription(PolicyWeights, "policy", received.append, latched)
deadline = time.monotonic() + 20.0
while not received and time.monotonic() < deadline:
    rclpy.spin_once(node, timeout_sec=0.1)
assert received == [sent], received

libraries = {line.split()[-1] for line in open("/proc/self/maps") if "lwd_msgs" in line}
assert libraries and all(path.startswith(prefix) for path in libraries), libraries
node.destroy_node()
rclpy.try_shutdown()
print(sys.modules["lwd_msgs"].__file__)
"""


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    return copy_sources(tmp_path_factory.mktemp("sources") / "src" / "lwd_ros")


def test_built_by_pip(sources, tmp_path):
    prefix = tmp_path / "prefix"
    modules = pip_install(sources / "lwd_msgs", prefix, tmp_path)
    module = run(
        *(sys.executable, "-c", ROUNDTRIP, prefix),
        cwd=tmp_path,
        PYTHONPATH=f"{modules}:{os.environ.get('PYTHONPATH', '')}",
        LD_LIBRARY_PATH=f"{prefix / 'lib'}:{os.environ.get('LD_LIBRARY_PATH', '')}",
        ROS_DOMAIN_ID="91",
    )
    assert module.strip() == str(modules / "lwd_msgs" / "__init__.py")


def test_built_by_colcon_in_a_workspace(sources):
    workspace = sources.parents[1]
    run("colcon", "build", "--base-paths", "src/lwd_ros", "src/lwd_ros/lwd_msgs", cwd=workspace)
    install = workspace / "install"

    def in_workspace(*command):
        return run("sh", "-c", '. install/setup.sh && exec "$@"', "sh", *command, cwd=workspace, ROS_DOMAIN_ID="92")

    module = in_workspace(sys.executable, "-c", ROUNDTRIP, install / "lwd_msgs")
    assert module.strip() == str(install / "lwd_msgs" / SITE_PACKAGES / "lwd_msgs" / "__init__.py")

    for executable in ("lwd", *NODES):
        assert os.access(install / "lwd_ros" / "lib" / "lwd_ros" / executable, os.X_OK), executable
    assert in_workspace(install / "lwd_ros/lib/lwd_ros/lwd", "--version").strip().endswith("0.1.0")
    script = "from lwd_ros.resources import share_path; print(share_path('package.xml'))"
    assert in_workspace(sys.executable, "-c", script).strip() == str(install / "lwd_ros/share/lwd_ros/package.xml")
