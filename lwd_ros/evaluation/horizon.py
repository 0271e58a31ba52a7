"""The study of action horizons: success and cost against how rarely the diffusion model is queried."""

import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx

from lwd_ros.evaluation.comparison import Case, Rules, by_method, compare, described
from lwd_ros.evaluation.diffusion_policy.model_file import ActionGenerator
from lwd_ros.evaluation.methods import Method
from lwd_ros.evaluation.trials import make_actor
from lwd_ros.generator import PolicyGenerator


def study_horizon(methods: Sequence[Method], rules: Rules) -> dict:
    """Success, queries, time and operations of every method at every horizon that it has a model for.

    Raises:
        ModelError: a model file cannot be used, or the layouts were trained on.
    """
    compared = compare(methods, [Case()], rules)
    rows = []
    for found in compared:
        kind, (model, _) = found.method.kind, found.method.models[found.horizon][0]
        row = found.to_dict()
        query_ms = 1e3 * query_seconds(kind, model, found.horizon)
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
    return described("horizon", rules, by_method(methods, rows, compared))


def query_seconds(kind: str, model: Path, horizon: int, repeats: int = 30) -> float:
    """Median s of one query, from observation to a policy or to commands, on one thread of onnxruntime."""
    actor = make_actor(kind, model, horizon)
    middle = np.array([0.5 * (scalar.minimum + scalar.maximum) for scalar in actor.contract.observation])
    task, times = actor.tasks[0], []
    for seed in range(1, repeats + 1):
        actor.begin(task, seed)
        actor.see(middle, 0.0)
        start = time.perf_counter()
        actor.query()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def flops(kind: str, model: Path) -> dict[str, float]:
    """Floating-point operations, 2 per multiplication and addition: of a query, and of what runs at every step.

    Both are matrix products and convolutions alone.
    """
    if kind == "diffusion_policy":
        query, step = float(ActionGenerator(model).description.flops), 0.0
    elif kind == "nearest_demonstration":
        query, step = 0.0, 0.0
    else:
        sizes = PolicyGenerator(model).description.layout.layer_sizes
        query, step = float(_products(model)), float(sum(2 * a * b for a, b in pairwise(sizes)))
    return {"query": query, "policy_step": step}


def _products(model: Path) -> int:
    """Operations of the matrix products in a model file of LWD, a batch of one: each is with a matrix that it holds."""
    graph = onnx.load(str(model)).graph
    matrices = {tensor.name: 2 * int(np.prod(tensor.dims)) for tensor in graph.initializer if len(tensor.dims) == 2}
    products = [node for node in graph.node if node.op_type in ("MatMul", "Gemm")]
    return sum(matrices[node.input[1]] for node in products)
