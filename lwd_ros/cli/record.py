"""The command `lwd record`: demonstrations from a robot's topics."""

import json
import sys

import click

from lwd_ros.cli.support import FROM_ZERO, needs


@click.command()
@click.option("--contract", type=click.Path(), required=True, help="Contract whose streams are recorded.")
@click.option(
    "--out",
    type=click.Path(),
    required=True,
    help="Folder of the recording, a bag of rosbag2. Where it holds something, a new name beside it is chosen.",
)
@click.option("--append", is_flag=True, help="Continue the recording that the folder holds.")
@click.option("--task", default="", show_default=False, help="What is shown, until another task is chosen.")
@click.option(
    "--tasks", default="", show_default=False, help="Tasks to choose from by their numbers or n, separated by commas."
)
@click.option("--topic", multiple=True, help="A further topic to record, of any type; may be repeated.")
@click.option("--optional", multiple=True, help="A topic of the contract that may be missing; may be repeated.")
@click.option("--no-commands", is_flag=True, help="Commands may be missing: a hand guides the robot.")
@click.option("--controller", default="policy_controller", help="Policy controller whose status and ticks to record.")
@click.option(
    "--joint-prefix",
    default="",
    show_default=False,
    help="In front of the joints' names; replaces that of the contract.",
)
@click.option("--namespace", default="", show_default=False, help="Namespace of the recorder, before relative topics.")
@click.option("--remap", multiple=True, metavar="FROM:=TO", help="As the controller's; may be repeated.")
@click.option("--sim-time", is_flag=True, help="The time is that of /clock, as with use_sim_time.")
@click.option("--no-keyboard", is_flag=True, help="Services and joystick alone.")
@click.option("--joy-topic", default="joy", help="Joystick, a sensor_msgs/msg/Joy.")
@click.option("--joy-start", type=FROM_ZERO, help="Its button that starts, and ends an episode that succeeded.")
@click.option("--joy-fail", type=FROM_ZERO, help="Its button that ends an episode that failed.")
@click.option("--joy-discard", type=FROM_ZERO, help="Its button that throws an episode away.")
@needs("record")
def record(contract, out, tasks, no_keyboard, namespace, remap, sim_time, **options) -> None:
    """Record demonstrations: a contract's streams, one episode after another, as a bag that rosbag2 opens.

    Keys: space or r starts an episode and ends it as successful, f ends it as failed, d or backspace throws it away,
    n or a number chooses the task, q quits. The services ~/start, ~/stop and ~/discard of the node 'recorder' and a
    joystick's buttons do the same.

    Refuses to start an episode while a stream is missing, and says so when one is lost. What is open when the command
    ends is kept as failed.

    Exit status: 0; 1 where the contract or the folder cannot be used; 130 where Ctrl-C ended an open episode.
    """
    from lwd_ros.contract import Contract

    choices = [task.strip() for task in tasks.split(",") if task.strip()]
    task = options["task"] or (choices[0] if choices else "")
    if task and choices and task not in choices:
        choices.insert(0, task)
    Contract.load(contract, options["joint_prefix"] or None).require_binding()  # in one sentence, before ROS starts
    from lwd_ros.nodes.names import require_namespace, require_topic

    space = f"/{namespace.strip('/')}"
    require_namespace("--namespace", space)
    named = [
        ("--topic", options["topic"]),
        ("--optional", options["optional"]),
        ("--joy-topic", [options["joy_topic"]]),
    ]
    named.append(("--controller", [options["controller"]] if options["controller"] else []))
    for option, names in named:
        for name in names:
            require_topic(option, name, "recorder", space)
    parameters: dict[str, object] = {
        "contract_file": str(contract),
        "folder": str(out),
        "task": task,
        "append": options["append"],
        "topics": ",".join(options["topic"]),
        "optional_topics": ",".join(options["optional"]),
        "commands_optional": options["no_commands"],
        "controller": options["controller"],
        "joint_prefix": options["joint_prefix"],
        "joy_topic": options["joy_topic"],
        "use_sim_time": sim_time,
        **{f"joy_{name}": options[f"joy_{name}"] for name in ("start", "fail", "discard")},
    }
    arguments = ["lwd record", "--ros-args"]
    for name, value in parameters.items():
        if value is not None and value != "":
            arguments += ["-p", f"{name}:={json.dumps(value)}"]  # what JSON quotes, ROS takes for a text
    for rule in (*remap, *([f"__ns:={space}"] if namespace else [])):
        arguments += ["-r", rule]
    from lwd_ros.nodes.recording_at_terminal import record_at_terminal

    at_keyboard = not no_keyboard and sys.stdin.isatty()
    sys.exit(record_at_terminal(arguments, choices if at_keyboard else None))
