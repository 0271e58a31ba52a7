"""The client of `lwd demo ways`: the same request again and again, each time from the same start."""

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import rclpy
from std_srvs.srv import Trigger

from lwd_ros.demo.calling import Caller, DemoFailed

TASK = "fixed"
LAYOUT = 1  # the scene is the same in all of them
_PATIENCE_S = 60.0  # in lock step nothing is late, however slow the computer is


@dataclass
class Request:
    """What one request led to: the policy, and whether and after how many steps the goal was reached."""

    seed: int
    policy_id: str
    parameters: int
    generation_ms: float
    success: bool
    steps: int


def _order(stamp) -> tuple[int, int]:
    return stamp.sec, stamp.nanosec


class WaysClient(Caller):
    """Puts the rod back, asks, and waits for what comes of it."""

    def __init__(self):
        super().__init__("demo_client", "simulator_bridge")
        self._stop = self.create_client(Trigger, "policy_controller/stop")

    def wait_for_nodes(self, timeout_s: float = 30.0) -> None:
        """As `Caller.wait_for_nodes`; and for the controller's stop."""
        super().wait_for_nodes(timeout_s)
        self.wait("policy_controller's stop", self._stop.service_is_ready, timeout_s)

    def perform(self, seed: int, most_steps: int) -> Request:
        """One request, of `seed`, 0 for any; raises DemoFailed where a node does not do its part."""
        begun = self.load(TASK, LAYOUT).stamp
        response = self.generate(TASK, seed)
        self.wait(f"policy {response.policy_id} to run", lambda: self.require_taken(response), _PATIENCE_S)
        moved = False

        def over() -> bool:
            nonlocal moved
            status = self.task_status
            if status is None or _order(status.header.stamp) < _order(begun):
                return False  # of the episode before
            moved = moved or not status.holding
            return status.succeeded or status.step >= most_steps or (moved and status.holding)

        self.wait("the end of an episode", over, _PATIENCE_S)
        status = self.task_status
        assert status is not None
        # The next policy begins at rest: else its first commands would depend on this one, by their slew limit.
        self.call(self._stop, Trigger.Request())
        generation_ms = 1e3 * response.generation_s
        return Request(response.seed, response.policy_id, response.policy_parameters, generation_ms,
                       status.succeeded, status.first_success_step or status.step)  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Ask many times, and once more with a seed that was used; exit status 0 if all of it took place."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--out", type=Path, required=True, help="JSON file for the requests")
    parser.add_argument("--seed", type=int, default=0, help="first of the requests' seeds; 0 draws all of them")
    parser.add_argument("--requests", type=int, required=True, help="how many, before the one that is repeated")
    parser.add_argument("--most-steps", type=int, required=True, help="control steps of an episode")
    options, ros_arguments = parser.parse_known_args(arguments)
    rclpy.init(args=ros_arguments)
    client = WaysClient()
    requests: list[Request] = []
    try:
        client.wait_for_nodes(_PATIENCE_S)
        for number in range(options.requests + 1):
            seed = options.seed and options.seed + number
            if number == options.requests:
                print("and once more, with a seed that was used", flush=True)
                seed = next((each.seed for each in requests if each.success), requests[0].seed)
            requests.append(client.perform(seed, options.most_steps))
            made, last = "reached the goal" if requests[-1].success else "failed", requests[-1]
            print(f"{number + 1:3}. seed {last.seed:<20} policy {last.policy_id}: {made} after {last.steps} steps",
                  flush=True)  # fmt: skip
    except DemoFailed as error:
        print(f"   failed: {error}", flush=True)
    except KeyboardInterrupt:
        print("   interrupted", flush=True)
    finally:
        options.out.write_text(json.dumps({"requests": [asdict(each) for each in requests]}), encoding="utf-8")
        client.destroy_node()
        rclpy.try_shutdown()
    return 0 if len(requests) == options.requests + 1 else 1


if __name__ == "__main__":
    sys.exit(main())
