"""What a network asks of a board: read from the table of known networks, or counted in an .onnx file."""

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from edgesr.benchmarks.roofline import Layer, Plan
from edgesr.runtime.backends import DEFAULT_MODELS
from edgesr.runtime.errors import ForeignModel, InputError, MissingDependency, MissingFile

__all__ = ["known_plans", "plan_of", "plan_of_file"]

TABLE = Path(__file__).with_name("networks.json")
USUAL_SCALE = 4


def plan_of(model: str, width: int, height: int, scale: int | None) -> Plan:
    """An .onnx file, `default` (`default:2`), or a network's name as `edgesr-export` takes it. scale: of a network; None: x4.

    Raises MissingFile, ForeignModel, MissingDependency, and InputError for an unknown name.
    """
    shipped = {"default": DEFAULT_MODELS[USUAL_SCALE], **{f"default:{s}": path for s, path in DEFAULT_MODELS.items()}}
    path = shipped.get(model, Path(model))
    if path.suffix.lower() == ".onnx":
        if scale is not None:
            raise InputError(f"{model} says its scale itself; leave --scale out")
        return plan_of_file(path, width, height)
    plans = known_plans()
    if plan := plans.get((model, scale or USUAL_SCALE)):
        return plan
    scales = sorted(known for name, known in plans if name == model)
    if scales:
        raise InputError(f"{model} is known at {', '.join(f'x{known}' for known in scales)}; choose one with --scale")
    names = list(dict.fromkeys(name for name, _ in plans))
    near = get_close_matches(model, names, 1)
    hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(names)}"
    raise InputError(f"{model!r} is neither an .onnx file nor a known network; {hint}")


@cache
def known_plans() -> Mapping[tuple[str, int], Plan]:
    """By name and scale, in the order of the table of networks."""
    data: dict[str, Any] = json.loads(TABLE.read_text("utf-8"))
    plans = (
        Plan(entry["name"], entry["scale"], tuple(Layer(*row) for row in entry["layers"]), entry["peak_elements"])
        for entry in data["networks"]
    )
    return {(plan.title, plan.scale): plan for plan in plans}


def plan_of_file(path: Path, width: int, height: int) -> Plan:
    """Of a file that edgesr-export wrote, at that size of input."""
    if not path.is_file():
        raise MissingFile(f"{path} does not exist; expected an .onnx file of edgesr-export, or a network's name")
    try:
        onnx = import_module("onnx")
    except ImportError as error:
        raise MissingDependency(f"counting the layers of {path} needs onnx ({error}): pip install onnx") from error
    try:
        model = onnx.load(str(path), load_external_data=False)
        graph = _with_shapes(onnx, model, width, height)
    except InputError:
        raise
    except Exception as error:  # protobuf's and onnx's exceptions share no public base
        raise ForeignModel(f"{path} cannot be read as ONNX: {str(error).strip().splitlines()[0]}") from error
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    try:
        spec = json.loads(metadata["edgesr.spec"])
        title, scale = f"{path.name} ({spec['name']})", int(spec["scale"])
        peak = float(metadata["edgesr.memory_bytes_per_pixel"]) / 4
    except (KeyError, ValueError, TypeError) as error:
        raise ForeignModel(f"{path} was not written by edgesr-export: its metadata lack {error}") from error
    layers = Counter(_layers(graph, width * height))
    if not layers:
        raise ForeignModel(f"{path} has no convolution whose size can be told; nothing can be estimated")
    return Plan(title, scale, tuple(Layer(count, *row) for row, count in layers.items()), peak)


def _with_shapes(onnx: Any, model: Any, width: int, height: int) -> Any:
    """The graph with open sizes filled in and every tensor's shape inferred."""
    (frame,) = model.graph.input
    dims = frame.type.tensor_type.shape.dim
    sides = dict(zip((1, 2) if dims[-1].dim_value == 3 else (2, 3), (height, width), strict=True))
    for place, side in sides.items():
        if dims[place].dim_value and dims[place].dim_value != side:
            fixed = " x ".join(str(dims[i].dim_value) for i in sides)
            raise InputError(f"the model was exported for {fixed} (height x width) only; plan for that --size")
        dims[place].dim_value = side
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    del model.graph.value_info[:]
    return onnx.shape_inference.infer_shapes(model, data_prop=True).graph


def _layers(graph: Any, pixels: int) -> Iterator[tuple[float, float, int]]:
    """Multiply-adds and elements a pixel, and weights, of each layer that multiplies."""
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        shapes[value.name] = tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
    constants = {tensor.name for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type not in ("Conv", "ConvTranspose", "Gemm", "MatMul") or len(node.input) < 2:
            continue
        given, weight, made = (shapes.get(name, ()) for name in (*node.input[:2], node.output[0]))
        if not (_is_known(given) and _is_known(weight) and _is_known(made)):
            continue
        places = given if node.op_type == "ConvTranspose" else made
        multiply_adds = _multiply_adds(node.op_type, given, weight, places)
        learnt = node.input[1] in constants or node.op_type.startswith("Conv")
        elements = math.prod(given) + math.prod(made) + (0 if learnt else math.prod(weight))
        yield round(multiply_adds / pixels, 3), round(elements / pixels, 3), math.prod(weight) if learnt else 0


def _multiply_adds(kind: str, given: Sequence[int], weight: Sequence[int], places: Sequence[int]) -> float:
    """Convolutions use every weight once for each place; a product sums over the inner side for each number it makes."""
    if kind.startswith("Conv"):
        return math.prod(weight) * math.prod(places[2:])
    return math.prod(places) * given[-1]


def _is_known(shape: Sequence[int]) -> bool:
    return bool(shape) and all(shape)
