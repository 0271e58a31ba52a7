"""A policy's step against its bare matrix products, and against onnxruntime: `lwd bench step --json F`."""

import gc
import time
from pathlib import Path

import click
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from lwd_benchmarks.controller.results import machine, write_result
from lwd_benchmarks.controller.robot import random_policy
from lwd_ros.contract import Contract
from lwd_ros.policy import Policy
from lwd_ros.resources import share_path

HIDDEN = ((8, 8), (16, 16), (32, 32), (64, 64), (128, 128), (300, 300))
_BATCH = 200  # calls between two looks at the clock


def bare_products(policy: Policy, bound: bool):
    """The policy's matrix products alone, on preallocated arrays: what no implementation in NumPy can do without.

    `bound` calls each array's own method, which skips NumPy's dispatch and is the fastest way there is.
    """
    sizes = policy.layout.layer_sizes
    matrices = [policy.weights[w].reshape(shape).astype(np.float64) for w, _, shape in policy.layout.slices()]
    vectors = [np.zeros(size) for size in sizes]
    plain = [(matrix, vectors[place], vectors[place + 1]) for place, matrix in enumerate(matrices)]
    calls = [(matrix.dot, vector, result) for matrix, vector, result in plain]

    def products(_observation) -> None:
        for matrix, vector, result in plain:
            np.dot(matrix, vector, out=result)

    def bound_products(_observation) -> None:
        for product, vector, result in calls:
            product(vector, result)

    return bound_products if bound else products


def onnx_session(policy: Policy):
    """The same network, normalisation folded in, as an onnxruntime session on one thread with bound memory."""
    nodes, constants, last = [], [], len(policy.layout.layer_sizes) - 2
    name = "observation"
    for place, (w, b, shape) in enumerate(policy.layout.slices()):
        constants += [
            numpy_helper.from_array(np.ascontiguousarray(policy.weights[w].reshape(shape)), f"w{place}"),
            numpy_helper.from_array(policy.weights[b].copy(), f"b{place}"),
        ]
        result = "command" if place == last else f"x{place}"
        nodes.append(helper.make_node("Gemm", [name, f"w{place}", f"b{place}"], [result], transB=1))
        if place < last:
            nodes.append(helper.make_node("Tanh", [result], [f"h{place}"]))
            name = f"h{place}"
    inputs, outputs = policy.layout.layer_sizes[0], policy.layout.layer_sizes[-1]
    graph = helper.make_graph(
        nodes,
        "policy",
        [helper.make_tensor_value_info("observation", TensorProto.FLOAT, [1, inputs])],
        [helper.make_tensor_value_info("command", TensorProto.FLOAT, [1, outputs])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    binding, single = session.io_binding(), np.zeros((1, inputs), np.float32)
    value = onnxruntime.OrtValue.ortvalue_from_numpy(single)
    binding.bind_ortvalue_input("observation", value)
    binding.bind_output("command")

    def step(observation) -> None:
        single[0] = observation
        value.update_inplace(single)
        session.run_with_iobinding(binding)

    return step


def microseconds(call, observation: np.ndarray) -> float:
    """Mean time of one call in a batch of them."""
    began = time.perf_counter()
    for _ in range(_BATCH):
        call(observation)
    return (time.perf_counter() - began) / _BATCH * 1e6


@click.command()
@click.option("--json", "path", type=click.Path(path_type=Path), help="write the result here")
@click.option("--rounds", default=100, show_default=True, help="rounds; each times all candidates once, in turn")
def main(path: Path | None, rounds: int) -> None:
    """One step of policies of growing size; every ratio is the median of the rounds' own ratios."""
    contract, runs = Contract.load(share_path("config", "metaworld.yaml")), []
    gc.disable()
    for hidden in HIDDEN:
        policy = random_policy(contract, 0, hidden)
        out = np.empty(len(contract.command))
        observation = np.random.default_rng(0).normal(size=len(contract.observation))
        candidates = {
            "products": bare_products(policy, bound=False),
            "bound_products": bare_products(policy, bound=True),
            "numpy": lambda vector, policy=policy, out=out: policy.forward(vector, out),
            "onnxruntime": onnx_session(policy),
        }
        for call in candidates.values():
            microseconds(call, observation)
        times = np.array([[microseconds(call, observation) for call in candidates.values()] for _ in range(rounds)])
        run: dict[str, float] = {"parameters": policy.parameters}
        for place, name in enumerate(candidates):
            run[f"{name}_us"] = round(float(np.median(times[:, place])), 2)
        products, bound, step, other = times.T
        run["ratio"] = round(float(np.median(step / products)), 3)
        run["ratio_to_bound_products"] = round(float(np.median(step / bound)), 3)
        run["onnxruntime_over_numpy"] = round(float(np.median(other / step)), 3)
        runs.append(run)
        click.echo(
            f"{run['parameters']:>7} parameters: a step {run['numpy_us']:.1f} us, {run['ratio']:.2f} of np.dot, "
            f"{run['ratio_to_bound_products']:.2f} of bound dot; onnxruntime {run['onnxruntime_us']:.1f} us"
        )
    write_result(path, {"benchmark": "step", **machine(), "runs": runs})


if __name__ == "__main__":
    main()
