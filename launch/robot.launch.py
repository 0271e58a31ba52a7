"""Policy generator and policy controller for the robot whose topics a contract names, and a recorder where asked for.

    ros2 launch lwd_ros robot.launch.py contract_file:=/path/to/robot.yaml model_file:=/path/to/model.onnx

Parameters, later ones win: config/NODE.yaml, then params_file, then what is given on the command line.
"""

from pathlib import Path
from runpy import run_path
from types import SimpleNamespace

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

checks = SimpleNamespace(**run_path(str(Path(__file__).with_name("checks.py"))))

FLAG = ["true", "false"]
SECONDS = (float, 0, 10**9)
LOG_LEVELS = ["debug", "info", "warn", "error", "fatal"]
# The parameters that launch arguments set, by node, with their types; of numbers also the range.
PARAMETERS = {
    "policy_generator": {
        "contract_file": str,
        "joint_prefix": str,
        "model_file": str,
        "observation_timeout_s": SECONDS,
        "autostart": bool,
        "use_sim_time": bool,
    },
    "policy_controller": {
        "contract_file": str,
        "joint_prefix": str,
        "policy_timeout_s": SECONDS,
        "trigger": str,
        "run_latched": bool,
        "autostart": bool,
        "use_sim_time": bool,
    },
}
OF_RECORDER = {"contract_file": str, "joint_prefix": str, "autostart": bool, "use_sim_time": bool}


def arguments():
    from_file = "empty: from the parameter files"
    return [
        DeclareLaunchArgument("contract_file", description="contract between policy and robot (YAML)"),
        DeclareLaunchArgument("model_file", description="model that generates policies (.onnx, from 'lwd export')"),
        DeclareLaunchArgument(
            "joint_prefix",
            default_value="",
            description="in front of the joints' names of the contract; empty: from the parameter files, and of those "
            "none: as the contract says",
        ),
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
            "trigger",
            default_value="",
            choices=["", "observation", "timer"],
            description="what the controller answers: each observation, or the newest one at the contract's rate "
            f"(where a robot sends faster); {from_file}",
        ),
        DeclareLaunchArgument(
            "observation_timeout_s",
            default_value="",
            description=f"longest wait of a model that needs an observation, s; {from_file}",
        ),
        DeclareLaunchArgument(
            "record",
            default_value="false",
            choices=FLAG,
            description="start the recorder too, whose services start and end episodes; needs record_to",
        ),
        DeclareLaunchArgument(
            "record_to",
            default_value="",
            description="with record:=true: folder of the recording, a bag of rosbag2; where it holds something, "
            "a new name beside it is chosen",
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
    """Parameters from the arguments that are not empty."""
    result = {}
    for name, kind in types.items():
        text = LaunchConfiguration(name).perform(context)
        if text:
            value, value_type = checks.converted(name, text, kind)
            result[name] = ParameterValue(value, value_type=value_type)
    return result


def recorder(context):
    """The recorder's parameters by its name, where it is asked for."""
    wanted = LaunchConfiguration("record").perform(context) == "true"
    folder = LaunchConfiguration("record_to").perform(context)
    if wanted and not folder:
        raise RuntimeError("argument record_to: found nothing, expected the folder of the recording, for record:=true")
    if folder and not wanted:
        raise RuntimeError(f"argument record_to: found '{folder}' without record:=true, expected both or neither")
    if not wanted:
        return {}
    return {"recorder": {**given(context, OF_RECORDER), "folder": ParameterValue(folder, value_type=str)}}


def nodes(context):
    params_file = LaunchConfiguration("params_file").perform(context)
    if params_file and not Path(params_file).is_file():  # launch_ros would only warn and start with other parameters
        raise RuntimeError(f"argument params_file: found no file '{params_file}', expected node parameters in YAML")
    config = Path(FindPackageShare("lwd_ros").perform(context)) / "config"
    parameters = {name: given(context, types) for name, types in PARAMETERS.items()} | recorder(context)
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
            on_exit=checks.end_all,
            output="screen",
        )
        for name in parameters
    ]


def generate_launch_description():
    description = LaunchDescription(arguments())

    def check(context):
        checks.require_known(context, __file__, [argument.name for argument in description.get_launch_arguments()])

    description.add_action(OpaqueFunction(function=check))
    description.add_action(OpaqueFunction(function=nodes))
    return description
