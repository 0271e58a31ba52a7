"""One picture of a run: what the handle did, what was commanded, when policies were swapped and tasks succeeded."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

_COLOURS = ("#1b6ca8", "#c05a1e", "#3a7d44")


def draw_timeline(content: dict, path: Path) -> None:
    """Draw the client's notes (`requests`, `series`) as a PNG.

    Times are simulation time since the first policy's first command, in s.
    """
    requests, series = content["requests"], content["series"]
    start = requests[0]["swap_time_s"]
    end = max(request["success_time_s"] or request["swap_time_s"] for request in requests)
    plt.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
    figure, (handle, hand, gripper) = plt.subplots(
        3, 1, figsize=(9.5, 5.6), sharex=True, height_ratios=(3, 3, 1), layout="constrained"
    )
    handle.plot([t - start for t in series["handle_time_s"]], [100 * y for y in series["handle_y_m"]], color="black")
    handle.set_ylabel("drawer handle y (cm)\nlower is further open")
    times = [t - start for t in series["command_time_s"]]
    for axis, (name, colour) in enumerate(zip("xyz", _COLOURS, strict=True)):
        values = [command[axis] for command in series["command_m_s"]]
        hand.step(times, values, where="post", color=colour, lw=1.1, label=f"$v_{name}$")
    hand.set_ylabel("hand velocity\ncommand (m/s)")
    hand.legend(loc="upper right", ncols=3, frameon=False)
    gripper.step([t - start for t in series["gripper_time_s"]], series["gripper_effort"], where="post", color="#666")
    gripper.set(ylabel="gripper\neffort", ylim=(-1.2, 1.2), xlabel="simulation time since the first command (s)")
    low, high = handle.get_ylim()
    handle.set_ylim(low, high + 0.3 * (high - low))
    for request in requests:
        swap, success = request["swap_time_s"] - start, request["success_time_s"] - start
        for axes in (handle, hand, gripper):
            axes.axvline(swap, color="#8a1c7c", lw=1.2)
            if request["success"]:
                axes.axvline(success, color="#3a7d44", lw=1.0, ls="--")
        label = f"{request['task']}\npolicy {request['policy_id'][:8]}\nin {request['request_to_response_ms']:.0f} ms"
        handle.text(swap + 0.02, handle.get_ylim()[1], label, color="#8a1c7c", va="top", fontsize=8)
        if request["success"]:
            y = low + 0.04 * (high - low)
            handle.text(success - 0.02, y, f"success, step {request['steps_to_success']}", color="#3a7d44",
                        ha="right", fontsize=8)  # fmt: skip
    handle.set_xlim(-0.15, end - start + 0.15)
    figure.suptitle("Three generated policies, swapped in one running simulation", fontsize=11)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    plt.close(figure)
