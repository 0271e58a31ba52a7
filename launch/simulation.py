"""What the launch files of simulators share: a bridge beside the nodes of robot.launch.py.

Plain Python, loaded from the launch files' own folder, as checks.py is.
"""

from pathlib import Path
from runpy import run_path
from types import SimpleNamespace

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

checks = SimpleNamespace(**run_path(str(Path(__file__).with_name("checks.py"))))

FLAG = ["true", "false"]
# The parameters of a bridge that launch arguments set, with their types; of numbers also the range.
# Those of the other nodes are in robot.launch.py.
PARAMETERS = {
    "contract_file": str,
    "mode": str,
    "task": str,
    "layout": (int, 0, 2**62),
    "record_file": str,
    "observation_delay_s": (float, 0, 1),
    "hold_until_asked": bool,
    "autostart": bool,
}


def arguments(example):
    """The arguments of every simulator but the contract and the model; `example` is one of its tasks."""
    from_file = "empty: from the parameter files"
    return [
        DeclareLaunchArgument("task", default_value="", description=f"task to load at start-up{example}; {from_file}"),
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
        DeclareLaunchArgument(
            "hold_until_asked",
            default_value="true",
            choices=FLAG,
            description="after each load hold the arm until a policy that was generated since then commands; "
            "this argument decides, not params_file",
        ),
        # The robot's arguments with what suits a simulation.
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


def given(context, parameters):
    """Parameters from those of the arguments that are not empty."""
    texts = {name: LaunchConfiguration(name).perform(context) for name in parameters}
    values = {name: checks.converted(name, text, parameters[name]) for name, text in texts.items() if text}
    return {name: ParameterValue(value, value_type=kind) for name, (value, kind) in values.items()}


def bridge(context, executable, parameters):
    """The bridge node."""
    params_file = LaunchConfiguration("params_file").perform(context)
    config = Path(FindPackageShare("lwd_ros").perform(context)) / "config"
    return [
        Node(
            package="lwd_ros",
            executable=executable,
            # Both name and namespace, so that arguments also win over a section of params_file named after the node.
            name=executable,
            namespace=LaunchConfiguration("namespace"),
            parameters=[
                str(config / f"{executable}.yaml"),
                *([params_file] if params_file else []),
                given(context, parameters),
            ],
            ros_arguments=["--log-level", LaunchConfiguration("log_level")],
            respawn=LaunchConfiguration("use_respawn"),
            respawn_delay=2.0,
            on_exit=checks.end_all,
            output="screen",
        )
    ]


def description(file, executable, own, further=None):
    """The launch description of `file`: its `own` arguments, the robot's nodes, the bridge `executable`.

    `further` are types of parameters that this bridge has beside PARAMETERS.
    """
    robot = PathJoinSubstitution([FindPackageShare("lwd_ros"), "launch", "robot.launch.py"])
    parameters = {**PARAMETERS, **(further or {})}

    def check(context):  # before anything starts: an error later would leave the nodes running
        names = [argument.name for argument in whole.get_launch_arguments()]
        checks.require_known(context, file, names)
        known = [argument.name for argument in own if argument.name in parameters]
        given(context, {name: parameters[name] for name in known})

    whole = LaunchDescription(
        [
            *own,
            OpaqueFunction(function=check),
            # Declares the other arguments (namespace, params_file, log_level, ...), so it comes before the bridge.
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(robot),
                launch_arguments=[(name, LaunchConfiguration(name)) for name in ("contract_file", "model_file")],
            ),
            OpaqueFunction(function=lambda context: bridge(context, executable, parameters)),
        ]
    )
    return whole
