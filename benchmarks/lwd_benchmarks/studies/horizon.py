"""The study of action horizons: success and cost against how rarely the diffusion model is queried."""

from collections.abc import Sequence

from lwd_benchmarks.studies.comparison import Case, Rules, compare, described
from lwd_benchmarks.studies.costs import QueryTimes, flops
from lwd_benchmarks.studies.methods import Method


def study_horizon(methods: Sequence[Method], rules: Rules, earlier: dict | None = None) -> dict:
    """Success, queries, time and operations of every method at every horizon that it has a model for.

    Other methods of an `earlier` result stay as they are there.

    Raises:
        ModelError: a model file cannot be used, or the layouts were trained on.
        EarlierResultError: the earlier result was made otherwise.
    """
    compared = compare(methods, [Case()], rules)
    times = QueryTimes(rules.kept, methods)
    rows = []
    for found in compared:
        kind, (model, _) = found.method.kind, found.method.models[found.horizon][0]
        row = found.to_dict()
        query_ms = 1e3 * times.of(found.method, found.horizon)
        operations = flops(kind, model)
        per_success = row["queries_per_success"]
        queries_per_step = row["queries_per_episode"] / row["steps_per_episode"]
        operations["control_step"] = operations["policy_step"] + operations["query"] * queries_per_step
        rows.append(
            row
            | {
                "query_ms": query_ms,
                "diffusion_ms_per_episode": query_ms * row["queries_per_episode"],
                "diffusion_ms_per_success": None if per_success is None else query_ms * per_success,
                "flops": operations,
            }
        )
    return described("horizon", rules, compared, rows, earlier)
