"""Pins the command limits: within range and slew whatever is asked, unchanged where nothing needs limiting."""

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from lwd_ros.contract import CommandLimiter, Contract
from lwd_ros.resources import share_path

SHIPPED = yaml.safe_load(share_path("config", "metaworld.yaml").read_text(encoding="utf-8"))
_FINITE = st.floats(allow_nan=False, allow_infinity=False)
_COMMANDS = st.lists(st.lists(_FINITE, min_size=4, max_size=4), min_size=1, max_size=8)


@given(_COMMANDS)
def test_commands_stay_within_limits_and_slew(commands):
    contract = Contract.from_dict(SHIPPED)
    limiter, previous = CommandLimiter(contract), np.zeros(4)
    minimum, maximum = contract.command_limits
    for command in commands:
        given_array = np.array(command)
        result = limiter.apply(given_array)
        assert result is given_array
        assert (result >= minimum).all() and (result <= maximum).all()
        assert (np.abs(result - previous) <= contract.command_slew * (1 + 1e-12)).all()
        # Never away from what was asked for: the result lies between the last command and the limited wish.
        wish = np.clip(np.array(command), minimum, maximum)
        assert (result >= np.minimum(previous, wish)).all() and (result <= np.maximum(previous, wish)).all()
        assert (limiter.previous == result).all()
        previous = result.copy()


@given(st.lists(st.floats(-1, 1), min_size=4, max_size=4))
def test_a_command_that_needs_no_limiting_passes_unchanged(fractions):
    contract = Contract.from_dict(SHIPPED)
    limiter = CommandLimiter(contract)
    command = np.array(fractions) * np.minimum(contract.command_limits[1], contract.command_slew)
    for _ in range(2):
        assert limiter.apply(command.copy()).tolist() == command.tolist()


def test_the_limiter_starts_at_rest_and_from_what_reset_says(contract):
    limiter = CommandLimiter(contract)
    assert limiter.previous.tolist() == [0.0] * 4
    limiter.reset(np.array([0.8, 0.0, 0.0, 1.0]))
    assert limiter.apply(np.array([-0.8, 0.0, 0.0, -1.0])).tolist() == pytest.approx([0.0, 0.0, 0.0, 0.0])
    limiter.previous[:] = 9.0  # a copy
    assert limiter.previous.tolist() == pytest.approx([0.0] * 4)
