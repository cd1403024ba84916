"""A bare float graph → a deployed one: uint8 BGR frames in, uint8 BGR frames out. ONNX only, no torch.

Head: bytes to float, BGR to what the network sees, all in one 1x1 convolution.
Tail, where the network ends in a pixel shuffle: everything is finished at low resolution (0–255, BGR, and for a luma network
the bicubic chroma added), then shuffled. *portable* shuffles floats and casts last, as TensorRT demands;
*cpu* rounds to bytes first and shuffles those, a quarter of the traffic. Both round halves to even in the same
place, so they give the same bytes. Where the network ends otherwise, there is one form for both.
"""

from typing import Literal

import numpy as np
import onnx
from onnx import TensorProto, helper

from edgesr.export.onnx_graph import Graph
from edgesr.runtime.errors import InputError
from edgesr.runtime.quality import RULER
from edgesr.runtime.resize import bicubic_taps
from edgesr.runtime.spec import ModelSpec

__all__ = ["Form", "deployed_graph"]

Form = Literal["portable", "cpu"]

RGB_FROM_BGR = np.eye(3)[::-1]
Y_FROM_BGR = np.array([[RULER.blue, RULER.green, RULER.red]])
# BT.601, studio swing: BGR = LUMA_GAIN * (Y - 16) + BGR_FROM_CHROMA @ (Cb - 128, Cr - 128)
LUMA_GAIN = 255 / 219
KB, KR = 0.114, 0.299
KG = 1 - KB - KR
BGR_FROM_CHROMA = (255 / 224) * np.array(
    [[2 - 2 * KB, 0], [-(2 - 2 * KB) * KB / KG, -(2 - 2 * KR) * KR / KG], [0, 2 - 2 * KR]]
)
CHROMA_FROM_BGR = (224 / 255) * np.array(
    [[0.5, -KG / (2 - 2 * KB), -KR / (2 - 2 * KB)], [-KB / (2 - 2 * KR), -KG / (2 - 2 * KR), 0.5]]
)


def deployed_graph(bare: onnx.ModelProto, spec: ModelSpec, form: Form) -> onnx.ModelProto:
    """`frame` uint8 (1, H, W, 3) BGR -> `upscaled` uint8 (1, H*scale, W*scale, 3) BGR; see this file's head."""
    graph = Graph(bare, "frame_io")
    pixels = _head(graph, spec)
    last = graph.producer(graph.output)
    if last is not None and last.op_type == "DepthToSpace":
        _shuffled_tail(graph, spec, last, pixels, form)
    else:
        _plain_tail(graph, spec, pixels)
    graph.tail[-1].output[0] = "upscaled"
    _, _, height, width = graph.sizes
    low = [1, height or "height", width or "width", 3]
    high = [1, height * spec.scale or "high_height", width * spec.scale or "high_width", 3]
    return graph.finish(
        [helper.make_tensor_value_info("frame", TensorProto.UINT8, low)],
        [helper.make_tensor_value_info("upscaled", TensorProto.UINT8, high)],
    )


def _head(graph: Graph, spec: ModelSpec) -> str:
    """Feeds the network; returns the frame as float (1, 3, H, W) BGR in 0–255, which the chroma path reads too."""
    graph.into = graph.head
    pixels = graph.add("Transpose", graph.add("Cast", "frame", to=TensorProto.FLOAT), perm=[0, 3, 1, 2])
    matrix, offset = (Y_FROM_BGR, RULER.offset) if spec.colour == "luma" else (RGB_FROM_BGR, 0.0)
    seen = graph.conv(pixels, matrix[:, :, None, None] / 255, np.full(len(matrix), offset / 255))
    graph.feed(seen)
    graph.into = graph.tail
    return str(pixels)


def _shuffled_tail(graph: Graph, spec: ModelSpec, shuffle: onnx.NodeProto, pixels: str, form: Form) -> str:
    """The network's sub-pixels, (1, C*scale², H, W), finished and put in their places."""
    scale = spec.scale
    if onnx.helper.get_node_attr_value(shuffle, "blocksize") != scale:
        raise InputError(f"the graph shuffles by {shuffle.attribute[0].i}, not by the network's scale of {scale}")
    graph.nodes.remove(shuffle)
    graph.output = subpixels = shuffle.input[0]
    if spec.colour == "luma":
        out = _with_chroma(graph, spec, graph.mapped(subpixels, range(scale**2), 255 * LUMA_GAIN), pixels)
    else:  # PyTorch keeps (colour, row, column); bytes want (row, column, colour), in BGR
        order = [c * scale**2 + place for place in range(scale**2) for c in (2, 1, 0)]
        out = graph.mapped(subpixels, order, 255.0)
    return _bytes_by_rows(graph, out, scale) if form == "cpu" else _bytes_by_depth_to_space(graph, out, scale)


