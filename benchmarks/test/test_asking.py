"""Pins the study of asking again: what is judged is kept, and seeds are pooled."""

import pytest
from lwd_benchmarks.report.asking import context, figures, lines
from lwd_benchmarks.results import ResultError
from lwd_benchmarks.studies.asking import AskingError, AskingResult, run

from lwd_ros.evaluation.evaluate import write_json
from lwd_ros.resources import share_path

MODEL = share_path("models", "metaworld_mt10_hidden.onnx")


def row(name: str, seed: int, horizon: int | None, *successes: int) -> dict:
    tasks = {f"task {place}": count for place, count in enumerate(successes)}
    return {"name": name, "model_digest": f"{name}{seed}", "seed": seed, "horizon": horizon,
            "episodes_per_task": 20, "successes": tasks}  # fmt: skip


def result(*rows: dict) -> AskingResult:
    known = {"study": "asking", "lwd_ros": "0.1.0", "first_layout": 200_000, "episodes_per_task": 20}
    return AskingResult.model_validate({**known, "rows": list(rows)})


def test_seeds_are_pooled_and_layouts_counted_once():
    found = result(row("told", 0, 8, 20, 19), row("told", 1, 8, 20, 18), row("told", 0, None, 20, 20))
    every, once = lines(found)
    assert (every.horizon, every.seeds, every.pooled.successes, every.pooled.episodes) == (8, 2, 77, 80)
    assert every.pooled.layouts == 40 and every.tasks == {"task 0": 40, "task 1": 37} and once.horizon is None
    assert dict(figures(found))["requery.hidden.success"] == 77 / 80
    assert context(found)["lines"] == [every, once]
    assert not dict(figures(result(row("shipped", 0, 8, 20, 19))))


def test_rows_that_are_there_are_not_made_again(tmp_path, monkeypatch):
    path = tmp_path / "asking.json"
    first = run({"shipped": [MODEL]}, (None,), 1, 100_000, 1, path)
    assert sum(first.rows[0].successes.values()) >= 8 and len(first.rows[0].successes) == 10

    def never(*_):
        raise AssertionError("judged again")

    monkeypatch.setattr("lwd_benchmarks.studies.asking.outcomes_by_task", never)
    assert run({"shipped": [MODEL]}, (None,), 1, 100_000, 1, path) == first
    with pytest.raises(AskingError, match="found a result of other layouts, expected 2 from 100000 on"):
        run({"shipped": [MODEL]}, (None,), 2, 100_000, 1, path)
    write_json({"study": "asking"}, path)
    with pytest.raises(ResultError):
        run({"shipped": [MODEL]}, (None,), 1, 100_000, 1, path)
