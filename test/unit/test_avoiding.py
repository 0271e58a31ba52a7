"""Pins the rod among six cylinders: its scenes, its ways and who goes them, what ends an episode, what it shows."""

import inspect
from dataclasses import replace

import numpy as np
import pytest
import yaml

from lwd_ros.environments import gl  # noqa: F401, before MuJoCo

pytest.importorskip("mujoco", reason="the simulators are not installed")

from lwd_ros.contract import Contract, ContractError
from lwd_ros.environments import registry
from lwd_ros.environments.actors import ExpertActor
from lwd_ros.environments.avoiding.demonstrators import SPEED, Demonstrator, line
from lwd_ros.environments.avoiding.geometry import CLEARANCE, GOAL_Y, ROD_RADIUS, TABLE, gaps, published, varied
from lwd_ros.environments.avoiding.ways import WAYS, open_ways, way
from lwd_ros.environments.disturbance import action_noise
from lwd_ros.environments.environment import CAPABILITIES, SimulationError
from lwd_ros.environments.episode import run_episode

SIMULATOR = registry.simulator("avoiding")
CONTRACT = SIMULATOR.spec.contract()


@pytest.fixture(scope="module")
def rods():
    """Both versions; every test resets what it uses."""
    return {task: SIMULATOR.make(task, CONTRACT) for task in SIMULATOR.spec.tasks}


def test_the_published_scene():
    scene = published()
    assert scene.start.tolist() == [0.525, -0.28] and GOAL_Y == 0.35
    rows = [[[0.5, -0.1]], [[0.425, 0.08], [0.575, 0.08]], [[0.35, 0.26], [0.5, 0.26], [0.65, 0.26]]]
    assert [centres.tolist() for centres, _ in scene.rows()] == rows
    assert scene.radii.tolist() == [0.03, 0.025, 0.025, 0.025, 0.025, 0.025]


def test_varied_scenes_differ_and_a_quarter_of_their_inner_gaps_is_clearly_closed():
    scenes = [varied(seed) for seed in range(400)]
    widths = [[(high - low) / 2 for low, high in row] for scene in scenes for row in gaps(scene)]
    inner = np.concatenate([row[1:-1] for row in widths])
    closed = inner < CLEARANCE
    assert np.concatenate([(row[0], row[-1]) for row in widths]).min() >= CLEARANCE  # there is always a way
    assert inner[closed].max() <= CLEARANCE / 2 and 0.2 < closed.mean() < 0.3
    assert {len(open_ways(scene)) for scene in scenes} == {8, 12, 16, 18, 24}
    for scene in scenes:
        assert [len(set(centres[:, 1])) for centres, _ in scene.rows()] == [1, 1, 1]
        assert all((np.diff(centres[:, 0]) > 0).all() for centres, _ in scene.rows())
    told = np.array([[*scene.start, *scene.centres.ravel(), *scene.radii] for scene in scenes])
    assert (told.std(axis=0) > 0.004).all() and np.array_equal(varied(7).centres, scenes[7].centres)


def test_a_gap_that_is_too_narrow_closes_its_ways():
    scene = published()
    wide = replace(scene, radii=np.array([0.03, 0.05, 0.05, 0.025, 0.025, 0.025]))
    assert open_ways(wide) == tuple(each for each in WAYS if "-M-" not in each)
    assert open_ways(wide, clearance=0.014) == WAYS and open_ways(scene, clearance=0.041) != WAYS


def path(*corners) -> np.ndarray:
    return np.array(corners, dtype=float)


@pytest.mark.parametrize(
    ("positions", "expected"),
    [
        (path((0.4, -0.3), (0.4, 0.0), (0.5, 0.1), (0.6, 0.3)), "L-M-3"),
        (path((0.6, -0.3), (0.6, 0.35)), "R-R-3"),
        (path((0.2, -0.3), (0.2, 0.35)), "L-L-1"),
        (path((0.8, -0.3), (0.8, 0.35)), "R-R-4"),
        (path((0.6, -0.3), (0.4, 0.35)), "R-M-2"),  # one long step, straight
        (path((0.6, -0.3), (0.6, 0.0), (0.4, -0.2), (0.4, 0.0), (0.5, 0.1), (0.6, 0.3)), "L-M-3"),  # it came back
        (path((0.6, -0.3), (0.6, 0.2)), ""),  # not yet
        (path((0.6, -0.3), (0.6, 0.3), (0.6, 0.2)), ""),  # not any more
        (path((0.6, -0.3)), ""),
    ],
)
def test_a_way_is_read_off_the_path(positions, expected):
    assert way(positions, published().centres) == expected


