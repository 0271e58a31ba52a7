"""Names in an exported graph that depend on nothing but the graph: the same run then gives the same file."""

from itertools import count

import onnx


def number(model: onnx.ModelProto) -> None:
    """Call every value and every node by its place, but the graph's inputs and outputs.

    PyTorch names what is inside a scripted module by what this process has scripted before.
    """
    graph = model.graph
    known = {item.name: item.name for item in (*graph.input, *graph.output)}
    inputs = {dim.dim_param for item in graph.input for dim in item.type.tensor_type.shape.dim}
    _rename(graph, known, inputs, count())


def _rename(graph: onnx.GraphProto, known: dict[str, str], sizes: set[str], places: count) -> None:
    """Rename what a graph has of its own; `known` has the names of what surrounds it.

    A size that has a name and is none of `sizes` becomes an unknown one.
    """

    def named(name: str) -> str:
        if name and name not in known:
            known[name] = f"value_{next(places)}"
        return known.get(name, name)

    del graph.value_info[:]  # shapes of values between nodes, which nobody needs
    graph.doc_string = ""
    for item in (*graph.initializer, *graph.input):
        item.name = named(item.name)
    for node in graph.node:
        node.name, node.doc_string = f"{node.op_type}_{next(places)}", ""
        node.input[:] = [named(name) for name in node.input]
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                _rename(attribute.g, dict(known), sizes, places)
        node.output[:] = [named(name) for name in node.output]
    for item in graph.output:
        item.name = named(item.name)
    for item in (*graph.input, *graph.output):
        for dim in item.type.tensor_type.shape.dim:
            if dim.dim_param not in sizes:
                dim.ClearField("dim_param")
