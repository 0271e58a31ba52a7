"""Builds lwd_msgs by all roads of pip and colcon from the same tree, and sends a message with what was built."""

import json
import os
import secrets
import sys
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path

import pytest
from build_support import NODES, ROOT, SITE_PACKAGES, copy_sources, pip_install, run

from lwd_ros.demo.supervisor import isolated_environment

# The environment that runs the tests has an lwd_msgs of its own: the module and every library must be the built ones.
ROUNDTRIP = """
import array, sys, time
import rclpy
from lwd_msgs.msg import PolicyWeights
from rclpy.qos import DurabilityPolicy, QoSProfile

prefix, namespace = sys.argv[1:]
sent = PolicyWeights(
    policy_id="0123456789abcdef",
    seed=2**63 + 1,
    layer_sizes=array.array("I", [21, 16, 4]),
    weights=array.array("f", [0.5, -0.25, 3.0] * 500),
)
rclpy.init()
node = rclpy.create_node("roundtrip", namespace=namespace)
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


DOMAIN = {"ROS_DOMAIN_ID": isolated_environment()["ROS_DOMAIN_ID"]}


@pytest.fixture
def sources(tmp_path):
    return copy_sources(tmp_path / "src" / "lwd_ros")


def roundtrip(prefix: Path) -> tuple:
    """The command that sends a message to itself in a namespace that nobody else has."""
    return (sys.executable, "-c", ROUNDTRIP, prefix, f"/build_{secrets.token_hex(3)}")


def _ros_of_pyproject() -> bool:
    """Whether this environment holds the ROS 2 that lwd_msgs/pyproject.toml builds for."""
    try:
        return version("ros-rclpy").startswith("7.1.")
    except PackageNotFoundError:
        return False


def _built_of_this_tree() -> bool:
    """Whether pip built the lwd_msgs of this environment of the tree that is tested, as `make setup` does."""
    try:
        origin = json.loads(distribution("lwd_msgs").read_text("direct_url.json") or "{}")
    except PackageNotFoundError:
        return False
    if origin.get("url") != (ROOT / "lwd_msgs").as_uri():
        return False
    share = Path(sys.prefix) / "share" / "lwd_msgs"
    definitions = [path for kind in ("msg", "srv") for path in (ROOT / "lwd_msgs" / kind).iterdir()]
    copies = {path: share / path.relative_to(ROOT / "lwd_msgs") for path in definitions}
    return all(copy.is_file() and copy.read_bytes() == path.read_bytes() for path, copy in copies.items())


@pytest.mark.parametrize("isolated", [False, True], ids=["beside_this_ros", "isolated"])
def test_built_by_pip(sources, tmp_path, isolated):
    if isolated and not _ros_of_pyproject():
        pytest.skip("an isolated build is for ROS 2 Jazzy's wheels, which are not installed here")
    if not isolated and _built_of_this_tree():  # the same build again would be half a minute of two cores
        prefix = Path(sys.prefix).resolve()
        modules = prefix / SITE_PACKAGES
    else:
        prefix = tmp_path / "prefix"
        modules = pip_install(sources / "lwd_msgs", prefix, tmp_path, isolated)
    module = run(
        *roundtrip(prefix),
        cwd=tmp_path,
        PYTHONPATH=f"{modules}:{os.environ.get('PYTHONPATH', '')}",
        LD_LIBRARY_PATH=f"{prefix / 'lib'}:{os.environ.get('LD_LIBRARY_PATH', '')}",
        **DOMAIN,
    )
    assert module.strip() == str(modules / "lwd_msgs" / "__init__.py")


@pytest.mark.parametrize(
    "workspace, paths",
    [(".", ("src/lwd_ros", "src/lwd_ros/lwd_msgs")), ("src/lwd_ros", (".", "lwd_msgs"))],
    ids=["workspace", "repository"],
)
def test_built_by_colcon(sources, tmp_path, workspace, paths):
    workspace = tmp_path / workspace
    run("colcon", "build", "--base-paths", *paths, cwd=workspace)
    install = workspace / "install"

    def in_workspace(*command):  # not from the repository, whose modules would be found first
        source = f'. {install}/setup.sh && exec "$@"'
        return run("sh", "-c", source, "sh", *command, cwd=tmp_path, **DOMAIN)

    module = in_workspace(*roundtrip(install / "lwd_msgs"))
    assert module.strip() == str(install / "lwd_msgs" / SITE_PACKAGES / "lwd_msgs" / "__init__.py")

    for executable in ("lwd", *NODES):
        assert os.access(install / "lwd_ros" / "lib" / "lwd_ros" / executable, os.X_OK), executable
    assert in_workspace(install / "lwd_ros/lib/lwd_ros/lwd", "--version").strip().endswith("0.1.0")
    script = "from lwd_ros.resources import share_path; print(share_path('package.xml'))"
    assert in_workspace(sys.executable, "-c", script).strip() == str(install / "lwd_ros/share/lwd_ros/package.xml")
