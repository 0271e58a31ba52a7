"""A toy of an environment, and the cell that paces a simulated robot in it without ROS."""

from pathlib import Path

import numpy as np

from lwd_ros.contract import Contract
from lwd_ros.environments.environment import EnvironmentSpec
from lwd_ros.environments.robot import Settings, SimulatedRobot

PERIOD_S = 0.1
CONTRACT = Contract.from_dict(
    {
        "name": "cart",
        "period_s": PERIOD_S,
        "history": 1,
        "observation": {"place": {"unit": "m", "limits": [-9, 9]}, "reach": {"unit": "m", "limits": [-9, 9]}},
        "command": {
            "speed": {"unit": "m/s", "limits": [-9, 9], "slew_per_s": 99},
            "grip": {"unit": "1", "limits": [-1, 1], "slew_per_s": 99},
            "target": {"unit": "m", "limits": [-9, 9], "slew_per_s": 99, "rest": "reach"},
        },
        "binding": {
            "observation": {
                "sync": "same_stamp",
                "streams": [
                    {
                        "topic": "joint_states",
                        "type": "sensor_msgs/msg/JointState",
                        "frame_id": "base",
                        "stale_after_s": 0.5,
                        "fields": {"place": "position[place]", "reach": "position[reach]"},
                    }
                ],
            },
            "command": {
                "on_fault": "hold",
                "keep_on_hold": ["grip"],
                "streams": [
                    {
                        "topic": topic,
                        "type": "sensor_msgs/msg/JointState",
                        "frame_id": "base",
                        "fields": {name: f"effort[{name}]" for name in names},
                    }
                    for topic, names in (("drive", ("speed",)), ("hand", ("grip", "target")))
                ],
            },
        },
    }
)
SPEC = EnvironmentSpec("toy", ("go", "back", "alone"), Path("unused.yaml"), PERIOD_S, 100)
OPEN = -1.0


class Toy:
    """A cart that goes where it is told: there at 1 m, over the edge at 2 m."""

    spec, reward = SPEC, 0.0

    def __init__(self, task):
        self.task, self.contract, self.closed = task, CONTRACT, False
        self.reset(0)

    def sharing(self):
        return (self.task,) if self.task == "alone" else ("back", "go")

    def reset(self, layout):
        self.layout, self.place, self.ended, self.commands = layout, 0.0, False, []
        return self.observe()

    def take_over(self, other):
        self.layout, self.place, self.ended, self.commands = other.layout, other.place, False, []
        return self.observe()

    @property
    def start_command(self):
        return np.array([0.0, OPEN, 0.25])

    def observe(self):
        return np.array([self.place, 0.25])

    def step(self, command):
        assert not self.ended, "stepped after its end"
        self.commands.append(command.tolist())
        self.place += command[0] * PERIOD_S
        self.ended = abs(self.place) > 2.0
        return self.place >= 0.999

    def state(self):
        return np.array([self.place])

    def renderer(self, height=480, width=640):
        raise NotImplementedError

    def close(self):
        self.closed = True


class ToySimulator:
    spec = SPEC

    def __init__(self):
        self.made = []

    def require_contract(self, contract):
        self.spec.require_period(contract)

    def make(self, task, contract):
        self.spec.require_tasks([task])
        self.made.append(task)
        return Toy(task)


class Cell:
    """A robot, the clock that paces it, and all that it sent and said."""

    def __init__(self, recorder=None, **settings):
        self.now, self.moments, self.said, self.warned, self.callbacks = 50.0, [], [], [], []
        self.warned_once = []
        self.simulator = ToySimulator()
        self.robot = SimulatedRobot(
            self.simulator,
            CONTRACT,
            Settings(**{"command_timeout_s": 0.25, **settings}),
            self,
            recorder,
            steady_s=lambda: self.now,
            system_ns=lambda: round(1e9 * (1000.0 + self.now)),
        )

    def send(self, moment):
        self.moments.append(moment)

    def info(self, sentence):
        self.said.append(sentence)

    def warn(self, sentence):
        self.warned.append(sentence)

    def warn_once(self, sentence):
        self.warned_once.append(sentence)

    def how_to_ask(self, task):
        return f"ASK {task}"

    @property
    def last(self):
        return self.moments[-1]

    def begin(self, task="go", layout=7):
        self.robot.start()
        self.robot.load(task, layout)
        return self

    def serve(self, seconds):
        """One callback, where one waits; else the time passes."""
        if self.callbacks:
            self.callbacks.pop(0)()
        else:
            self.now += seconds

    def turns(self, count=1):
        for _ in range(count):
            self.robot.turn(self.serve)

    def steps(self, count=1):
        """Turns until so many steps are done."""
        wanted = self.last.stamp_ns + count * self.robot.period_ns
        while self.last.stamp_ns < wanted:
            self.turns()

    def command(self, speed=1.0, grip=1.0, target=0.5, stamp_ns=None, streams=(0, 1)):
        """A command on both streams, by default in answer to the last observation; the refusals."""
        stamp_ns = self.last.observation_stamp_ns if stamp_ns is None else stamp_ns
        values = (np.array([speed]), np.array([grip, target]))
        return [self.robot.take(place, stamp_ns, "base", values[place]) for place in streams]


def commands(cell):
    return cell.robot.environment.commands
