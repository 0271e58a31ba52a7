"""What every launch file checks, before they start anything and when a node ends.

Plain Python, loaded from the launch files' own folder: the Python of `ros2 launch` need not be the one that lwd_ros is
installed in.
"""

import difflib
import math
import os

# What `ros2 launch` and launch's own actions read; anybody may give them to any launch file.
OF_LAUNCH = ("launch-prefix", "launch-prefix-filter", "emulate_tty", "sigterm_timeout", "sigkill_timeout")
CANNOT_BE_USED = (1, 2)  # exit statuses of nodes that say: starting it again as it was is no use


def require_known(context, file, names):
    """Raise RuntimeError where the command line gives `file` an argument that is not among `names`.

    launch takes any name in silence. Where another launch file includes `file`, the command line is that one's.
    """
    if not _is_launched(context, file):
        return
    typed = dict.fromkeys(word.partition(":=")[0] for word in context.argv if ":=" in word)
    found = []
    for name in typed:
        if name not in names and name not in OF_LAUNCH:
            close = difflib.get_close_matches(name, names, 1)
            found.append(f"'{name}'" + (f" (did you mean {close[0]}?)" if close else ""))
    if found:
        raise RuntimeError(
            f"argument {', '.join(found)}: found no such argument, expected those that --show-args lists"
        )


def _is_launched(context, file):
    """Whether `file` is what `ros2 launch` was asked for; all that is asked here is public in launch."""
    try:
        entities = context.locals.event.launch_description.entities
        sources = [entity.launch_description_source for entity in entities]
        return any(os.path.samefile(source.location, file) for source in sources)
    except (AttributeError, OSError):
        return False  # launch's API is used by somebody's own script


def converted(name, text, kind):
    """The value of argument `name` that is given as `text`, and its type.

    `kind` is str, bool, or for a number its type, least and largest value. Raises RuntimeError for another number.
    Converted here and not by launch_ros, which does so one node after another: an error at the second one would end
    `ros2 launch` and leave the first one running.
    """
    if kind is bool:
        return text == "true", bool
    if kind is str:
        return text, str
    number, least, largest = kind
    try:
        value = number(text)
    except ValueError:
        value = math.nan
    if not least <= value <= largest:
        expected = "a whole number" if number is int else "a number"
        raise RuntimeError(f"argument {name}: found '{text}', expected {expected} from {least} to {largest}")
    return value, number


def end_all(event, context):
    """End the whole launch, with status 1, where a node ended that cannot be used: a part of a robot is no robot.

    launch gives another status than 0 for an exception alone. A node that crashed ends with another status, and is
    started again where that is wanted.
    """
    if event.returncode in CANNOT_BE_USED and not context.is_shutdown:
        raise RuntimeError(
            f"{event.process_name} ended with status {event.returncode} and cannot be used as it was started; "
            "its last lines say why"
        )
