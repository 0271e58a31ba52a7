"""Pins the decoder of PolicyWeights against arbitrary content: a policy that can run, or one PolicyError."""

import array

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lwd_ros.policy import PolicyError
from lwd_ros.policy.policy import FLOAT_ARRAYS

pytest.importorskip("rclpy")
from builtin_interfaces.msg import Time

from lwd_ros.nodes.conversions import message_to_policy, policy_to_message

_FLOATS = st.lists(st.floats(width=32), max_size=40).map(lambda values: array.array("f", values))
_WHOLE = st.lists(st.integers(0, 2**32 - 1), max_size=40).map(lambda values: array.array("I", values))
_FIELDS = {
    **dict.fromkeys(FLOAT_ARRAYS, _FLOATS),
    **dict.fromkeys(("layer_sizes", "observation_indices"), _WHOLE),
    **dict.fromkeys(("contract_digest", "model_digest", "latent_digest", "task", "policy_id"), st.text(max_size=70)),
    **dict.fromkeys(("hidden_activation", "output_activation"), st.text(max_size=8)),
    "format_version": st.integers(0, 2**32 - 1),
    "seed": st.integers(0, 2**64 - 1),
}


@pytest.fixture(scope="module")
def content(make_policy):
    """A valid message's fields."""
    message = policy_to_message(make_policy(1), Time(sec=1))
    return {name: getattr(message, name) for name in _FIELDS}, type(message)


@given(st.data())
def test_any_field_may_be_anything(content, data):
    fields, kind = content
    changed = data.draw(st.lists(st.sampled_from(sorted(_FIELDS)), min_size=1, max_size=4, unique=True))
    given_fields = {name: data.draw(_FIELDS[name], label=name) for name in changed}
    message = kind(**{**fields, **given_fields})
    same = all(getattr(message, name) == fields[name] for name in _FIELDS)
    if same:
        message_to_policy(message)
        return
    with pytest.raises(PolicyError) as error:  # not even the id can be right by chance
        message_to_policy(message)
    assert "found" in str(error.value) and "\n" not in str(error.value)


@given(st.integers(0, 10_000), st.integers(0, 31))
def test_one_flipped_bit_in_any_array_is_noticed(content, place, bit):
    fields, kind = content
    names = [*FLOAT_ARRAYS, "layer_sizes", "observation_indices"]
    ends = np.cumsum([len(fields[name]) for name in names])
    place %= int(ends[-1])
    which = int(np.searchsorted(ends, place, side="right"))
    name, offset = names[which], place - (int(ends[which - 1]) if which else 0)
    bits = np.array(fields[name], dtype=np.float32 if name in FLOAT_ARRAYS else np.uint32).view(np.uint32)
    bits[offset] ^= np.uint32(1 << bit)
    code = "f" if name in FLOAT_ARRAYS else "I"
    message = kind(**{**fields, name: array.array(code, bits.tobytes())})
    with pytest.raises(PolicyError):
        message_to_policy(message)
