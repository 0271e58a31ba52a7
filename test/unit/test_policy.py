"""Pins the generated policy: what it computes, what it refuses, its identity, and the slot it is swapped in."""

import hashlib
import math
import struct
import tracemalloc
from dataclasses import FrozenInstanceError, fields
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lwd_ros.contract import Contract
from lwd_ros.learning.networks import policy_forward
from lwd_ros.policy import Policy, PolicyError, PolicyLayout, PolicySlot

LAYOUTS = [
    PolicyLayout((21, 4)),
    PolicyLayout((21, 16, 16, 4)),
    PolicyLayout((21, 9, 4), "relu"),
    PolicyLayout((21, 8, 8, 8, 4), "tanh", "tanh"),
    PolicyLayout((21, 4), "relu", "tanh"),
]


def _reference(policy: Policy, observation: np.ndarray) -> np.ndarray:
    """The formula of Policy's docstring, in float64, without folding anything."""
    x = (observation[policy.observation_indices] - policy.observation_mean) / policy.observation_std.astype(float)
    start, sizes = 0, policy.layout.layer_sizes
    for place, (inputs, outputs) in enumerate(pairwise(sizes)):
        matrix = policy.weights[start : start + inputs * outputs].reshape(outputs, inputs).astype(float)
        start += inputs * outputs
        x = matrix @ x + policy.weights[start : start + outputs]
        start += outputs
        if place < len(sizes) - 2:
            x = np.tanh(x) if policy.layout.hidden_activation == "tanh" else np.maximum(x, 0)
        elif policy.layout.output_activation == "tanh":
            x = np.tanh(x)
    assert start == policy.layout.parameters == policy.parameters
    return policy.action_offset + policy.action_scale.astype(float) * x


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_forward_is_the_documented_formula_in_numpy_and_in_torch(make_policy, layout):
    for seed in range(5):
        policy = make_policy(seed, layout)
        observation = np.random.default_rng([1, seed]).normal(size=21)
        out = np.full(4, np.nan)
        assert policy.forward(observation, out) is out
        np.testing.assert_allclose(out, _reference(policy, observation), rtol=1e-10, atol=1e-12)
        inputs = torch.tensor((observation - policy.observation_mean) / policy.observation_std)[None, None]
        network = policy_forward(layout, torch.tensor(policy.weights, dtype=torch.float64)[None], inputs)[0, 0].numpy()
        np.testing.assert_allclose(out, policy.action_offset + policy.action_scale * network, rtol=1e-8, atol=1e-10)


def test_forward_reads_only_its_own_scalars_and_in_its_own_order(make_policy):
    policy = make_policy(indices=[5, 0, 20])
    observation, out = np.random.default_rng(0).normal(size=21), np.empty(4)
    expected = policy.forward(observation, out).copy()
    np.testing.assert_allclose(expected, _reference(policy, observation), rtol=1e-10)
    others = np.setdiff1d(np.arange(21), [5, 0, 20])
    observation[others] = 1e6
    assert policy.forward(observation, out).tolist() == expected.tolist()
    observation[[0, 5]] = observation[[5, 0]]
    assert policy.forward(observation, out).tolist() != expected.tolist()


def test_forward_allocates_no_arrays(make_policy):
    # Each layer's output is 32 KiB, so one temporary array would stand out from the interpreter's small change.
    policy = make_policy(layout=PolicyLayout((21, 4096, 4096, 4), "tanh", "tanh"))
    observation, out = np.zeros(21), np.empty(4)
    policy.forward(observation, out)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        for _ in range(3):
            policy.forward(observation, out)
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - before < 4096
    assert after - before < 1024


def test_layouts_tile_the_weights():
    for layout in LAYOUTS:
        places = np.zeros(layout.parameters, dtype=int)
        for w, b, shape in layout.slices():
            assert w.stop - w.start == shape[0] * shape[1] and b.stop - b.start == shape[0]
            places[w] += 1
            places[b] += 1
        assert (places == 1).all()
    assert PolicyLayout((21, 16, 16, 4)).parameters == 692  # the shipped policies


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (((21,),), r"layer_sizes: found \[21\], expected at least two"),
        (((),), "at least two"),
        (((21, 0, 4),), r"found \[21, 0, 4\], expected at least two sizes in 1..4096"),
        (((21, -3, 4),), "1..4096"),
        (((21, 4097, 4),), "1..4096"),
        (((21.0, 16, 4),), "1..4096"),
        (((21, True, 4),), "1..4096"),
        ((("21", 4),), "1..4096"),
        (((21, 4), "gelu"), "hidden_activation: found 'gelu', expected one of tanh, relu"),
        (((21, 4), "tanh", "relu"), "output_activation: found 'relu', expected one of identity, tanh"),
    ],
)
def test_an_impossible_layout_is_refused(arguments, expected):
    with pytest.raises(PolicyError, match=expected):
        PolicyLayout(*arguments)


