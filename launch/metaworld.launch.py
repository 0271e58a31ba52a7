"""A simulated robot (Metaworld), the policy generator and the policy controller.

    ros2 launch lwd_ros metaworld.launch.py task:=drawer-open-v3

Parameters, later ones win: config/NODE.yaml, then params_file, then what is given on the command line.
"""

from pathlib import Path
from runpy import run_path
from types import SimpleNamespace

from launch.actions import DeclareLaunchArgument
from launch.substitutions import PathJoinSubstitution
from launch_ros.substitutions import FindPackageShare

simulation = SimpleNamespace(**run_path(str(Path(__file__).with_name("simulation.py"))))

SHARE = FindPackageShare("lwd_ros")


def generate_launch_description():
    own = [
        *simulation.arguments(", e.g. drawer-open-v3"),
        DeclareLaunchArgument(
            "contract_file",
            default_value=PathJoinSubstitution([SHARE, "config", "metaworld.yaml"]),
            description="contract between policy and robot (YAML); this argument decides, not params_file",
        ),
        DeclareLaunchArgument(
            "model_file",
            default_value=PathJoinSubstitution([SHARE, "models", "metaworld_mt10_anywhere.onnx"]),
            description="model that generates policies (.onnx, from 'lwd export'); "
            "this argument decides, not params_file",
        ),
    ]
    return simulation.description(__file__, "metaworld_bridge", own)
