"""The same networks in PyTorch on this GPU, bytes in and bytes out as ours: what a user would run instead of an engine.

FP16 weights, channels last. Ways: eager, CUDA graph, torch.compile with max-autotune. A whole frame is what it is for
ours: the frame into pinned memory, upload, network, download, waiting for it.
"""

import json
import time
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from edgesr.export.program_file import load_program
from edgesr.runtime.errors import MissingFile, NoDevice

WARM_UP = 50


def time_rivals(options: Namespace) -> None:
    """Writes JSON with a row for every program; a way that failed has its error there."""
    programs = sorted(options.folder.glob("*/fp16.pt2"))
    if not programs:
        raise MissingFile(f"{options.folder} holds no */fp16.pt2; prepare from checkpoints or names of networks")
    if not torch.cuda.is_available():
        raise NoDevice("torch finds no GPU here; the rival is timed on one")
    rows = []
    for program in programs:
        print(program.parent.name, flush=True)
        rows.append({"model": program.parent.name, "precision": "fp16", "ways": _ways(program, options)})
        result = {"gpu": torch.cuda.get_device_name(), "torch": torch.__version__, "rival": rows}
        options.output.write_text(json.dumps(result) + "\n")


@torch.inference_mode()
def _ways(program: Path, options: Namespace) -> dict[str, Any]:
    loaded = load_program(program, "cuda")
    module, (width, height) = loaded.module.to(memory_format=torch.channels_last), loaded.card.size
    torch.backends.cudnn.benchmark = True
    with np.load(program.with_suffix(".npz")) as stored:
        frame = torch.from_numpy(stored["frame"][:1])
        expected = stored["expected"][0]
    assert frame.shape[1:3] == (height, width)
    on_gpu = frame.cuda()
    ways: dict[str, Callable[[], torch.Tensor]] = {"eager": lambda: module(on_gpu)}
    found: dict[str, Any] = {}
    try:
        ways["cuda graph"] = _captured(module, on_gpu)
    except RuntimeError as error:
        found["cuda graph"] = {"error": " ".join(str(error).split())[:300]}
    if not options.no_compile:
        compiled = torch.compile(module, mode="max-autotune")
        ways["compile"] = lambda: compiled(on_gpu)
    for name, call in ways.items():
        try:
            found[name] = _timed(call, frame, on_gpu, expected, options)
        except RuntimeError as error:  # one way's failure must not cost the others
            found[name] = {"error": " ".join(str(error).split())[:300]}
        print(f"  {name}: {found[name].get('median_ms', found[name].get('error'))}", flush=True)
    return found


def _captured(module: torch.nn.Module, on_gpu: torch.Tensor) -> Callable[[], torch.Tensor]:
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            module(on_gpu)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = module(on_gpu)

    def replay() -> torch.Tensor:
        graph.replay()
        return result

    return replay


def _timed(
    call: Callable[[], torch.Tensor],
    frame: torch.Tensor,
    on_gpu: torch.Tensor,
    expected: np.ndarray,
    options: Namespace,
) -> dict[str, Any]:
    pinned_in = torch.empty_like(frame, pin_memory=True)
    pinned_out = torch.empty((1, *expected.shape), dtype=torch.uint8, pin_memory=True)
    samples: dict[str, list[int]] = {"network": [], "whole frame": []}
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))

    def whole() -> int:
        begin = time.perf_counter_ns()
        pinned_in.copy_(frame)
        on_gpu.copy_(pinned_in, non_blocking=True)
        start.record()
        result = call()
        end.record()
        pinned_out.copy_(result, non_blocking=True)
        torch.cuda.synchronize()
        return time.perf_counter_ns() - begin

    for _ in range(WARM_UP):
        whole()
    difference = int(np.abs(pinned_out[0].numpy().astype(int) - expected).max())
    for _ in range(options.rounds * options.frames):
        samples["whole frame"].append(whole())
        samples["network"].append(round(start.elapsed_time(end) * 1e6))
    medians = {stage: median(values) / 1e6 for stage, values in samples.items()}
    return {"largest_difference": difference, "samples_ns": samples, "median_ms": medians}