def _with(array, place, value):
    array = np.array(array, dtype=float)
    array[place] = value
    return array


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("weights", np.zeros(691), r"weights: found shape \(691,\), expected \(692,\)"),
        ("weights", np.zeros((1, 692)), r"found shape \(1, 692\)"),
        ("weights", _with(np.zeros(692), 3, math.nan), "weights: found 1 non-finite, expected none"),
        ("weights", _with(np.zeros(692), 3, -math.inf), "found 1 non-finite"),
        ("weights", _with(np.zeros(692), 3, 1e39), "found 1 non-finite"),
        ("weights", _with(np.zeros(692), 3, 1.1e4), r"weights: found a magnitude of 1.1e\+04, expected at most 10000"),
        ("weights", np.zeros(692, dtype=complex), "weights: found values of type complex128, expected float32"),
        ("weights", ["x"] * 692, "weights: found values of type <U1"),
        ("weights", [[1.0], [1.0, 2.0]], "weights: found .* expected 692 numbers"),
        ("observation_mean", np.zeros(20), r"observation_mean: found shape \(20,\), expected \(21,\)"),
        ("observation_mean", _with(np.zeros(21), 0, math.nan), "observation_mean: found 1 non-finite"),
        ("observation_std", _with(np.ones(21), 0, 0.0), "observation_std: found 0, expected all above 0"),
        ("observation_std", _with(np.ones(21), 0, -1.0), "observation_std: found -1"),
        ("observation_std", _with(np.ones(21), 0, 1e-60), "observation_std: found 0, expected all above 0"),
        ("observation_minimum", np.zeros(3), "observation_minimum: found shape"),
        ("observation_maximum", _with(np.ones(21), 0, math.inf), "observation_maximum: found 1 non-finite"),
        ("action_offset", np.zeros(5), r"action_offset: found shape \(5,\), expected \(4,\)"),
        ("action_scale", _with(np.ones(4), 0, math.nan), "action_scale: found 1 non-finite"),
        ("observation_indices", np.arange(20), "observation_indices: found shape"),
        ("observation_indices", np.zeros(21, dtype=int), "observation_indices: found repeated or negative"),
        ("observation_indices", np.arange(21) - 1, "observation_indices: found repeated or negative"),
        ("observation_indices", np.arange(21) + 0.5, "observation_indices: found values of type float64"),
        ("contract_digest", "", "contract_digest: found '', expected 64 hex digits"),
        ("contract_digest", "A" * 64, "contract_digest: found 'AAA"),
        ("model_digest", "a" * 63, "model_digest: found 'aaa"),
        ("latent_digest", "a" * 64 + "\n", "latent_digest: found 'aaa"),
    ],
)
def test_a_malformed_policy_is_refused_when_it_is_built(make_policy, name, value, expected):
    with pytest.raises(PolicyError, match=expected):
        make_policy(**{name: value})


def test_policies_are_immutable_and_do_not_share_what_they_were_built_from(make_policy):
    weights = np.random.default_rng(0).normal(size=692).astype(np.float32)
    policy = make_policy(weights=weights)
    observation = np.zeros(21)
    before, identity = policy.forward(observation, np.empty(4)), policy.policy_id
    weights[:] = 0.0
    assert policy.forward(observation, np.empty(4)).tolist() == before.tolist()
    for item in fields(policy):
        value = getattr(policy, item.name)
        with pytest.raises(FrozenInstanceError):
            setattr(policy, item.name, value)
        if isinstance(value, np.ndarray):
            with pytest.raises(ValueError, match="read-only"):
                value[0] = 1
            assert value.dtype == (np.int64 if item.name == "observation_indices" else np.float32)
    assert policy.policy_id == identity


def test_policy_id_changes_with_everything(make_policy):
    policy = make_policy()
    assert make_policy().policy_id == policy.policy_id
    assert len(policy.policy_id) == 16
    changes = {
        "task": "push-v3",
        "seed": 8,
        "layout": PolicyLayout((21, 16, 16, 4), "relu"),
        "contract_digest": "c" * 64,
        "model_digest": "c" * 64,
        "latent_digest": "c" * 64,
        "observation_indices": policy.observation_indices[::-1],
    }
    for item in fields(Policy):
        if item.name not in changes:
            changes[item.name] = _with(getattr(policy, item.name), 0, 0.123)
    ids = [make_policy(**{name: value}).policy_id for name, value in changes.items()]
    assert len({policy.policy_id, *ids}) == len(ids) + 1


