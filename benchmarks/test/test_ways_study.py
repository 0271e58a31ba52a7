"""Pins `lwd study ways`: from nothing to a result, gone on with, and the page that is made of results."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from lwd_benchmarks import commands
from lwd_benchmarks.report import ways as page
from lwd_benchmarks.report.headlines import joined, nested
from lwd_benchmarks.report.page import render
from lwd_benchmarks.results import ResultError, checked, read
from lwd_benchmarks.ways import study as module
from lwd_benchmarks.ways.config import Ways, WaysError
from lwd_benchmarks.ways.results import WaysResult
from lwd_benchmarks.ways.study import WaysStudy

from lwd_ros.environments.layouts import REPORTING_LAYOUTS
from lwd_ros.generator import ModelError

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "benchmarks/config/study/ways.yaml"
TINY = {"autoencoder.steps": 20, "autoencoder.demonstrations": 6, "autoencoder.pairs": 8, "diffusion.steps": 10,
        "diffusion.batch": 8, "diffusion.sampling_steps": 3, "diffusion.width": 16}  # fmt: skip


@pytest.fixture(scope="module")
def content(tmp_path_factory) -> dict:
    """A study of two rows, on few validation layouts."""
    folder = tmp_path_factory.mktemp("ways")
    return {
        "state": str(folder / "state"),
        "first_layout": 100_000,
        "episodes": 3,
        "seeds": [0, 1],
        "reconstructed": 4,
        "policies": 1,
        "runs": 2,
        "sets": {
            "avoiding_fixed": {
                "title": "one scene",
                "environment": "avoiding",
                "tasks": ["fixed"],
                "demonstrations": {"folder": str(folder / "data"), "episodes": 6, "experts": "L-M-2,R-M-3",
                                   "frequencies": "1,2"},
                "train": "benchmarks/config/train/avoiding_fixed.yaml",
                "picture": {"x": "rod_x", "y": "rod_y", "paths": 2},
                "rows": ["lwd", "random_latent"],
                "changes": {"lwd": TINY},
            }
        },
        "rows": {
            "lwd": {"method": "lwd", "title": "LWD"},
            "random_latent": {"method": "random_latent", "title": "a demonstration's latent", "commitment": False},
        },
    }  # fmt: skip


@pytest.fixture(scope="module")
def result(content, tmp_path_factory) -> Path:
    """The file that the command writes."""
    folder = tmp_path_factory.mktemp("results")
    (folder / "ways.yaml").write_text(yaml.safe_dump(content))
    given = ["ways", "--study", str(folder / "ways.yaml"), "--results", str(folder), "--only", "avoiding_*"]
    done = CliRunner().invoke(commands.study, given, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert f"written to {folder / 'avoiding_fixed.json'}" in done.output
    return folder / "avoiding_fixed.json"


def test_a_study_goes_from_nothing_to_a_result(result):
    found = read(WaysResult, result)
    lwd, other = found.rows["lwd"], found.rows["random_latent"]
    assert found.data.ways == {"L-M-2": 2, "R-M-3": 4} and found.number_of_ways == {"fixed": 24}
    assert (lwd.seeds, lwd.pooled.episodes, lwd.pooled.layouts, lwd.policy_parameters) == (2, 6, 3, 354)
    assert lwd.lwd_minus is None and other.lwd_minus is not None and other.own_way is None
    assert lwd.own_way.demonstrations == 8 and lwd.own_way.own_way <= lwd.own_way.successes
    assert lwd.commitment is not None and other.commitment is None
    difference = (lwd.pooled.successes - other.pooled.successes) / 6
    assert other.lwd_minus.success == pytest.approx(difference)
    assert {name: len(paths) for name, paths in found.paths.paths.items()} == {"demonstrations": 2, "lwd": 2}
    start, goal = np.array(found.paths.paths["demonstrations"])[:, [0, -1]].transpose(1, 0, 2)
    assert start == pytest.approx(np.array([[0.525, -0.28]] * 2)) and (goal[:, 1] > 0.34).all()
    assert len(found.paths.circles) == 6


def test_what_was_made_is_not_made_again(result, content, monkeypatch, tmp_path):
    before = json.loads(result.read_text())

    def never(*_given, **_named):
        raise AssertionError("made again")

    for name in ("train", "judged", "own_way", "paths", "latent_baseline"):
        monkeypatch.setattr(module, name, never)
    WaysStudy(Ways.model_validate(content), tmp_path).run()
    assert json.loads((tmp_path / "avoiding_fixed.json").read_text()) == before
    # Of one row alone the result still has the others, that were made before.
    WaysStudy(Ways.model_validate(content), tmp_path).run(["avoiding_fixed/lwd"])
    assert json.loads((tmp_path / "avoiding_fixed.json").read_text()) == before
    with pytest.raises(AssertionError, match="made again"):  # other layouts are other episodes
        WaysStudy(Ways.model_validate({**content, "first_layout": 100_100}), tmp_path).run()


def test_what_is_not_meant_or_was_trained_on_is_one_sentence(content, tmp_path):
    with pytest.raises(WaysError, match="--only: found walking, expected SET or SET/ROW, of the sets avoiding_fixed"):
        WaysStudy(Ways.model_validate(content), tmp_path).run(["walking"])
    with pytest.raises(ModelError, match="belong to demonstrations"):
        WaysStudy(Ways.model_validate({**content, "first_layout": 5}), tmp_path).run()


def test_the_committed_file_reads_and_reports_on_layouts_of_its_own():
    study = Ways.load(FILE)
    assert study.first_layout in REPORTING_LAYOUTS and study.seeds == (0, 1, 2)
    for each in study.sets.values():
        assert (ROOT / each.train).is_file()
        assert not {"regression_hypernetwork", "mixture_mlp", "random_latent", "mixture_of_latents"} - set(each.rows)
    assert all((ROOT / row.config).is_file() for row in study.rows.values() if row.config)


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        (("rows", "lwd", "method"), "magic", "found method 'magic', expected one of lwd, "),
        (("rows", "lwd", "config"), "x.yaml", "found a config, expected one for Diffusion Policy alone"),
        (("rows", "lwd", "trained_as"), "nobody", "row 'lwd': found trained_as 'nobody', expected a row"),
        (("sets", "avoiding_fixed", "rows"), ["random_latent", "lwd"], "found 'random_latent' first, expected lwd"),
        (("sets", "avoiding_fixed", "rows"), ["lwd", "x"], "found row 'x', expected one of lwd, random_latent"),
        (("episodes",), 0, "key 'episodes': Input should be greater than 0"),
        (("speed",), 3, "key 'speed': Extra inputs are not permitted"),
    ],
)
def test_a_wrong_key_is_named(content, tmp_path, path, value, sentence):
    wrong = copy.deepcopy(content)
    *parents, last = path
    place = wrong
    for key in parents:
        place = place[key]
    place[last] = value
    (tmp_path / "w.yaml").write_text(yaml.safe_dump(wrong))
    with pytest.raises(WaysError) as error:
        Ways.load(tmp_path / "w.yaml")
    assert sentence in str(error.value) and "\n" not in str(error.value)


# The page


def _with(result: Path, name: str, **figures) -> dict:
    """A result whose second row is another, with these figures of the difference."""
    changed = json.loads(result.read_text())
    changed["rows"][name] = {**changed["rows"]["random_latent"], "title": f"the {name}"}
    changed["rows"][name]["lwd_minus"] = {"success": 0.1, "success_interval": [-0.1, 0.3], "success_p": 0.01,
                                          "js_excess": -0.1, "js_interval": [-0.2, 0.1]} | figures  # fmt: skip
    return changed


@pytest.mark.parametrize(
    ("figures", "kind", "ahead"),
    [
        ({}, "as_well", False),
        ({"success_interval": [0.01, 0.3]}, "success", False),
        ({"success_interval": [0.01, 0.3], "success_p": 0.125}, "as_well", False),  # four layouts, all one way
        ({"js_interval": [-0.3, -0.01]}, "ways", False),
        ({"success_interval": [0.01, 0.3], "js_excess": None, "js_interval": None}, "both", False),
        ({"success": -0.1, "success_interval": [-0.3, -0.01]}, "as_well", True),
        ({"js_excess": 0.1, "js_interval": [0.01, 0.3]}, "as_well", True),
    ],
)
def test_the_first_screen_says_who_does_as_well(result, tmp_path, figures, kind, ahead):
    (tmp_path / "x.json").write_text(json.dumps(_with(result, "peer", **figures)))
    found = page.load(tmp_path)
    row = found["avoiding_fixed"].rows["peer"]
    assert row in page.verdicts(found["avoiding_fixed"])[kind] and page.ahead(row) == ahead
    text = render("ways.md", nested(joined(page.figures(found))) | page.context(found))
    screen = text.partition("```bash")[0]
    lines = {
        "as_well": "**As good as LWD**",
        "success": "- Fewer successes:",
        "ways": "- Ways that are further",
        "both": "and ways",
    }
    line = "**Better than LWD**" if ahead else lines[kind]
    assert [line in each for each in screen.splitlines() if "the peer" in each] == [True]


def test_the_page_has_a_picture_and_headlines(result):
    found = page.load(result.parent)
    names = joined(page.figures(found))
    assert {"ways.avoiding_fixed.success", "ways.avoiding_fixed.own_way"} <= set(names)
    assert names["ways.avoiding_fixed.lwd.episodes"] == 6
    assert len(page.draw_paths(found).axes) == 2
    assert "![Paths of" in render("ways.md", nested(names) | page.context(found))


def test_a_result_that_contradicts_itself_is_refused(result):
    wrong = json.loads(result.read_text())
    wrong["rows"]["lwd"]["pooled"]["successes"] += 1
    with pytest.raises(ResultError, match="which the counts of ways contradict"):
        checked(WaysResult, wrong, "x.json")
    del wrong["rows"]["lwd"]
    with pytest.raises(ResultError, match="found no row 'lwd'"):
        checked(WaysResult, wrong, "x.json")
