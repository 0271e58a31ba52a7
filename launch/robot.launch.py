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
# What launch arguments set, by node, with the parameter's type: launch would make 5 an integer and ROS refuse it.
PARAMETERS = {
    "policy_generator": {
        "contract_file": str,
        "model_file": str,
        "autostart": bool,
        "use_sim_time": bool,
        "observation_timeout_s": float,
    },
    "policy_controller": {
        "contract_file": str,
        "autostart": bool,
        "use_sim_time": bool,
        "run_latched": bool,
        "policy_timeout_s": float,
    },
}


def arguments():
    from_file = "empty: as in params_file"
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


def nodes(context):
    params_file = LaunchConfiguration("params_file").perform(context)
    if params_file and not Path(params_file).is_file():  # launch_ros would only warn and start with other parameters
        raise RuntimeError(f"params_file: found no file '{params_file}', expected a YAML file with node parameters")
    config = Path(FindPackageShare("lwd_ros").perform(context)) / "config"
    return [
        Node(
            package="lwd_ros",
            executable=name,
            # Name and namespace must both be given, or the arguments lose to a section of params_file named after the node.
            name=name,
            namespace=LaunchConfiguration("namespace"),
            parameters=[
                str(config / f"{name}.yaml"),
                *([params_file] if params_file else []),
                {
                    key: ParameterValue(LaunchConfiguration(key), value_type=kind)
                    for key, kind in types.items()
                    if LaunchConfiguration(key).perform(context)
                },
            ],
            ros_arguments=["--log-level", LaunchConfiguration("log_level")],
            respawn=LaunchConfiguration("use_respawn"),
            respawn_delay=2.0,
            output="screen",
        )
        for name, types in PARAMETERS.items()
    ]


def generate_launch_description():
    return LaunchDescription([*arguments(), OpaqueFunction(function=nodes)])
