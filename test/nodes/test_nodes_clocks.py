"""Pins in real processes what the controller says of rates and clocks, and what it keeps to itself."""

import time

import pytest
from builtin_interfaces.msg import Time
from control_support import SHIPPED, started, vector_of
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from nodes_support import Cell, running_cell
from robot_support import Robot, at_rest

from lwd_msgs.msg import ControllerStatus, PolicyWeights
from lwd_ros.nodes.controller_report import ControllerReport, Thresholds
from lwd_ros.nodes.conversions import policy_to_message
from lwd_ros.nodes.streams import LATCHED, StreamPublisher

TASK = "drawer-open-v3"
SECOND = 1_000_000_000
HAND = SHIPPED["binding"]["observation"]["streams"][0]["topic"]


class Driver:
    """A robot that only observes, stamped by this computer's clock and `offset_ns`; each stream may have its own."""

    def __init__(self, cell: Cell, contract, parameters=None, period_s=0.0125):
        self.cell, self.offset_ns, self.offsets, self.zero = cell, 0, {}, False
        streams = contract.require_binding().observation_streams
        self.streams = [StreamPublisher(cell.node, (stream,), lambda sentence: None) for stream in streams]
        self.vector = at_rest(contract)
        self.diagnostics: list[DiagnosticStatus] = []
        cell.subscribe(DiagnosticArray, "/diagnostics", self._on_diagnostics)
        cell.start_node("policy_controller", parameters)
        cell.node.create_timer(period_s, self._observe)
        self.policies = cell.node.create_publisher(PolicyWeights, "policy", LATCHED)

    def _observe(self) -> None:
        now_ns = time.time_ns()
        for place, stream in enumerate(self.streams):
            stream.send(self.vector, 0 if self.zero else now_ns + self.offset_ns + self.offsets.get(place, 0))

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        self.diagnostics += [status for status in message.status if status.name.endswith("policy_controller")]

    def offer(self, policy) -> None:
        self.policies.publish(policy_to_message(policy, Time(sec=1)))

    def log(self) -> str:
        return self.cell.tail("policy_controller", 10_000)

    def wait_for_problem(self, words: str) -> DiagnosticStatus:
        """The diagnostic that has a problem in its sentence; the status has it too."""
        self.cell.wait(
            "the status", lambda: self.cell.controller and words in str(self.cell.controller.timing_problems)
        )
        self.diagnostics.clear()
        self.cell.wait("diagnostics", lambda: any(words in status.message for status in self.diagnostics))
        return next(status for status in self.diagnostics if words in status.message)

    def assert_quiet(self, seconds: float) -> None:
        """Nothing is said of rates and clocks."""
        statuses = []
        self.cell.subscribe(ControllerStatus, "policy_controller/status", statuses.append)
        self.cell.spin(seconds)
        assert statuses and {problem for status in statuses for problem in status.timing_problems} == set()


@pytest.fixture
def cell(tmp_path):
    with Cell(tmp_path) as cell:
        yield cell


def value(status: DiagnosticStatus, key: str) -> str:
    return next(each.value for each in status.values if each.key == key)


def test_half_the_contracts_rate_is_measured_without_a_policy_and_with_one(cell, contract, make_policy):
    driver = Driver(cell, contract, period_s=0.025)
    status = driver.wait_for_problem(", the contract's period asks for 80 Hz")
    assert status.level == DiagnosticStatus.WARN and value(status, "rate_hz") == ""
    assert 36 < float(value(status, f"rate_hz {HAND}")) < 42
    driver.offer(make_policy())
    cell.wait("the policy", lambda: cell.controller.outcome == ControllerStatus.OUTCOME_CONTINUE)
    driver.diagnostics.clear()
    cell.wait("the rate of ticks", lambda: driver.diagnostics and value(driver.diagnostics[-1], "rate_hz"))
    assert 36 < float(value(driver.diagnostics[-1], "rate_hz")) < 42
    status = driver.wait_for_problem(", the contract's period asks for 80 Hz")
    assert status.level == DiagnosticStatus.WARN and status.message.startswith("running 'reach-v3'; hand/pose, ")
    assert "contract's period" not in driver.log()  # diagnostics and status are enough


@pytest.mark.parametrize("simulated_time", [False, True])
def test_lost_ticks_show_as_a_rate(make_policy, simulated_time):
    """Observations at 120 Hz come too soon to be answered each: a contract of 80 Hz answers 60 of them."""
    core, feeder = started(make_policy, sync="latest", simulated_time=simulated_time)
    report = ControllerReport(core, 0.0, Thresholds(1.0, 1.0))
    begin_ns = 4 * 12_500_000
    for number in range(360):
        feeder.now = 0.05 + number / 120  # the first tick is 12.5 ms after the last one
        for place in reversed(range(len(feeder.streams))):
            observation = feeder.message_at(place, begin_ns + round(number * SECOND / 120), vector_of(1))
        core.tick(observation, feeder.now)
    assert report.look_at_timing(feeder.now) == []  # it has no clock to compare stamps with
    asked = "the contract's period asks for 80 Hz"
    expected = [] if simulated_time else [f"hand/pose: 120.0 Hz, {asked}", f"ticks: 60.2 Hz, {asked}"]
    assert report.timing_problems == expected
    level, sentence, values = report.diagnose(feeder.now)
    assert level == (DiagnosticStatus.OK if simulated_time else DiagnosticStatus.WARN)
    assert sentence == "; ".join(["running 'reach-v3'", *expected])
    assert float(values["rate_hz"]) == pytest.approx(60, rel=0.02)


