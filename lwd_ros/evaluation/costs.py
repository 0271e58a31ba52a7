"""What a query of a diffusion model costs: seconds on this machine, and operations anywhere."""

import json
import os
import platform
import time
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx

from lwd_ros.evaluation.diffusion_policy.model_file import ActionGenerator
from lwd_ros.evaluation.methods import Method
from lwd_ros.evaluation.trials import make_actor
from lwd_ros.files import written_whole
from lwd_ros.generator import PolicyGenerator


def machine() -> dict:
    """The CPU's name and the number of its cores."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    model = next((line for line in lines if line.startswith("model name")), platform.processor())
    return {"cpu": model.partition(":")[2].strip() or platform.machine(), "cores": os.cpu_count()}


def query_seconds(kind: str, model: Path, horizon: int, repeats: int = 30) -> float:
    """Median s of one query, from observation to a policy or to commands, on one thread of onnxruntime.

    It is the thread's own time on the CPU: what else runs on the machine would count against the longer queries alone,
    because short ones fit between two turns of the scheduler.
    """
    actor = make_actor(kind, model, horizon)
    middle = np.array([0.5 * (scalar.minimum + scalar.maximum) for scalar in actor.contract.observation])
    task, times = actor.tasks[0], []
    for seed in range(1, repeats + 1):
        actor.begin(task, seed)
        actor.see(middle, 0.0, 0.0)
        start = time.thread_time()
        actor.query()
        times.append(time.thread_time() - start)
    return float(np.median(times))


class QueryTimes:
    """Seconds of queries on this machine, each measured once and kept in a folder.

    So all studies say the same, and one that goes on after a stop replays the same delays.
    """

    def __init__(self, folder: Path):
        self._path = folder / "query_seconds.json"
        self._known = json.loads(self._path.read_text(encoding="utf-8")) if self._path.exists() else {}

    def of(self, method: Method, horizon: int) -> float:
        """Median s of a query of the method's first model."""
        model, digest = method.models[horizon][0]
        key = f"{digest}, horizon {horizon}, {machine()['cpu']}, onnxruntime {version('onnxruntime')}"
        if key not in self._known:
            self._known[key] = query_seconds(method.kind, model, horizon)
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with written_whole(self._path) as temporary:
                temporary.write_text(json.dumps(self._known, indent=1), encoding="utf-8")
        return self._known[key]


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
