"""Pins ways: what users write of them, how often each is demonstrated, what a layout does not allow, the column."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from rail_support import Cart, Rail

from lwd_ros.dataset import DatasetError, Demonstrations, TaskFile, write_dataset
from lwd_ros.environments.collect import CollectSettings, collect
from lwd_ros.environments.environment import SimulationError
from lwd_ros.environments.ways import ALL, WayDraw, frequencies_of, parsed, way_gone, ways_of

ROOM = 0.5


class PacedCart(Cart):
    """Goes at a pace; where the goal is near there is no room to go fast. The task `fall` has one way alone."""

    @property
    def ways(self):
        return ("slow", "medium", "fast", "ghost") if self.task == "go" else ()

    def open_ways(self):
        return ("slow", "medium", "fast", "ghost") if abs(self.goal - self.start) > ROOM else ("slow", "medium")

    def way(self):
        speeds = np.abs(self.executed[self.begun :])
        return ["slow", "medium", "fast"][int(np.searchsorted([0.3, 0.6], speeds.max()))] if len(speeds) else ""

    def reset(self, layout):
        self.begun = len(self.executed)
        return super().reset(layout)

    def way_expert(self, way):
        if way == "ghost":
            raise SimulationError("task 'go': nobody demonstrates the way 'ghost'")
        return _Pacer(self, {"slow": 0.2, "medium": 0.5, "fast": 0.9}[way])


class _Pacer:
    def __init__(self, cart, speed):
        self._cart, self._speed = cart, speed

    def command(self):
        return np.clip(4.0 * (self._cart.observe()[1:2] - self._cart.observe()[:1]), -self._speed, self._speed)


class PacedRail(Rail):
    def make(self, task, contract):
        return PacedCart(self, task, contract)


@pytest.fixture
def rail(tmp_path):
    (tmp_path / "rail").mkdir()
    return PacedRail(tmp_path / "rail")


def gathered(rail, folder, experts, frequencies=None, episodes=24, **more):
    names, shares = parsed(experts, frequencies)
    settings = CollectSettings(
        episodes=episodes, noise=(0.0, 0.0), steps_after_success=2, experts=names, frequencies=shares, **more
    )
    return collect(folder, ("go",), rail.spec.contract(), settings, 1, rail)


def test_what_a_user_writes():
    assert parsed("all") == (("all",), ())
    assert parsed("slow, fast", "3, 1") == (("slow", "fast"), (("", 3.0), ("", 1.0)))
    assert parsed("all", "slow=2.5") == (("all",), (("slow", 2.5),))


@pytest.mark.parametrize(
    ("experts", "frequencies", "sentence"),
    [
        (" , ", None, "--experts: found no name, expected names separated by commas, or 'all'"),
        ("slow,slow", None, "--experts: found 'slow' twice, expected every way once"),
        ("slow", "0", "--frequencies: found '0', expected a number above 0, or NAME=NUMBER"),
        ("slow", "", "--frequencies: found '', expected a number"),
        ("slow", "inf", "--frequencies: found 'inf', expected a number"),
        ("slow", "=3", "--frequencies: found '=3', expected a number"),
        ("slow", "slow=x", "--frequencies: found 'slow=x', expected a number"),
        ("all", "slow=1,2", "--frequencies: found 'slow=1,2', expected numbers alone, or NAME=NUMBER throughout"),
        ("all", "slow=1,slow=2", "--frequencies: found 'slow' twice"),
        ("slow,swift", None, "task 'go': found no way 'swift', expected one of slow, medium, fast, ghost"),
        ("medum", None, "; did you mean 'medium'?"),
        ("slow,fast", "1,2,3", "task 'go': --frequencies: found 3 numbers, expected 2, one for each way"),
        ("slow,fast", "medium=2", "task 'go': --frequencies: found 'medium', expected one of the ways of --experts"),
    ],
)
def test_what_does_not_fit_is_one_sentence(rail, experts, frequencies, sentence):
    cart = rail.make("go", rail.spec.contract())
    with pytest.raises(SimulationError) as caught:
        frequencies_of(cart, *parsed(experts, frequencies))
    assert sentence in str(caught.value) and len(str(caught.value).splitlines()) == 1


def test_a_task_with_one_way_has_none_to_choose(rail):
    contract = rail.spec.contract()
    with pytest.raises(SimulationError, match="task 'fall': found one way alone, expected several"):
        frequencies_of(rail.make("fall", contract), (ALL,))
    plain = Rail(rail.folder).make("go", contract)
    assert ways_of(plain) == () and way_gone(plain) == way_gone(rail.make("fall", contract)) == ""
    with pytest.raises(SimulationError, match="found capabilities expert, expected 'ways', which this needs"):
        frequencies_of(plain, (ALL,))


def test_shares_follow_the_order_or_the_names(rail):
    cart = rail.make("go", rail.spec.contract())
    assert frequencies_of(cart, ("slow", "fast"), (("", 3.0), ("", 1.0))) == {"slow": 0.75, "fast": 0.25}
    assert frequencies_of(cart, (ALL,), (("fast", 5.0),)) == {
        "slow": 0.125,
        "medium": 0.125,
        "fast": 0.625,
        "ghost": 0.125,
    }


def test_every_block_of_draws_has_each_way_as_often_as_it_should_in_no_order():
    ways = tuple("abcdefgh")
    draw = WayDraw(dict.fromkeys(ways, 1 / 8), np.random.default_rng(0))
    drawn = []
    for _ in range(80):
        drawn.append(draw.next(ways))
        draw.demonstrated(drawn[-1])
    blocks = [drawn[place : place + 8] for place in range(0, 80, 8)]
    assert all(set(block) == set(ways) for block in blocks) and len(set(map(tuple, blocks))) == 10


def test_where_a_layout_allows_less_the_rest_keep_their_proportions_and_the_others_are_not_made_up_for():
    draw, found = WayDraw({"a": 0.6, "b": 0.3, "c": 0.1}, np.random.default_rng(1)), {True: Counter(), False: Counter()}
    random = np.random.default_rng(2)
    for _ in range(3000):
        narrow = bool(random.random() < 0.5)
        each = draw.next(("b", "c", "z") if narrow else ("a", "b", "c"))
        draw.demonstrated(each)
        found[narrow][each] += 1
    wide, narrow = found[False], found[True]
    assert wide["a"] == pytest.approx(0.6 * wide.total(), abs=1) and wide["c"] == pytest.approx(
        0.1 * wide.total(), abs=1
    )
    assert narrow["b"] == pytest.approx(0.75 * narrow.total(), abs=1) and not narrow["a"]
    assert draw.next(("z",)) == ""


def test_a_way_whose_expert_failed_stays_due_and_counts_come_out_even():
    draw = WayDraw({"a": 0.5, "b": 0.25, "c": 0.25}, np.random.default_rng(0))
    random, counts, failed = np.random.default_rng(1), Counter(), 0
    while counts.total() < 400:
        each = draw.next(("a", "b", "c"))
        if each == "a" and random.random() < 0.7:
            failed += 1
            continue
        draw.demonstrated(each)
        counts[each] += 1
    assert failed > 300 and counts == {"a": 200, "b": 100, "c": 100}


def test_collected_ways_are_the_column_and_follow_what_layouts_allow(rail, tmp_path):
    meta = gathered(rail, tmp_path / "data", "slow,medium,fast", "slow=2", episodes=60)
    episodes = Demonstrations(tmp_path / "data").episodes["go"]
    assert meta["settings"]["experts"] == ["slow", "medium", "fast"] and meta["settings"]["frequencies"] == [
        ["slow", 2.0]
    ]
    room = [abs(each.observation[0, 1] - each.observation[0, 0]) > ROOM for each in episodes]
    wide = Counter(each.way for each, there in zip(episodes, room, strict=True) if there)
    narrow = Counter(each.way for each, there in zip(episodes, room, strict=True) if not there)
    assert meta["counts"]["go"]["ways"] == dict(sorted((wide + narrow).items()))
    for way, share in (("slow", 0.5), ("medium", 0.25), ("fast", 0.25)):
        assert wide[way] == pytest.approx(share * wide.total(), abs=1)
    assert narrow["slow"] == pytest.approx(narrow.total() * 2 / 3, abs=1) and not narrow["fast"]
    for each in episodes:
        fastest = np.abs(each.action).max()
        assert each.way != "slow" or fastest <= 0.2
    gathered(rail, tmp_path / "again", "slow,medium,fast", "slow=2", episodes=60)
    assert Demonstrations(tmp_path / "again").digest == Demonstrations(tmp_path / "data").digest


def test_settings_of_ways_are_not_mixed_and_a_run_goes_on(rail, tmp_path):
    gathered(rail, tmp_path / "data", "slow,medium")
    (tmp_path / "data" / "meta.json").unlink()
    assert gathered(rail, tmp_path / "data", "slow,medium")["counts"]["go"]["episodes"] == 24
    with pytest.raises(DatasetError, match=r"'experts' of go: found \['slow', 'medium'\], asked for \['slow'\]"):
        gathered(rail, tmp_path / "data", "slow")
    with pytest.raises(DatasetError, match=r"'frequencies' of go: found \[\], asked for \[\['', 2.0\], \['', 1.0\]\]"):
        gathered(rail, tmp_path / "data", "slow,medium", "2,1")
    with pytest.raises(DatasetError, match=r"'experts' of go: found \['slow', 'medium'\], asked for \[\]"):
        collect(tmp_path / "data", ("go",), rail.spec.contract(), CollectSettings(episodes=24, noise=(0, 0)), 1, rail)


def test_an_expert_that_strays_from_its_way_makes_no_demonstration(rail, tmp_path):
    """A cart that is nearly there is slow whoever drives: such layouts are left out, not called fast."""
    meta = gathered(rail, tmp_path / "data", "medium")
    assert {each.way for each in Demonstrations(tmp_path / "data").episodes["go"]} == {"medium"}
    assert meta["counts"]["go"]["failed"] > 0


def test_what_nobody_demonstrates_or_no_layout_allows_is_one_sentence(rail, tmp_path, monkeypatch):
    with pytest.raises(SimulationError, match="task 'go': nobody demonstrates the way 'ghost'"):
        gathered(rail, tmp_path / "ghost", "all")
    monkeypatch.setattr(PacedCart, "open_ways", lambda self: ("slow",))
    with pytest.raises(DatasetError, match="task 'go': 203 layouts of 203 allow none of the ways medium, fast"):
        gathered(rail, tmp_path / "closed", "medium,fast")
    assert not (tmp_path / "closed" / "go.parquet").exists()


def test_ways_are_told_apart_also_where_none_was_chosen(rail, tmp_path):
    """The environment's one expert, and one of a user's: their demonstrations say what way they went."""
    settings = CollectSettings(episodes=6, noise=(0.0, 0.0), steps_after_success=2)
    for name, given in (("own", None), ("given", "rail_support:towards")):
        collect(tmp_path / name, ("go",), rail.spec.contract(), settings, 1, rail, given)
        assert all(each.way for each in Demonstrations(tmp_path / name).episodes["go"])
    with pytest.raises(DatasetError, match="expert 'rail_support:towards': found beside the experts slow"):
        chosen = CollectSettings(episodes=2, experts=("slow",))
        collect(tmp_path / "x", ("go",), rail.spec.contract(), chosen, 1, rail, "rail_support:towards")


def test_without_ways_nothing_of_a_dataset_changes(rail, tmp_path):
    import pyarrow.parquet as pq

    settings = CollectSettings(episodes=3, noise=(0.0, 0.0), steps_after_success=2)
    meta = collect(tmp_path / "data", ("go",), rail.spec.contract(), settings, 1, Rail(rail.folder))
    file = TaskFile.of(tmp_path / "data", "go")
    assert "way" not in pq.read_schema(file.path).names
    assert not {"experts", "frequencies"} & {*file.settings(), *meta["settings"]} and "ways" not in meta["counts"]["go"]
    assert {each.way for each in file.read()} == {""}


def test_all_experts_of_a_task_with_one_way_are_its_one(rail, tmp_path, monkeypatch):
    """So tasks of which some have several ways are collected together."""
    monkeypatch.setattr(PacedCart, "ways", ())
    meta = gathered(rail, tmp_path / "data", "all", episodes=3)
    assert "ways" not in meta["counts"]["go"]
    assert {each.way for each in Demonstrations(tmp_path / "data").episodes["go"]} == {""}
    with pytest.raises(SimulationError, match="task 'go': found one way alone, expected several to choose among"):
        gathered(rail, tmp_path / "named", "slow")


def test_what_demonstrations_went_is_what_a_model_is_compared_with(rail, tmp_path):
    from lwd_ros.evaluation.way_runs import reference

    cart = rail.make("go", rail.spec.contract())
    assert reference(cart) == dict.fromkeys(cart.ways, 0.25)
    gathered(rail, tmp_path / "stated", "slow,medium,fast", "slow=2")
    data = Demonstrations(tmp_path / "stated")
    assert reference(cart, data) == {"slow": 0.5, "medium": 0.25, "fast": 0.25}  # also where layouts allowed less
    counted = [replace(each, way="fast" if number < 6 else "slow") for number, each in enumerate(data.episodes["go"])]
    write_dataset(tmp_path / "counted", rail.spec.contract(), {"go": counted}, {})
    assert reference(cart, Demonstrations(tmp_path / "counted")) == {"fast": 0.25, "slow": 0.75}


def test_what_cannot_be_compared_is_one_sentence(rail, tmp_path):
    from lwd_ros.evaluation.way_runs import reference

    contract = rail.spec.contract()
    cart = rail.make("go", contract)
    with pytest.raises(SimulationError, match="task 'fall': found one way alone, expected several to measure"):
        reference(rail.make("fall", contract))
    gathered(rail, tmp_path / "slow", "slow", episodes=3)
    data = Demonstrations(tmp_path / "slow")
    for name, task, way, sentence in (
        ("one", "go", "slow", "one: task 'go': found the way 'slow' alone, expected several"),
        ("none", "go", "", "none: task 'go': found 3 demonstrations without a way, expected one for each"),
        ("other", "stop", "slow", "other: task 'go': found no such, expected one of stop"),
    ):
        rows = [replace(each, way=way) for each in data.episodes["go"]]
        write_dataset(tmp_path / name, contract, {task: rows}, {})
        with pytest.raises(DatasetError, match=sentence):
            reference(cart, Demonstrations(tmp_path / name))
    strange = [replace(each, way=way) for each, way in zip(data.episodes["go"], ("slow", "over", "slow"), strict=True)]
    write_dataset(tmp_path / "strange", contract, {"go": strange}, {})
    with pytest.raises(SimulationError, match="task 'go': found no way 'over', expected one of slow, medium, fast"):
        reference(cart, Demonstrations(tmp_path / "strange"))
