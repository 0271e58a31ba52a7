"""What the demo's stories share: a folder of their own, real processes that play, a film drawn in another process."""

import contextlib
import fcntl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from lwd_ros.demo.supervisor import ProcessDied, Supervisor, isolated_environment, tied_to_this_process

_PACKAGES = ("rclpy", "lwd_msgs", "mujoco", "matplotlib")
_FILM_PACKAGES = ("imageio", "PIL")
_OUTPUTS = ("client.json", "states.npz", "summary.json", "timeline.png", "demo.mp4", "demo.png", "ways.png", "ways.mp4")


def require_packages(video: bool, *more: str) -> None:
    """Raise ModuleNotFoundError where a package that a story's processes need is not installed."""
    for package in (*_PACKAGES, *more, *(_FILM_PACKAGES if video else ())):
        if find_spec(package) is None:
            raise ModuleNotFoundError(f"No module named '{package}'", name=package)


@contextlib.contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Keep other demos out of `folder` and remove the results of earlier ones; raises OSError where it cannot."""
    with contextlib.ExitStack() as stack:
        try:
            (folder / "logs").mkdir(parents=True, exist_ok=True)
            lock = stack.enter_context(open(folder / "logs" / "lock", "w"))
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for name in _OUTPUTS:
                (folder / name).unlink(missing_ok=True)
        except OSError as error:
            reason = f"cannot be written ({error.strerror})"
            if isinstance(error, BlockingIOError):
                reason = "another demo is writing here; give --out another folder"
            raise OSError(error.errno, reason, str(folder)) from error
        yield


def played(
    folder: Path,
    bridge: tuple[str, Mapping[str, object]],
    files: Mapping[str, str],
    client: str,
    arguments: Sequence[str],
    timeout_s: float = 120.0,
) -> tuple[dict[str, int], bool]:
    """Run simulator bridge, generator, controller and a client until the client ends.

    Args:
        folder: of the logs.
        bridge: the bridge's executable, and its parameters.
        files: `model_file` and `contract_file` of the nodes.
        client: its module.
        arguments: of the client.
        timeout_s: after which it is ended.

    Returns:
        Every process's exit status, and whether one ended that nobody had asked to.
    """
    start, died, (executable, parameters) = time.monotonic(), False, bridge
    contract = {"contract_file": files["contract_file"]}
    with Supervisor(folder / "logs", isolated_environment()) as supervisor:
        nodes = f"{executable}, policy_generator, policy_controller"
        print(f"starting {nodes} on ROS domain {supervisor.environment['ROS_DOMAIN_ID']}", flush=True)
        supervisor.start_node(executable, {**parameters, **contract})
        supervisor.start_node("policy_generator", files)
        supervisor.start_node("policy_controller", {"use_sim_time": True, **contract})
        process = supervisor.start("client", client, [*arguments, *supervisor.ros_arguments()], output=sys.stdout)
        try:
            while process.poll() is None:
                time.sleep(0.05)
                if time.monotonic() - start > timeout_s:
                    raise ProcessDied(f"the client did not end within {timeout_s:g} s")
                if process.poll() is None:
                    supervisor.check()
        except ProcessDied as error:
            died = True
            print(error, flush=True)
        statuses = supervisor.stop()
    bad = {name: status for name, status in statuses.items() if status}
    if bad:
        print(f"ended with another status than 0: {bad}; logs in {folder / 'logs'}", flush=True)
    return statuses, died


def film(folder: Path, module: str) -> bool:
    """Draw the film in a process of its own: a broken GL driver can end a process, not only raise."""
    done = subprocess.run(
        [sys.executable, "-m", module, str(folder)],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=tied_to_this_process(),
    )
    if done.returncode:
        reason = (done.stdout.strip() or done.stderr.strip() or f"status {done.returncode}").splitlines()[-1]
        print(f"no film: {reason}", flush=True)
    return done.returncode == 0
