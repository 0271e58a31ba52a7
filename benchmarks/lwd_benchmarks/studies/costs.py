"""What a query of a diffusion model costs: seconds on this machine, and operations anywhere."""

import json
import os
import platform
import time
from collections.abc import Sequence
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx

from lwd_benchmarks.methods.diffusion_policy.model_file import ActionGenerator
from lwd_benchmarks.studies.methods import Method
from lwd_benchmarks.studies.trials import make_actor
from lwd_ros.evaluation.actors import ModelActor
from lwd_ros.files import written_whole
from lwd_ros.generator import PolicyGenerator


def machine() -> dict:
    """The CPU's name and the number of its cores."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    model = next((line for line in lines if line.startswith("model name")), platform.processor())
    return {"cpu": model.partition(":")[2].strip() or platform.machine(), "cores": os.cpu_count()}


def query_seconds(actors: Sequence[ModelActor], rounds: int = 3, repeats: int = 10) -> list[float]:
    """Median s of one query of each actor, from observation to a policy or to commands, on one thread of onnxruntime.

    It is the thread's own time on the CPU, and the actors take turns, so that what else the machine does meets all of
    them. It still slows short queries more, by the caches: measure on a machine that does nothing else.
    """
    times: list[list[float]] = [[] for _ in actors]
    for seed in range(1, rounds + 1):
        for actor, mine in zip(actors, times, strict=True):
            middle = np.array([0.5 * (scalar.minimum + scalar.maximum) for scalar in actor.contract.observation])
            for _ in range(repeats):
                actor.begin(actor.tasks[0], seed)
                actor.see(middle, 0.0, 0.0)
                start = time.thread_time()
                actor.query()
                mine.append(time.thread_time() - start)
    return [float(np.median(mine)) for mine in times]


class QueryTimes:
    """Seconds of queries of the methods' models on this machine, each measured once and kept in a folder.

    So all studies say the same, and one that goes on after a stop replays the same delays.
    """

    def __init__(self, folder: Path, methods: Sequence[Method]):
        path = folder / "query_seconds.json"
        self._where = f"{machine()['cpu']}, onnxruntime {version('onnxruntime')}"
        self._known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        every = {self._key(method, horizon): (method, horizon) for method in methods for horizon in method.models}
        missing = {key: place for key, place in every.items() if key not in self._known}
        if missing:
            actors = [make_actor(m.kind, m.models[horizon][0][0], horizon) for m, horizon in missing.values()]
            self._known |= dict(zip(missing, query_seconds(actors), strict=True))
            folder.mkdir(parents=True, exist_ok=True)
            with written_whole(path) as temporary:
                temporary.write_text(json.dumps(self._known, indent=1), encoding="utf-8")

    def _key(self, method: Method, horizon: int) -> str:
        return f"{method.models[horizon][0][1]}, {self._where}"

    def of(self, method: Method, horizon: int) -> float:
        """Median s of a query of the method's first model; the horizon changes nothing of it."""
        return self._known[self._key(method, horizon)]


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
