"""Pins which publication of a policy may be taken, and when a control process rests; both without ROS."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lwd_ros.control import Admission, Pacer, Publication, Turns
from lwd_ros.policy import PolicyError

OLD, NEW, NEWER = Publication("a", 10), Publication("b", 20), Publication("c", 30)


def test_a_publication_is_taken_once_whichever_subscription_brings_it():
    admission = Admission(run_latched=True)
    assert admission.admits_older(OLD)
    assert not admission.admits(OLD, 0)
    assert admission.admits(NEW, 0)
    assert not admission.admits_older(NEW)
    assert not admission.admits_older(OLD)  # of two generators, the older one's comes last
    assert admission.admits(OLD, 0)  # published again, after the newer one: the last wins


def test_a_latched_copy_does_not_undo_the_swap_that_came_after_its_original():
    """The generator of the second policy has a clock that is behind, and the latched subscription is read late."""
    admission = Admission(run_latched=True)
    assert admission.admits(NEWER, 0)
    assert admission.admits(OLD, 0)
    assert not admission.admits_older(NEWER)
    assert not admission.admits_older(OLD)
    assert admission.stop({NEWER, OLD}) == 0  # nor is it a policy that the stop dropped


def test_an_older_policy_is_for_those_who_want_one():
    assert not Admission(run_latched=False).admits_older(OLD)
    assert Admission(run_latched=False).admits(OLD, 0)


def test_after_a_stop_nothing_older_is_taken():
    admission = Admission(run_latched=True)
    assert admission.stop({OLD, NEW}, 1000, called=True) == 2
    assert not admission.wants_older
    assert not admission.admits_older(NEWER)
    assert not admission.admits(NEW, 2000)  # it waited unread when the stop came
    with pytest.raises(PolicyError, match=r"it was published 0\.000 s before ~/stop was called"):
        admission.admits(NEWER, 999)
    assert not admission.admits(NEWER, 2000)  # refused once is refused
    assert admission.admits(Publication("d", 40), 2000)
    assert admission.admits(Publication("e", 50), 0)  # the middleware does not tell


def test_a_stop_that_nobody_called_judges_by_arrival_alone():
    admission = Admission(run_latched=True)
    admission.admits(NEW, 5)
    assert admission.stop({NEW}) == 0
    assert admission.admits(NEWER, 1)
    admission.stop((), 100, called=True)
    admission.stop((), 200)  # a later one, by a fault, does not forget when ~/stop was called
    with pytest.raises(PolicyError):
        admission.admits(Publication("d", 40), 99)


SECOND = 1_000_000_000
HOUR = 3600 * SECOND


@pytest.mark.parametrize(("ahead", "called"), [(-HOUR, False), (0, True), (0, False), (HOUR, True), (HOUR, False)])
def test_what_was_requested_before_a_stop_is_refused_whatever_the_clocks_say(ahead, called):
    """The generator's clock is `ahead` of the controller's, and one policy takes it 3 s."""
    stop = 10 * HOUR
    admission = Admission(run_latched=True)
    admission.stop((), stop, called)

    def arrives(name: str, requested: int):
        published = requested + 3 * SECOND
        stamps = (stop + ahead + published, stop + ahead + requested)
        return admission.admits(Publication(name, *stamps), stop + ahead + published, stop + published)

    with pytest.raises(PolicyError, match=r"it was requested 2\.000 s before the last stop; ask again"):
        arrives("early", -2 * SECOND)
    assert arrives("late", SECOND // 2)


def test_where_the_request_is_unknown_the_publication_counts():
    admission = Admission(run_latched=True)
    admission.stop((), 100 * SECOND)
    assert admission.admits(Publication("a", 0), 101 * SECOND, 101 * SECOND)
    assert admission.admits(Publication("b", 0, 1), 0, 101 * SECOND)  # the middleware does not tell when it was sent
    assert admission.admits(Publication("c", 0, 102 * SECOND), 101 * SECOND, 101 * SECOND)  # a clock was set back


# Turns


def test_in_a_gap_everything_has_its_turn_and_before_a_tick_it_waits():
    turns = Turns(0.01)
    turns.ticked(1.0)
    turns.rested(1.0, served=False)
    assert not turns.rest_is_due(1.04, incomplete=False)  # it had its turn just now
    turns.ticked(1.049)
    assert turns.rest_is_due(1.051, incomplete=False)
    assert not turns.rest_is_due(1.0585, incomplete=False)  # a tick is due in half a millisecond
    assert not turns.rest_is_due(1.051, incomplete=True)  # ... or is arriving
    assert turns.in_a_gap(1.2, incomplete=True)  # none came for long: none is expected


def test_a_gap_ends_before_the_next_tick_is_due():
    turns = Turns(0.01)
    turns.ticked(1.0)
    assert turns.gap_until_s(1.001, incomplete=False) == pytest.approx(1.009)
    assert turns.gap_until_s(1.001, incomplete=True) is None
    assert turns.gap_until_s(1.0095, incomplete=False) is None
    assert turns.gap_until_s(1.5, incomplete=True) == pytest.approx(1.501)  # none came for long


def test_without_any_gap_everything_has_its_turn_at_last():
    turns = Turns(0.001)
    turns.rested(1.0, served=False)
    turns.ticked(1.149)
    assert not turns.rest_is_due(1.1497, incomplete=True)
    turns.ticked(1.1505)
    assert turns.rest_is_due(1.1506, incomplete=True)


def test_what_was_served_has_another_turn_at_once():
    turns = Turns(0.01)
    turns.rested(1.0, served=True)
    assert turns.rest_is_due(1.0, incomplete=False)


@given(
    st.floats(0.0, 0.3),
    st.floats(0.0, 0.3),
    st.booleans(),
    st.booleans(),
    st.sampled_from((None, 0.002, 0.0125)),
)
def test_no_wait_outlasts_what_is_due(ticked, now, incomplete, checks_wait, period):
    pacer = Pacer(period, 0.0) if period else None
    turns = Turns(period or 0.0125, pacer)
    turns.rested(0.0, served=False)
    turns.ticked(ticked)
    wait = turns.wait_s(now, incomplete, checks_wait)
    assert 0.0 <= wait <= 0.25
    if checks_wait and not pacer:  # until the tick that is due next does not come: then there is a gap
        assert wait <= max(0.001, ticked + 2 * 0.0125 - now) + 1e-12
    if pacer:
        assert wait <= max(0.0, pacer.deadline - now) + 1e-12


def test_deadlines_are_the_pacers():
    turns = Turns(0.01, Pacer(0.01, 0.0))
    assert turns.late_s(0.005) is None
    assert turns.late_s(0.012) == pytest.approx(0.002)
    assert turns.late_s(0.055) == pytest.approx(0.035)
    assert turns.missed == 3
    assert Turns(0.01).late_s(5.0) is None and Turns(0.01).missed == 0
