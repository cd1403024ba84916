"""A network in PyTorch → its bare float graph in ONNX."""

import io
import warnings

import onnx
import onnxslim
import torch

from edgesr.train.networks import Network, folded

__all__ = ["bare_graph"]

OPSET = 17  # what TensorRT 8.6, JetPack 6.0's, still reads


def bare_graph(network: Network, size: tuple[int, int] | None = None) -> onnx.ModelProto:
    """float32 `low` (1, C, H, W) in 0–1 -> float32 `high` (1, C, H*scale, W*scale), folded and simplified.

    size: width and height of the input; None leaves both open.
    """
    # Traced with open sizes, a network must not look at them; 24x20 keeps the two apart in the graph.
    width, height = size or (24, 20)
    width = -(-max(width, network.min_size) // network.size_multiple) * network.size_multiple
    height = -(-max(height, network.min_size) // network.size_multiple) * network.size_multiple
    example = torch.zeros(1, 3 if network.colour == "rgb" else 1, height, width)
    axes = None if size else {"low": {2: "height", 3: "width"}, "high": {2: "high_height", 3: "high_width"}}
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # The newer exporter (dynamo=True) silently stays at opset 18; this one is deprecated but right.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            folded(network),
            (example,),
            buffer,  # type: ignore[arg-type]  # the stub knows paths only
            dynamo=False,
            opset_version=OPSET,
            input_names=["low"],
            output_names=["high"],
            dynamic_axes=axes,
        )
    slim: onnx.ModelProto = onnxslim.slim(onnx.load_from_string(buffer.getvalue()))
    return slim
