"""A simulated robot (Metaworld), the policy generator and the policy controller.

    ros2 launch lwd_ros metaworld.launch.py task:=drawer-open-v3

Parameters, later ones win: config/NODE.yaml, then params_file, then what is given on the command line.
"""

from pathlib import Path

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

FLAG = ["true", "false"]
# The parameters of the bridge that launch arguments set, with their types; the other nodes' are in robot.launch.py.
PARAMETERS = {
    "contract_file": str,
    "mode": str,
    "task": str,
    "layout": int,
    "record_file": str,
    "observation_delay_s": float,
    "autostart": bool,
}


def arguments():
    from_file = "empty: from the parameter files"
    return [
        DeclareLaunchArgument(
            "task", default_value="", description=f"task to load at start-up, e.g. drawer-open-v3; {from_file}"
        ),
        DeclareLaunchArgument(
            "layout", default_value="", description=f"seed of the first layout; 0 draws one; {from_file}"
        ),
        DeclareLaunchArgument(
            "mode",
            default_value="",
            choices=["", "realtime", "lockstep"],
            description=f"realtime: by the wall clock; lockstep: one step per command, as fast as it goes; {from_file}",
        ),
        DeclareLaunchArgument(
            "record_file", default_value="", description=f"write all states here (.npz) at the end; {from_file}"
        ),
        DeclareLaunchArgument(
            "observation_delay_s",
            default_value="",
            description=f"realtime: observations leave so long after their stamp, s, 0 to 1; {from_file}",
        ),
        # The robot's arguments with what suits a simulation.
        DeclareLaunchArgument(
            "contract_file", default_value="", description=f"contract between policy and robot (YAML); {from_file}"
        ),
        DeclareLaunchArgument(
            "model_file",
            default_value="",
            description=f"model that generates policies (.onnx, from 'lwd export'); {from_file}",
        ),
        DeclareLaunchArgument(
            "run_latched",
            default_value="true",
            choices=FLAG,
            description="whether a policy published before the controller started may move the robot; "
            "this argument decides, not params_file",
        ),
        DeclareLaunchArgument(
            "use_sim_time", default_value="true", choices=FLAG, description="take the time from /clock"
        ),
    ]


def check(context):
    layout = LaunchConfiguration("layout").perform(context)
    if layout and not layout.isdecimal():
        raise RuntimeError(f"argument layout: found '{layout}', expected a number (int) of at least 0")
    delay = LaunchConfiguration("observation_delay_s").perform(context)
    try:
        float(delay or 0)
    except ValueError:
        text = f"found '{delay}', expected a number (float)"
        raise RuntimeError(f"argument observation_delay_s: {text}") from None


def bridge(context):
    arguments = {name: LaunchConfiguration(name).perform(context) for name in (*PARAMETERS, "params_file")}
    params_file = arguments.pop("params_file")
    config = Path(FindPackageShare("lwd_ros").perform(context)) / "config"
    given = {
        name: ParameterValue(text == "true" if kind is bool else kind(text), value_type=kind)
        for name, kind in PARAMETERS.items()
        if (text := arguments[name])
    }
    return [
        Node(
            package="lwd_ros",
            executable="metaworld_bridge",
            # Both name and namespace, so that arguments also win over a section of params_file named after the node.
            name="metaworld_bridge",
            namespace=LaunchConfiguration("namespace"),
            parameters=[str(config / "metaworld_bridge.yaml"), *([params_file] if params_file else []), given],
            ros_arguments=["--log-level", LaunchConfiguration("log_level")],
            respawn=LaunchConfiguration("use_respawn"),
            respawn_delay=2.0,
            output="screen",
        )
    ]


def generate_launch_description():
    robot = PathJoinSubstitution([FindPackageShare("lwd_ros"), "launch", "robot.launch.py"])
    return LaunchDescription(
        [
            *arguments(),
            OpaqueFunction(function=check),  # before anything starts: an error later would leave the nodes running
            # Declares the other arguments (namespace, params_file, log_level, ...), so it comes before the bridge.
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(robot),
                launch_arguments=[(name, LaunchConfiguration(name)) for name in ("contract_file", "model_file")],
            ),
            OpaqueFunction(function=bridge),
        ]
    )