def test_every_line_is_smooth_goes_its_way_and_keeps_away_from_the_cylinders():
    assert len(WAYS) == len(set(WAYS)) == 24
    for scene in (published(), *(varied(seed) for seed in range(8))):
        for each in open_ways(scene):
            points = line(scene, each)
            assert way(points, scene.centres) == each
            assert np.allclose(points[0], scene.start, atol=1e-12) and points[-1, 1] > GOAL_Y + 0.1
            distance = np.linalg.norm(points[:, None] - scene.centres, axis=2) - scene.radii - ROD_RADIUS
            assert distance.min() > 0.012
            steps = np.diff(points, axis=0)
            turns = np.abs(np.diff(np.unwrap(np.arctan2(steps[:, 1], steps[:, 0]))))
            assert turns.max() / np.linalg.norm(steps, axis=1).mean() < 60.0  # rad/m


@pytest.mark.parametrize("task", ["fixed", "varied"])
def test_each_demonstrator_goes_its_way_also_under_the_most_noise_of_demonstrations(rods, task):
    rod = rods[task]
    for number, each in enumerate(WAYS):
        for noise in (0.0, 0.3):
            rod.reset(number)
            if each not in rod.open_ways():
                continue
            rng = np.random.default_rng(number)
            actor, noisy = ExpertActor(rod.way_expert(each)), action_noise(CONTRACT, noise, rng)
            outcome = run_episode(rod, actor, None, noise=noisy, extra_steps=15, record=True)
            assert outcome.success and not outcome.ended and rod.way() == each
            assert outcome.first_success_step < 0.8 * SIMULATOR.spec.episode_steps
            speeds = np.linalg.norm(outcome.record.outputs, axis=1)
            assert np.allclose(speeds, SPEED)  # clean, whatever is executed


def test_a_demonstrator_looks_at_the_rod_alone():
    """It has no memory: one asked along a path and one asked there for the first time command the same."""
    scene = varied(3)
    used = Demonstrator(scene, "L-R-2")
    places = np.random.default_rng(0).uniform((0.3, -0.3), (0.7, 0.4), (30, 2))
    commands = [used.velocity(place) for place in places]
    assert all(
        np.array_equal(Demonstrator(scene, "L-R-2").velocity(p), c) for p, c in zip(places, commands, strict=True)
    )


def test_an_episode_ends_where_the_rod_touches_a_cylinder(rods):
    rod = rods["varied"]
    rng = np.random.default_rng(0)
    for layout in range(40):
        rod.reset(layout)
        number, angle = rng.integers(6), rng.uniform(0.0, 2.0 * np.pi)
        for distance, touches in ((2e-4, False), (-2e-4, True)):
            reach = rod.scene.radii[number] + ROD_RADIUS + distance
            at = rod.scene.centres[number] + reach * np.array([np.cos(angle), np.sin(angle)])
            rooms = np.linalg.norm(rod.scene.centres - at, axis=1) - rod.scene.radii - ROD_RADIUS
            if (np.delete(rooms, number) < 1e-3).any():
                continue  # in a closed gap it touches the neighbour, too
            rod.push_hand(at - rod.position)
            assert not rod.step(np.zeros(2)) and rod.ended == touches
    rod.reset(0)
    rod.push_hand(rod.scene.centres[0] - rod.position)
    rod.step(np.zeros(2))
    rod.push_hand(np.array([0.5, 0.4]) - rod.position)
    assert rod.ended and not rod.step(np.zeros(2))  # what was touched cannot be made good
    rod.reset(0)
    assert not rod.ended


def test_an_episode_ends_where_the_rod_leaves_the_table(rods):
    rod = rods["fixed"]
    for command in ((-0.3, 0.0), (0.3, 0.0), (0.0, -0.3)):
        rod.reset(0)
        steps = 0
        while not rod.ended and steps < 200:
            assert not rod.step(np.array(command))
            steps += 1
        assert rod.ended and ((rod.position < TABLE[0]) | (rod.position > TABLE[1])).any()


