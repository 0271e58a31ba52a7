"""Policy generator and policy controller for the robot whose topics a contract names.

    ros2 launch lwd_ros robot.launch.py contract_file:=/path/to/robot.yaml model_file:=/path/to/model.onnx

Parameters, later ones win: config/NODE.yaml, then params_file, then what is given on the command line.
"""

from pathlib import Path

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

FLAG = ["true", "false"]
LOG_LEVELS = ["debug", "info", "warn", "error", "fatal"]
# The parameters that launch arguments set, by node, with their types.
PARAMETERS = {
    "policy_generator": {
        "contract_file": str,
        "model_file": str,
        "observation_timeout_s": float,
        "autostart": bool,
        "use_sim_time": bool,
    },
    "policy_controller": {
        "contract_file": str,
        "policy_timeout_s": float,
        "run_latched": bool,
        "autostart": bool,
        "use_sim_time": bool,
    },
}


def arguments():
    from_file = "empty: from the parameter files"
    return [
        DeclareLaunchArgument("contract_file", description="contract between policy and robot (YAML)"),
        DeclareLaunchArgument("model_file", description="model that generates policies (.onnx, from 'lwd export')"),
        DeclareLaunchArgument("namespace", default_value="", description="namespace of all nodes, topics and services"),
        DeclareLaunchArgument(
            "params_file",
            default_value="",
            description="your node parameters (YAML), on top of those in share/lwd_ros/config; empty: none",
        ),
        DeclareLaunchArgument(
            "run_latched",
            default_value="false",
            choices=FLAG,
            description="whether a policy published before the controller started may move the robot; "
            "this argument decides, not params_file",
        ),
        DeclareLaunchArgument(
            "policy_timeout_s",
            default_value="",
            description=f"stop a policy that ran this long without a successor, s; 0: never; {from_file}",
        ),
        DeclareLaunchArgument(
            "observation_timeout_s",
            default_value="",
            description=f"longest wait of a model that needs an observation, s; {from_file}",
        ),
        DeclareLaunchArgument(
            "autostart",
            default_value="true",
            choices=FLAG,
            description="configure and activate the lifecycle nodes at start-up",
        ),
        DeclareLaunchArgument(
            "use_sim_time", default_value="false", choices=FLAG, description="take the time from /clock"
        ),
        DeclareLaunchArgument(
            "use_respawn", default_value="false", choices=FLAG, description="start a node again 2 s after it ended"
        ),
        DeclareLaunchArgument("log_level", default_value="info", choices=LOG_LEVELS, description="least level to log"),
    ]


def given(context, types):
    """Parameters from the arguments that are not empty.

    Converted here and not by launch_ros, which does so one node after another: an error at the second one would end
    `ros2 launch` and leave the first one running.
    """
    result = {}
    for name, kind in types.items():
        text = LaunchConfiguration(name).perform(context)
        try:
            if text:
                result[name] = ParameterValue(text == "true" if kind is bool else kind(text), value_type=kind)
        except ValueError:
            raise RuntimeError(f"argument {name}: found '{text}', expected a number ({kind.__name__})") from None
    return result


def nodes(context):
    params_file = LaunchConfiguration("params_file").perform(context)
    if params_file and not Path(params_file).is_file():  # launch_ros would only warn and start with other parameters
        raise RuntimeError(f"argument params_file: found no file '{params_file}', expected node parameters in YAML")
    config = Path(FindPackageShare("lwd_ros").perform(context)) / "config"
    parameters = {name: given(context, types) for name, types in PARAMETERS.items()}
    return [
        Node(
            package="lwd_ros",
            executable=name,
            # Both name and namespace, so that arguments also win over a section of params_file named after the node.
            name=name,
            namespace=LaunchConfiguration("namespace"),
            parameters=[str(config / f"{name}.yaml"), *([params_file] if params_file else []), parameters[name]],
            ros_arguments=["--log-level", LaunchConfiguration("log_level")],
            respawn=LaunchConfiguration("use_respawn"),
            respawn_delay=2.0,
            output="screen",
        )
        for name in PARAMETERS
    ]


def generate_launch_description():
    return LaunchDescription([*arguments(), OpaqueFunction(function=nodes)])
