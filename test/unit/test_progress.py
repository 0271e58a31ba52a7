"""Pins the account of a training run: one bar or one log for all stages, with the time left of all."""

import io

import pytest

from lwd_ros.learning.progress import Progress, Stage

STAGES = (Stage("first", "policies", 100, cost=3.0), Stage("second", "their distribution", 100, cost=1.0))


class _Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_log_gets_lines_with_the_time_left_of_all_stages():
    stream, clock = io.StringIO(), _Clock()
    progress = Progress(STAGES, stream=stream, clock=clock)
    progress.begin("first", 0)
    for step in range(1, 101):
        clock.now = 1.5 * step
        progress.at(step, 0.25)
    lines = stream.getvalue().splitlines()
    assert lines[0] == "stage 1 of 2 (policies), step 0 of 100: 0 % of all, 0:00 gone"
    assert lines[-1] == "stage 1 of 2 (policies), step 100 of 100: 75 % of all, 2:30 gone, 0:50 left, loss 0.2500"
    assert len(lines) == 11 and "\r" not in stream.getvalue()


def test_what_an_earlier_call_did_counts_as_done_and_not_as_fast():
    clock = _Clock()
    progress = Progress(STAGES, stream=io.StringIO(), clock=clock)
    progress.begin("first", 90)
    assert progress.left_s() is None
    clock.now = 10.0
    progress.at(100)
    assert progress.left_s() == pytest.approx(10.0 * 100 / 30)


def test_a_terminal_gets_a_bar():
    stream = _Terminal()
    progress = Progress(STAGES, stream=stream)
    progress.begin("first", 0)
    progress.at(100)
    progress.begin("second", 0)
    progress.at(100, 0.5)
    progress.end()
    last = stream.getvalue().split("\r")[-1]
    assert "stage 2 of 2 (their distribution), step 100 of 100 100%" in last and "left" in last


def test_one_stage_alone_has_no_number():
    stream = io.StringIO()
    Progress([Stage("network", "network", 10)], stream=stream).begin("network", 0)
    assert stream.getvalue().startswith("network, step 0 of 10")


def test_processes_that_are_not_the_first_show_nothing():
    stream = io.StringIO()
    progress = Progress(STAGES, shown=False, stream=stream)
    progress.begin("first", 0)
    progress.at(100)
    assert stream.getvalue() == ""