def test_velocities_move_the_rod_and_the_goal_line_is_success(rods):
    rod = rods["fixed"]
    rod.reset(0)
    for _ in range(20):
        rod.step(np.array([0.1, 0.0]))
    assert rod.position == pytest.approx([0.525 + 0.1, -0.28], abs=2e-3)
    rod.push_hand(np.array([0.425, 0.34]) - rod.position)
    assert [rod.step(np.array([0.0, 0.1])) for _ in range(4)] == [False, False, True, True]
    rod.set_period(0.1)
    before = rod.position
    rod.step(np.array([0.0, 0.1]))
    assert rod.position - before == pytest.approx([0.0, 0.01], abs=1e-3)
    with pytest.raises(SimulationError, match="task 'fixed' has no object that could be pushed about"):
        rod.push_object(np.ones(2))


def test_the_first_observation_tells_the_whole_scene(rods):
    rod = rods["varied"]
    for layout in (5, 6, 5):
        seen = dict(zip(CONTRACT.observation_names, rod.reset(layout).tolist(), strict=True))
        scene = varied(layout)
        assert [seen.pop("rod_x"), seen.pop("rod_y")] == scene.start.tolist()
        told = np.array(list(seen.values())).reshape(6, 3)
        assert np.array_equal(told[:, :2], scene.centres) and np.array_equal(told[:, 2], scene.radii)
    rod.step(np.array([0.0, 0.2]))
    later = dict(zip(CONTRACT.observation_names, rod.observe().tolist(), strict=True))
    assert later["rod_y"] > scene.start[1] and np.array_equal([later[name] for name in seen], list(seen.values()))
    assert rod.measured_positions.sum() == 14
    fixed = rods["fixed"]
    assert np.array_equal(fixed.reset(5), fixed.reset(6))


def test_other_contracts_over_its_topics_work_and_others_are_refused(tmp_path):
    content = yaml.safe_load(SIMULATOR.spec.contract_file.read_text())
    names = [name for name in content["observation"] if name not in ("rod_x", "rod_y")]
    for name in names:
        del content["observation"][name]
    streams = content["binding"]["observation"]["streams"]
    del streams[1:]
    content["command"] = dict(reversed(content["command"].items()))
    blind = SIMULATOR.make("varied", Contract.from_dict(content))
    assert blind.reset(4).tolist() == varied(4).start.tolist()
    blind.step(np.array([0.2, 0.0]))  # y stands first
    assert blind.position[1] > varied(4).start[1] and blind.position[0] == pytest.approx(varied(4).start[0])
    assert blind.expert().command()[0] > 0
    with pytest.raises(SimulationError, match="the way 'R-M-3' is closed in layout 4, expected one of L-L-1, L-L-3"):
        blind.way_expert("R-M-3")
    streams[0]["topic"] = "hand/pose"
    with pytest.raises(
        ContractError, match=r"found topic 'hand/pose', expected what environment 'avoiding' sends: rod"
    ):
        SIMULATOR.make("fixed", Contract.from_dict(content))
    del content["binding"], content["command"]["rod_velocity_x"]
    with pytest.raises(ContractError, match="key 'command': found rod_velocity_y, expected rod_velocity_x, rod_velo"):
        SIMULATOR.make("fixed", Contract.from_dict(content))


def test_it_has_the_capabilities_that_it_says(rods):
    has = {name for name, kind in CAPABILITIES.items() if isinstance(rods["fixed"], kind)}
    assert has == {"expert", "ways", "disturb", "render", "messages"}
    said = inspect.getdoc(type(rods["fixed"])).split("capabilities ")[1]
    assert has == set(said.rstrip(".").replace(" and", ",").replace("\n", " ").split(", "))
    with pytest.raises(SimulationError, match="task 'fixed': nobody demonstrates the way 'L-L-9'"):
        rods["fixed"].way_expert("L-L-9")


def test_a_picture_shows_the_rod_the_goal_and_cylinders_as_wide_as_they_are(rods):
    from lwd_ros.environments.rendering import RenderError

    rod = rods["varied"]
    rod.reset(1)
    try:
        renderer = rod.renderer(240, 320)
    except RenderError as error:
        pytest.skip(str(error))
    first = renderer.draw(rod.state()).astype(int)
    red, green, blue = (first[..., place] for place in range(3))
    counts = [((red > 2 * green) & (red > 100)).sum(), ((green > 1.4 * red) & (green > 80)).sum()]
    assert counts[0] > 700 and counts[1] > 150 and ((blue > 2 * red) & (blue > 80)).sum() > 10
    state = rod.state()
    state[14:] *= 0.5
    thinner = renderer.draw(state).astype(int)
    renderer.close()
    assert ((thinner[..., 0] > 2 * thinner[..., 1]) & (thinner[..., 0] > 100)).sum() < 0.5 * counts[0]