def _with_chroma(graph: Graph, spec: ModelSpec, luma: str, pixels: str) -> str:
    """luma, (1, scale², H, W), plus what bicubic chroma adds to B, G and R: (1, 3*scale², H, W), colour fastest.

    The two passes of the separable bicubic are two small convolutions that make `scale` sub-pixels each.
    """
    scale = spec.scale
    taps, radius = bicubic_taps(scale)
    padding = graph.constant([0, 0, radius, radius, 0, 0, radius, radius], np.int64)
    to_difference = (BGR_FROM_CHROMA @ CHROMA_FROM_BGR)[:, :, None, None]
    difference = graph.conv(graph.add("Pad", pixels, padding, mode="edge"), to_difference, np.zeros(3))
    rows = np.einsum("rk,oi->roik", taps, np.eye(3)).reshape(3 * scale, 3, -1, 1)
    columns = np.einsum("rk,oi->roik", taps, np.eye(3)).reshape(3 * scale, 3, 1, -1)
    tall = graph.conv(difference, rows, np.zeros(len(rows)))
    constant = np.full(3 * scale**2, -16 * LUMA_GAIN)
    chroma = graph.conv(tall, np.tile(columns, (scale, 1, 1, 1)), constant, group=scale)
    apart = graph.add("Reshape", chroma, _shape(graph, [1, scale**2, 3], pixels))
    both = graph.add("Add", apart, graph.add("Unsqueeze", luma, graph.constant([2], np.int64)))
    return str(graph.add("Reshape", both, _shape(graph, [1, 3 * scale**2], pixels)))


def _shape(graph: Graph, leading: list[int], pixels: str) -> str:
    """(*leading, H, W) as a constant where the size is fixed, else taken from `pixels` (1, 3, H, W).

    Not from the frame itself: TensorRT lets nothing but a Cast touch bytes.
    """
    if all(graph.sizes):
        return graph.constant([*leading, *graph.sizes[2:]], np.int64)
    start, end = graph.constant([2], np.int64), graph.constant([4], np.int64)
    height_width = graph.add("Slice", graph.add("Shape", pixels), start, end)
    return str(graph.add("Concat", graph.constant(leading, np.int64), height_width, axis=0))


def _bytes_by_depth_to_space(graph: Graph, subpixels: str, scale: int) -> str:
    high = graph.add("DepthToSpace", _saturated(graph, subpixels), blocksize=scale, mode="DCR")
    return str(graph.add("Cast", graph.add("Transpose", high, perm=[0, 2, 3, 1]), to=TensorProto.UINT8))


def _bytes_by_rows(graph: Graph, subpixels: str, scale: int) -> str:
    """Round and saturate in one node, then interleave: sub-pixel rows lie `scale` apart, whole rows are copied."""
    one, zero = graph.constant(1.0), graph.constant(0, np.uint8)
    quantised = graph.add("QuantizeLinear", subpixels, one, zero)
    rows = []
    for row in graph.add("Split", quantised, outputs=scale, axis=1):  # (1, 3*scale, H, W) each
        flat = graph.add("Flatten", graph.add("Transpose", row, perm=[0, 2, 3, 1]), axis=2)  # (H, W*scale*3)
        rows.append(graph.add("Unsqueeze", flat, graph.constant([0, 2], np.int64)))  # (1, H, 1, W*scale*3)
    woven = graph.add("Flatten", graph.add("Concat", *rows, axis=2), axis=3)  # (H*scale, W*scale*3)
    lines = graph.add("Unsqueeze", woven, graph.constant([0], np.int64))
    return str(graph.add("Reshape", lines, graph.constant([0, 0, -1, 3], np.int64)))


def _plain_tail(graph: Graph, spec: ModelSpec, pixels: str) -> str:
    """For networks whose last node is no shuffle: the same in either form."""
    high = graph.output
    if spec.colour == "rgb":
        out = graph.mapped(high, [2, 1, 0], 255.0)
    else:
        out = _joined_with_resized_chroma(graph, spec, graph.mapped(high, [0], 255 * LUMA_GAIN), pixels)
    saturated = _saturated(graph, out)
    return str(graph.add("Cast", graph.add("Transpose", saturated, perm=[0, 2, 3, 1]), to=TensorProto.UINT8))


def _joined_with_resized_chroma(graph: Graph, spec: ModelSpec, luma: str, pixels: str) -> str:
    """luma (1, 1, H*scale, W*scale) plus bicubic chroma, by ONNX's own Resize."""
    to_difference = (BGR_FROM_CHROMA @ CHROMA_FROM_BGR)[:, :, None, None]
    difference = graph.conv(pixels, to_difference, np.full(3, -16 * LUMA_GAIN))
    scales = graph.constant([1, 1, spec.scale, spec.scale])
    chroma = graph.add("Resize", difference, "", scales, mode="cubic", cubic_coeff_a=-0.5)
    return str(graph.add("Add", chroma, luma))


def _saturated(graph: Graph, values: str) -> str:
    return str(graph.add("Clip", graph.add("Round", values), graph.constant(0), graph.constant(255)))
