"""The recorder: a contract's streams as episodes in a folder that rosbag2 takes for a bag."""

import contextlib
import sys
import threading
import time
from pathlib import Path

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from std_srvs.srv import Trigger

from lwd_msgs.msg import EpisodeMarker, RecorderStatus
from lwd_msgs.srv import StartEpisode, StopEpisode
from lwd_ros.contract import Contract
from lwd_ros.dataset.recording import Recording, RecordingError
from lwd_ros.nodes.episode_session import EpisodeSession
from lwd_ros.nodes.executor import ControlExecutor
from lwd_ros.nodes.joystick import Joystick
from lwd_ros.nodes.managed import ManagedNode, run
from lwd_ros.nodes.names import require_topic
from lwd_ros.nodes.rclpy_private import take_message
from lwd_ros.nodes.recorded_topics import RecordedTopics

_LOOK_S = 0.5
_TURN_S = 0.05  # messages first; services and timers so often
_DRAINED = 10_000  # messages of a topic that may still wait when an episode ends


def listed(text: str) -> tuple[str, ...]:
    """The names of a list that is separated by commas."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


class Recorder(ManagedNode):
    """Records episodes between `~/start` and `~/stop`. See docs/reference/nodes.md for parameters and services."""

    fatal = (Exception,)  # a recorder that does not record is of no use to the person before it

    def __init__(self):
        super().__init__("recorder")
        self.declare("contract_file", "", "contract whose streams are recorded (YAML); required")
        self.declare("joint_prefix", "", "in front of the joints' names; empty: as the contract file says")
        self.declare("folder", "", "folder of the recording; required. One that holds something: a new name beside it")
        self.declare("append", False, "continue the recording that the folder holds")
        self.declare("task", "", "task of episodes that are started without one")
        self.declare("topics", "", "further topics to record, of any type, separated by commas")
        self.declare("optional_topics", "", "topics of the contract that may be missing, separated by commas")
        self.declare("commands_optional", False, "record without commands: actions are the measured positions")
        self.declare("controller", "policy_controller", "policy controller whose status and ticks are recorded")
        self.declare("cache_mb", 100, "what may wait for the disk, MB; what is more is dropped and counted", 1, 100_000)
        self.declare("joy_topic", "joy", "joystick whose buttons start and end episodes, where some are given")
        self.declare("joy_start", -1, "button that starts, and ends an episode that succeeded; -1: none", -1, 1000)
        self.declare("joy_fail", -1, "button that ends an episode that failed; -1: none", -1, 1000)
        self.declare("joy_discard", -1, "button that throws the episode away; -1: none", -1, 1000)
        self.done = False
        """Set to end the node."""
        self.missing: list[str] = []
        """One sentence for each stream that gives nothing now."""
        self.interrupted = False
        """Whether the node's end closed an episode."""
        self._lost: dict[str, int] = {}  # messages of the open episode that the middleware lost, by topic
        self._failure = ""  # what ended the last episode early
        self._urgent_too: list = []  # subscriptions that are served as soon as those of the topics
        self._group = MutuallyExclusiveCallbackGroup()
        self._configuration = self._activation = contextlib.ExitStack()

    def configure(self) -> None:
        path = self.required("contract_file", "the contract whose streams are recorded (YAML)")
        contract = Contract.load(path, self.get_parameter("joint_prefix").value or None)
        contract.require_binding()
        self._contract = contract
        for parameter in ("topics", "optional_topics", "controller", "joy_topic"):
            for name in listed(self.get_parameter(parameter).value):
                require_topic(f"parameter '{parameter}'", name, self.get_name(), self.get_namespace())
        folder = Path(self.required("folder", "the folder of the recording"))
        recording = Recording(folder, self.get_parameter("append").value)
        self.session = EpisodeSession(self, recording, self.get_parameter("cache_mb").value * 1_000_000)
        self.task = self.get_parameter("task").value
        for torn in recording.torn:
            self.get_logger().warning(f"{torn}: found no end, for its recording was killed; it stays and is not listed")
        with contextlib.ExitStack() as undo:
            self._markers = self.create_publisher(EpisodeMarker, "~/episode", 10)
            self._states = self.create_publisher(RecorderStatus, "~/status", 10)
            for publisher in (self._markers, self._states):
                undo.callback(self.destroy_publisher, publisher)
            for kind, name, answer in (
                (StartEpisode, "~/start", self._on_start),
                (StopEpisode, "~/stop", self._on_stop),
                (Trigger, "~/discard", self._on_discard),
            ):
                undo.callback(self.destroy_service, self.create_service(kind, name, answer))
            self._configuration = undo.pop_all()
        self.tell_contract(contract)
        known = f", which holds {recording.kept} already" if recording.kept else ""
        self.get_logger().info(f"episodes go to {recording.folder}{known}")

    def activate(self) -> None:
        value = {name: self.get_parameter(name).value for name in ("controller", "topics", "optional_topics")}
        with contextlib.ExitStack() as undo:
            self._topics = RecordedTopics(
                self,
                self._contract,
                self._take,
                self._group,
                value["controller"],
                listed(value["topics"]),
                listed(value["optional_topics"]),
                self.get_parameter("commands_optional").value,
            )
            undo.callback(self._topics.destroy)
            timer = self.create_timer(_LOOK_S, self._look, clock=self.steady)
            undo.callback(self.destroy_timer, timer)
            self._urgent_too = []
            buttons = {name: self.get_parameter(f"joy_{name}").value for name in ("start", "fail", "discard")}
            if any(number >= 0 for number in buttons.values()):
                acts = {"start": self.toggle, "fail": lambda: self.stop(False), "discard": self.discard}
                joystick = Joystick(self, self.get_parameter("joy_topic").value, buttons, acts)
                undo.callback(joystick.destroy)
                self._urgent_too = [joystick.subscription]
            self._activation = undo.pop_all()

    def deactivate(self) -> None:
        if self.session.is_open:
            self.interrupted = True
            self.get_logger().warning("the node ends while an episode is open, which is kept as failed")
            self.stop(False)
        self._publish_status()
        self._activation.close()

    def cleanup(self) -> None:
        self._activation.close()  # after a deactivation that failed
        self._configuration.close()

    # Episodes

    def start(self, task: str = "") -> tuple[bool, str]:
        """Begin an episode of `task`, "" for that of the one before; whether it began, and a sentence."""
        if not self.is_active:
            return False, f"the recorder is {self.state}, not active: configure and activate it first"
        task = task or self.task
        if self.session.is_open:
            return (
                False,
                f"found the open episode {self.session.number} of '{self.session.task}', expected none: stop it",
            )
        if not task:
            return False, "found no task, expected one: the parameter 'task', or that of the request"
        self.missing = self._topics.missing()
        if self.missing:
            return False, f"not started: {'; '.join(self.missing)}"
        self._take_waiting()  # what came before the episode is none of it, by whatever clock
        try:
            marker = self.session.begin(task, self._topics.latched())
        except (OSError, RecordingError) as error:
            return False, self._failed("not started", error)
        self.task, self._failure = task, ""
        self._topics.take_lost()  # those from before it
        self._lost = {}
        self._markers.publish(marker)
        self._publish_status()
        sentence = f"episode {self.session.number} of '{task}' is being recorded"
        if self.session.is_before_others:
            sentence += "; the clock was set back since an earlier episode, so each file has a time axis of its own"
        self.get_logger().info(sentence)
        return True, sentence

    def _take(self, topic: str, message_type: str, content: bytes, info, latched: bool) -> None:
        self.session.take(topic, message_type, content, info, latched)
        if self.session.set_back_s:
            self._end_for_clock()

    def _end_for_clock(self) -> None:
        """End the open episode, whose clock went back: the times of what comes now are no continuation of it."""
        kept, sentence = self._keep(False, f", for the clock went back by {self.session.set_back_s:.2f} s")
        if kept:
            self._failure = sentence

    def stop(self, success: bool) -> tuple[bool, str]:
        """End the open episode and keep it; whether it is whole on the disk, and a sentence."""
        if not self.session.is_open:
            return False, self._failure or "found no open episode, expected one"
        self._take_waiting()
        if not self.session.is_open:  # the clock went back in what waited
            return False, self._failure
        return self._keep(success)

    def _keep(self, success: bool, why: str = "") -> tuple[bool, str]:
        """As `stop`, without what waits; `why` the episode ends, where nobody ended it."""
        number, task = self.session.number, self.session.task
        try:
            marker, dropped = self.session.keep(success)
        except (OSError, RecordingError) as error:
            self._publish_status()
            return False, self._failed(f"episode {number} is cut off and not listed", error)
        self._markers.publish(marker)
        self._publish_status()
        episode = self.session.last
        sentence = (
            f"episode {number} of '{task}' is kept as {'successful' if success else 'failed'}{why}: "
            f"{episode.duration_s:.1f} s, {episode.messages} messages in {episode.path.name}"
        )
        if dropped:
            sentence += f"; {dropped} messages were dropped, for the disk was slower than the topics"
        self._count_lost()
        if self._lost:
            counts = ", ".join(f"{count} of {topic}" for topic, count in self._lost.items())
            sentence += f"; the middleware lost {counts}"
        log = self.get_logger()
        if dropped or self._lost or why:
            log.warning(sentence)
        else:
            log.info(sentence)
        return True, sentence

    def discard(self) -> tuple[bool, str]:
        """Throw the open episode away; whether there was one, and a sentence."""
        if not self.session.is_open:
            return False, "found no open episode, expected one"
        number, task = self.session.number, self.session.task
        self._markers.publish(self.session.discard())
        self._publish_status()
        sentence = f"episode {number} of '{task}' is thrown away"
        self.get_logger().info(sentence)
        return True, sentence

    def toggle(self) -> tuple[bool, str]:
        """Start an episode, or end the open one as successful."""
        done, sentence = self.stop(True) if self.session.is_open else self.start()
        if not done:
            self.get_logger().error(sentence)
        return done, sentence

    def _failed(self, what: str, error: Exception) -> str:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        sentence = (
            f"{self.session.recording.folder}: {what} ({reason}); {self.session.recording.kept} whole episodes stay"
        )
        self.get_logger().error(sentence)
        self._failure = sentence
        return sentence

    def _take_waiting(self) -> None:
        """Read what has arrived and waits: it is part of the episode that ends now."""
        for subscription in list(self.subscriptions):
            if subscription.callback_group is not self._group:
                continue
            for _ in range(_DRAINED):
                taken = take_message(subscription)
                if taken is None:
                    break
                subscription.callback(*taken)

    def _count_lost(self) -> None:
        for topic, count in self._topics.take_lost().items():
            self._lost[topic] = self._lost.get(topic, 0) + count

    def _on_start(self, request, response):
        response.success, response.message = self.start(request.task)
        response.episode = self.session.number
        if not response.success:
            self.get_logger().error(response.message)
        return response

    def _on_stop(self, request, response):
        response.episode = self.session.number
        response.kept, response.message = self.stop(request.success)
        if response.kept:
            response.duration_s, response.messages = self.session.last.duration_s, self.session.last.messages
        return response

    def _on_discard(self, request, response):
        response.success, response.message = self.discard()
        return response

    # What it tells

    def _look(self) -> None:
        self._topics.follow(idle=not self.session.is_open)
        self.missing = self._topics.missing()
        if self.session.is_open:
            failure = self.session.failure
            if failure is not None:
                number = self.session.number
                self.session.leave()
                self._failed(f"episode {number} is cut off and not listed", failure)
            self.session.look_at_clock()
            if self.session.set_back_s:
                self._end_for_clock()
            self._count_lost()
            for sentence in self.missing:
                self.warn(f"recording without it: {sentence}")
            if self.session.dropped:
                self.warn(f"{self.session.dropped} messages dropped: the disk is slower than the topics (cache_mb)")
        self._publish_status()

    def _publish_status(self) -> None:
        session = self.session
        self._states.publish(
            RecorderStatus(
                stamp=self.get_clock().now().to_msg(),
                state=RecorderStatus.RECORDING if session.is_open else RecorderStatus.IDLE,
                bag=str(session.recording.folder),
                task=session.task if session.is_open else "",
                episode=session.number,
                kept=session.recording.kept,
                discarded=session.discarded,
                duration_s=session.duration_s,
                messages=session.messages,
                dropped=session.dropped,
                lost=sum(self._lost.values()) if session.is_open else 0,
                missing=self.missing,
            )
        )

    def spin(self, executor: ControlExecutor, stop: threading.Event) -> None:
        """Take messages first, and serve everything else now and then."""
        watched, served = None, 0.0
        while not stop.is_set() and not self.done:
            if not self.is_active:
                executor.forget()
                watched = None
                executor.spin_once(timeout_sec=0.2)
                continue
            version = (self._topics, self._topics.version)
            if watched != version:
                executor.watch(self._group, [*self._urgent_too, *self.clock_subscriptions])
                watched = version
            executor.serve_urgent(_TURN_S)
            if time.monotonic() - served >= _TURN_S:
                executor.serve_all(0.0)
                served = time.monotonic()

    def diagnose(self):
        session = self.session
        values = {
            "folder": session.recording.folder,
            "kept": session.recording.kept,
            "discarded": session.discarded,
            "dropped": session.dropped,
            "lost": sum(self._lost.values()),
        }
        what = f"recording episode {session.number} of '{session.task}'" if session.is_open else "ready"
        if self._failure:
            return DiagnosticStatus.ERROR, self._failure, values
        if session.dropped:
            return DiagnosticStatus.ERROR, f"{what}; {session.dropped} messages dropped", values
        if self.missing:
            return DiagnosticStatus.WARN, f"{what}; {'; '.join(self.missing)}", values
        return DiagnosticStatus.OK, what, values


def main(args=None) -> int:
    """Run the node; the exit status of `run`."""
    return run(Recorder, args)


if __name__ == "__main__":
    sys.exit(main())