def test_clocks_that_are_apart_are_said_once_and_again_when_that_changes(cell, contract, make_policy):
    driver = Driver(cell, contract)
    driver.offset_ns = -30 * SECOND
    driver.offer(make_policy())
    words = "goal: stamps are 30.0 s behind this computer's clock; synchronise the clocks (NTP, PTP), or"
    assert driver.wait_for_problem(words).level >= DiagnosticStatus.WARN
    cell.spin(3.0)
    assert driver.log().count("behind this computer's clock") == 1
    assert cell.controller.outcome == ControllerStatus.OUTCOME_CONTINUE  # arrival is by the steady clock
    driver.offset_ns = -60 * SECOND
    driver.wait_for_problem("stamps are 60.0 s behind")
    cell.spin(1.0)
    assert driver.log().count("behind this computer's clock") == 2
    driver.offset_ns = 0
    cell.wait("the end of it", lambda: "behind" not in str(cell.controller.timing_problems))


def test_stamps_of_0_name_the_way_out(cell, contract, make_policy):
    driver = Driver(cell, contract)
    driver.zero = True
    driver.wait_for_problem("stamps are 0, expected the time; where a driver does not stamp, write `stamp: arrival`")
    driver.offer(make_policy())
    words = "stamp 0 for"
    cell.wait("the reason", lambda: words in cell.controller.reason and "stamp: arrival" in cell.controller.reason)
    assert cell.controller.outcome != ControllerStatus.OUTCOME_CONTINUE


def test_streams_that_never_agree_are_named_with_their_stamps_within_a_second(cell, contract, make_policy):
    driver, statuses = Driver(cell, contract), []
    driver.offsets = {place: 3_000_000 * place for place in range(5)}
    words = "stamps differ (hand/pose "
    driver.wait_for_problem(words)  # without a policy
    cell.subscribe(
        ControllerStatus, "policy_controller/status", lambda m: statuses.append((time.monotonic(), m.reason))
    )
    began = time.monotonic()
    driver.offer(make_policy())
    cell.wait("the reason", lambda: statuses and words in statuses[-1][1])
    assert statuses[-1][0] - began < 2.0  # of which the policy takes its part
    assert "goal " in statuses[-1][1] and "12.000 ms apart" in statuses[-1][1]
    assert statuses[-1][1].endswith("write `sync: latest` in the contract")
    assert cell.controller.outcome == ControllerStatus.OUTCOME_WAITING


def test_a_robot_at_the_contracts_rate_and_time_is_reason_for_nothing(cell, contract, make_policy):
    driver = Driver(cell, contract)
    cell.wait("the controller", lambda: cell.controller is not None)
    driver.offer(make_policy())
    cell.wait("the policy", lambda: cell.controller.outcome == ControllerStatus.OUTCOME_CONTINUE)
    cell.spin(2.0)
    driver.diagnostics.clear()
    clocks = [problem for problem in cell.controller.timing_problems if "Hz" not in problem]
    assert clocks == []  # a busy machine may be slow, and says so
    cell.wait("diagnostics", lambda: driver.diagnostics and value(driver.diagnostics[-1], "rate_hz"))
    assert 60 < float(value(driver.diagnostics[-1], f"rate_hz {HAND}")) < 84
    assert "stamps" not in driver.log()


@pytest.mark.parametrize("mode", ["realtime", "lockstep"])
def test_a_simulation_with_its_own_clock_is_reason_for_nothing(tmp_path, mode):
    """As metaworld.launch.py starts the nodes."""
    simulated, problems = {"use_sim_time": True}, set()
    with running_cell(tmp_path, {"hold_until_asked": True, "mode": mode}, simulated, simulated) as cell:
        cell.subscribe(ControllerStatus, "policy_controller/status", lambda m: problems.update(m.timing_problems))
        for layout in (700_060, 700_061):  # time begins anew
            cell.load(TASK, layout)
            cell.spin(2.0)
            assert cell.generate(TASK).success
            cell.wait("success", lambda: cell.task.succeeded)
        cell.spin(1.5)
        assert problems == set()
        assert "stamps" not in cell.tail("policy_controller", 10_000)


def test_a_planned_end_is_no_fault(cell, contract, make_policy):
    driver = Driver(cell, contract, {"policy_timeout_s": 1.0})
    cell.wait("the controller", lambda: cell.controller is not None)
    driver.offer(make_policy())
    cell.wait("stopped", lambda: cell.controller.outcome == ControllerStatus.OUTCOME_STOPPED)
    ended = "the policy ran for policy_timeout_s = 1 s"
    sentence = f"{ended}, as planned; the next policy that is asked for starts it again"
    cell.wait("diagnostics", lambda: sentence in [status.message for status in driver.diagnostics])
    levels = {status.level for status in driver.diagnostics if status.message == sentence}
    assert levels == {DiagnosticStatus.OK} and cell.controller.reason == ended
    (line,) = [line for line in driver.log().splitlines() if f"stopped: {ended}" in line]
    assert line.startswith("[INFO]")


def test_what_is_far_outside_is_said_once_for_each_name(tmp_path, contract, make_policy):
    with Cell(tmp_path) as cell:
        robot = Robot(cell, contract, make_policy)

        def lines() -> list[str]:
            log = cell.tail("policy_controller", 10_000).splitlines()
            return [line.partition("trained on: ")[2] for line in log if "trained on: " in line]

        for wrong in ({2: 7.0}, {2: 7.0, 5: 7.0}, {5: 7.0}, {2: 7.0}):
            robot.wrong = wrong
            robot.run(240)
        cell.spin(0.6)
        assert lines() == [contract.observation_names[2], contract.observation_names[5]]