def test_policy_id_follows_the_bytes_that_the_message_specifies():
    """Computed here by hand from the comment in PolicyWeights.msg: another language can make the same id."""
    policy = Policy(
        layout=PolicyLayout((1, 1), "relu", "tanh"),
        weights=[0.5, -1.0],
        observation_indices=[3],
        observation_mean=[1.0],
        observation_std=[2.0],
        observation_minimum=[-1.0],
        observation_maximum=[4.0],
        action_offset=[0.0],
        action_scale=[0.8],
        contract_digest="a" * 64,
        model_digest="b" * 64,
        latent_digest="c" * 64,
        task="öffnen",
        seed=2**63,
    )

    def text(value: str) -> bytes:
        return struct.pack("<I", len(value.encode())) + value.encode()

    content = struct.pack("<I", 1) + text("öffnen") + struct.pack("<Q", 2**63)
    content += text("a" * 64) + text("b" * 64) + text("c" * 64)
    content += struct.pack("<3I", 2, 1, 1) + text("relu") + text("tanh") + struct.pack("<2I", 1, 3)
    for value in (1.0, 2.0, -1.0, 4.0, 0.0, 0.8):
        content += struct.pack("<If", 1, value)
    content += struct.pack("<I2f", 2, 0.5, -1.0)
    assert policy.policy_id == hashlib.sha256(content).hexdigest()[:16]


def test_policy_id_does_not_depend_on_how_the_sizes_are_typed(make_policy):
    layout = PolicyLayout(tuple(np.array([21, 16, 16, 4])))
    assert layout == PolicyLayout((21, 16, 16, 4))
    assert make_policy(layout=layout).policy_id == make_policy().policy_id


def test_require_contract_names_both_contracts(make_policy, contract):
    make_policy().require_contract(contract)
    with pytest.raises(PolicyError, match=f"found cccccccccccc, expected {contract.digest[:12]} of"):
        make_policy(contract_digest="c" * 64).require_contract(contract)
    with pytest.raises(PolicyError, match="reads place 21 and commands 4 scalars"):
        make_policy(indices=range(1, 22)).require_contract(contract)
    with pytest.raises(PolicyError, match="commands 3 scalars"):
        make_policy(layout=PolicyLayout((21, 3))).require_contract(contract)


@given(st.integers(0, 20), st.sampled_from([-1.0, 1.0]))
def test_the_training_range_has_a_margin(make_policy, place, side):
    policy = make_policy()  # range -1..1: slack 0.25 * 2 + 0.01
    observation = np.zeros(21)
    observation[place] = side * 1.509
    assert not policy.outside_training_range(observation).any()
    observation[place] = side * 1.511
    assert np.flatnonzero(policy.outside_training_range(observation)).tolist() == [place]


# The slot


def test_the_slot_holds_the_last_policy_that_passed_its_check(make_policy, contract):
    slot, policies = PolicySlot(contract), [make_policy(seed) for seed in range(3)]
    assert slot.newest is None
    for policy in policies:
        assert slot.check(policy) is policy
        assert slot.newest is not policy
        slot.replace(policy)
        assert slot.newest is policy
    slot.clear()
    assert slot.newest is None


def test_a_bad_offer_changes_nothing(make_policy, contract):
    slot, waiting = PolicySlot(contract), make_policy(2)
    slot.replace(slot.check(waiting))
    wide = Contract.from_dict(
        {
            "name": "wide",
            "period_s": 0.01,
            "history": 1,
            "observation": {"x": {"unit": "m", "limits": [0.0, 1e300]}},
            "command": {"v": {"unit": "m/s", "limits": [-1, 1], "slew_per_s": 1}},
        }
    )
    overflows = make_policy(
        layout=PolicyLayout((1, 1, 1, 1), "relu"),
        indices=[0],
        weights=[1e4, 0.0, 1e4, 0.0, 1e4, 0.0],
        observation_std=[1e-6],
        contract_digest=wide.digest,
    )
    with pytest.raises(PolicyError, match=r"expected .* of contract 'metaworld_sawyer'"):
        slot.replace(slot.check(overflows))
    assert slot.newest is waiting
    other = PolicySlot(wide)
    with pytest.raises(PolicyError, match="non-finite command for a finite observation"), np.errstate(over="ignore"):
        other.replace(other.check(overflows))
    assert other.newest is None
