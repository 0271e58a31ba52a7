"""Pins how policies are checked off the control path: in order, on another thread, never after a stop, never lost."""

import threading
import time

import pytest

from lwd_ros.control import PolicyIntake, request_scheduling
from lwd_ros.control.intake import LONGEST_HOLD_S, LONGEST_QUEUE
from lwd_ros.policy import PolicyError


class Desk:
    """An intake whose judge can be held up; what arrives are policies and texts, and texts are bad policies."""

    def __init__(self):
        self.open = threading.Event()
        self.open.set()
        self.threads, self.woken = set(), 0
        self.intake = PolicyIntake(self._judge, self._wake)

    def _judge(self, arrived):
        self.threads.add(threading.get_ident())
        self.open.wait(10.0)
        if isinstance(arrived, str):
            raise PolicyError(arrived)
        return arrived

    def _wake(self):
        self.woken += 1

    def put(self, *arrived):
        dropped = []
        for each in arrived:
            dropped.append(self.intake.put(each))
        return [each for each in dropped if each is not None]

    def wait_for_judge(self):
        while not self.threads:
            self.intake.go()
            time.sleep(0.001)

    def verdicts(self, count):
        """The next `count` verdicts, as they come."""
        result, end = [], time.monotonic() + 10.0
        while len(result) < count:
            self.intake.go()
            assert time.monotonic() < end, f"waited 10 s for {count} verdicts, got {result}"
            result += self.intake.verdicts()
            time.sleep(0.001)
        return result


@pytest.fixture
def desk():
    desk = Desk()
    yield desk
    desk.open.set()
    desk.intake.close()


def test_verdicts_come_in_order_and_from_another_thread(desk, make_policy):
    first, second = make_policy(1), make_policy(2)
    desk.put(first, "broken", second)
    (_, good), (_, bad), (_, last) = desk.verdicts(3)
    assert (good, last) == (first, second)
    assert isinstance(bad, PolicyError) and str(bad) == "broken"
    assert desk.threads and threading.get_ident() not in desk.threads
    assert desk.woken == 3


def test_what_arrived_before_a_stop_is_never_handed_out(desk, make_policy):
    desk.open.clear()
    desk.put(make_policy(1), make_policy(2))
    desk.wait_for_judge()  # the first is being judged, the second waits
    desk.intake.forget()
    desk.open.set()
    desk.put(make_policy(3))
    assert [arrived.seed for arrived, _ in desk.verdicts(1)] == [make_policy(3).seed]
    assert desk.intake.verdicts() == []


def test_a_gap_that_nobody_waited_for_opens_no_later_gate(make_policy):
    """`go` is for the check that waits now: calls without one must not let later checks begin inside a tick."""
    began = []
    intake = PolicyIntake(lambda arrived: began.append(time.monotonic()) or arrived, lambda: None)
    try:
        for _ in range(100):
            intake.go()
        put = time.monotonic()
        intake.put(make_policy())
        while not began:
            time.sleep(0.001)
    finally:
        intake.close()
    assert began[0] - put >= 0.9 * LONGEST_HOLD_S


def test_what_arrives_in_a_gap_that_lasts_is_judged_without_another_call(make_policy, monkeypatch):
    monkeypatch.setattr("lwd_ros.control.intake.LONGEST_HOLD_S", 60.0)
    intake, end = PolicyIntake(lambda arrived: arrived, lambda: None), time.monotonic() + 30.0
    try:
        intake.go(end)
        intake.put(make_policy())
        while not (verdicts := intake.verdicts()) and time.monotonic() < end:
            time.sleep(0.001)
        assert len(verdicts) == 1
    finally:
        intake.go()
        intake.close()


def test_a_flood_drops_the_oldest_and_keeps_the_newest(desk):
    desk.open.clear()
    desk.put("first")
    desk.wait_for_judge()
    numbers = [str(number) for number in range(LONGEST_QUEUE + 10)]
    assert desk.put(*numbers) == numbers[:10]
    desk.open.set()
    assert [arrived for arrived, _ in desk.verdicts(1 + LONGEST_QUEUE)] == ["first", *numbers[10:]]


def test_an_error_that_nobody_thought_of_is_a_verdict_and_the_next_is_judged(make_policy):
    def judge(arrived):
        return arrived if arrived else 1 / 0

    intake, results = PolicyIntake(judge, lambda: None), []
    try:
        for arrived in (None, make_policy()):
            intake.put(arrived)
        end = time.monotonic() + 10.0
        while len(results) < 2 and time.monotonic() < end:  # without `go`, each waits for its limit and is then judged
            results += intake.verdicts()
            time.sleep(0.01)
    finally:
        intake.close()
    assert isinstance(results[0][1], ZeroDivisionError)
    assert results[1][1] is results[1][0]


def test_what_the_system_refuses_is_one_sentence_each():
    found = request_scheduling(0, [100_000])
    assert len(found) == 1
    assert found[0].startswith("cpu_affinity [100000]: the system refused (") and "may run on cores [" in found[0]
    assert request_scheduling(0, []) == []
