"""Any simulated robot, the policy generator and the policy controller.

    ros2 launch lwd_ros simulator.launch.py environment:=robot_sim.yaml contract_file:=robot.yaml model_file:=robot.onnx

Parameters, later ones win: config/NODE.yaml, then params_file, then what is given on the command line.
"""

from pathlib import Path
from runpy import run_path
from types import SimpleNamespace

from launch.actions import DeclareLaunchArgument

simulation = SimpleNamespace(**run_path(str(Path(__file__).with_name("simulation.py"))))


def generate_launch_description():
    own = [
        DeclareLaunchArgument(
            "environment", description="simulator: a registered name, or the path of an environment's YAML file"
        ),
        DeclareLaunchArgument("contract_file", description="contract between policy and robot (YAML)"),
        DeclareLaunchArgument("model_file", description="model that generates policies (.onnx, from 'lwd export')"),
        *simulation.arguments(""),
    ]
    return simulation.description(__file__, "simulator_bridge", own, {"environment": str})
