"""Pins how much slew an observation may spend, and what a policy is told of its age; both without a controller."""

import numpy as np
import pytest
from control_support import PERIOD, control_contract
from hypothesis import given
from hypothesis import strategies as st

from lwd_ros.control import SlewBudget, ToldAge

PERIOD_S = 0.0125


def test_an_observation_that_comes_too_soon_is_left_out():
    budget = SlewBudget(control_contract(), simulated_time=False)
    assert budget.between(round(0.74 * PERIOD), 1.0) is None
    assert budget.between(PERIOD, PERIOD_S) == 1.0
    assert budget.between(PERIOD + 10, PERIOD_S) == 1.0  # rounding of a stamp is no time


def test_one_period_may_be_saved_and_no_more():
    budget = SlewBudget(control_contract(), simulated_time=False)
    assert budget.between(10 * PERIOD, 0.0) == 1.0  # what was saved at the start
    assert budget.between(10 * PERIOD, 0.5 * PERIOD_S) == pytest.approx(0.5)
    assert budget.between(PERIOD, 100 * PERIOD_S) == 1.0
    assert budget.between(2 * PERIOD, 0.0) == 1.0
    assert budget.between(2 * PERIOD, 0.0) == 0.0
    budget.begin()
    assert budget.between(2 * PERIOD, 0.0) == 1.0


def test_a_simulation_may_be_faster_than_the_clock():
    budget = SlewBudget(control_contract(), simulated_time=True)
    assert [budget.between(PERIOD, 0.0) for _ in range(5)] == [1.0] * 5
    assert budget.between(3 * PERIOD, 0.0) == pytest.approx(3.0)
    assert budget.between(-PERIOD, 0.0) == 1.0
    assert budget.follows(PERIOD + 2) and not budget.follows(2 * PERIOD) and not budget.follows(-PERIOD)


@given(st.lists(st.tuples(st.integers(-5 * PERIOD, 5 * PERIOD), st.floats(0.0, 0.05)), max_size=50))
def test_on_a_robot_no_more_is_spent_than_the_time_that_passed_and_one_period(steps):
    budget, spent, passed = SlewBudget(control_contract(), simulated_time=False), 0.0, 0.0
    for stamps_ns, elapsed_s in steps:
        passed += elapsed_s / PERIOD_S
        periods = budget.between(stamps_ns, elapsed_s)
        spent += periods or 0.0
        assert spent <= passed + 1.0 + 1e-9


@pytest.mark.parametrize(("on_fault", "gripper"), [("hold", 0.7), ("zero", 0.0)])
def test_the_safe_command_keeps_what_the_contract_keeps_and_slew_goes_on_from_it(on_fault, gripper):
    budget = SlewBudget(control_contract(on_fault=on_fault), simulated_time=False)
    seen = np.zeros(21)
    assert budget.rest(0.0).tolist() == [0.0] * 4
    budget.limit(np.array([0.5, -0.5, 0.2, 0.7]), 1.0, seen, 0.1)
    assert budget.rest(0.2).tolist() == [0.0, 0.0, 0.0, gripper]
    assert budget.limit(np.array([9.0, 9.0, 9.0, -9.0]), 1.0, seen, 0.3) == pytest.approx(
        [0.8, 0.8, 0.8, gripper - 1.0]
    )
    budget.resume(np.array([-0.5, 0.0, 0.0, 0.1]))
    assert budget.limit(np.array([9.0, 9.0, 9.0, -9.0]), 0.5, seen, 0.4) == pytest.approx([-0.1, 0.4, 0.4, -0.4])


def test_an_age_is_unknown_where_no_tick_knew_it_for_longer_than_the_patience():
    age = ToldAge(control_contract(age=0.1), patience_s=0.05)
    assert age.newest_s is None and not age.is_unknown
    for _ in range(4):
        age.hear(1.0)
    assert (age.newest_s, age.is_unknown) == (1.0, False)
    age.hear(1.0)
    assert age.is_unknown
    age.hear(0.03)
    assert not age.is_unknown
    for _ in range(5):
        age.hear(-1.0)  # in the future
    assert age.is_unknown


def test_clocks_that_are_apart_do_not_come_together_at_a_swap():
    contract, age = control_contract(age=0.1), None
    for _ in range(3):
        age = ToldAge(contract, patience_s=0.05, before=age)
        age.hear(1.0)
        age.hear(1.0)
    assert age.is_unknown
