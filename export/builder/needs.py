"""Will a build fit into memory? Estimated before TensorRT starts: on a board, the kernel kills what does not fit.

The constants are upper ends of what others' logs show; none has been measured by us on a board.
"""

import math
from dataclasses import dataclass
from pathlib import Path

from edgesr.export.builder.job import BuildSettings
from edgesr.runtime.errors import BuildTooLarge

__all__ = ["Needs", "build_needs", "check_build_fits", "default_workspace", "swap_free"]

MIB, GIB = 2**20, 2**30

# Python, the CUDA context and TensorRT's library of kernels. Its line "Init builder kernel library" says, in MiB:
# AGX Orin, 10.3: CPU +927, GPU +1096, which counts the first again (ultralytics/ultralytics issue 22271); x86-64, 8.5:
# CPU +351, GPU +446 with eagerly loaded kernels; 8.7: CPU +1450, GPU +266 (NVIDIA's sampleProgressMonitor); 10.13: CPU
# +2164, GPU +8.
BOARD_HOST_BYTES, BOARD_GPU_BYTES = 1200 * MIB, 250 * MIB
CARD_HOST_BYTES, CARD_GPU_BYTES = 2500 * MIB, 1000 * MIB

# NVIDIA, "How TensorRT works", build phase: at least two copies of the weights on the host, further ones where weights
# are combined. With the file, the serialised plan and the copy that is written: five. On the GPU: those that are timed,
# and the engine's.
HOST_COPIES, GPU_COPIES = 5, 2

PADDED = 2  # kernels' layouts round channels up, to 32 for INT8
WINDOW = 9  # scratch memory: a convolution's 3x3 windows laid out one by one, the most that a method asks for

MOST_WORKSPACE, LEAST_WORKSPACE = 4 * GIB, 64 * MIB
SWAP_FILE = "/edgesr.swap"


@dataclass(frozen=True)
class Needs:
    """Bytes at the build's worst moment; on a board both are taken from one memory."""

    host_bytes: int
    gpu_bytes: int


def build_needs(onnx_bytes: int, peak_activation_bytes: float, settings: BuildSettings, *, integrated: bool) -> Needs:
    """peak_activation_bytes: of live tensors in FP32, at the largest size. integrated: GPU and CPU share one memory."""
    host, gpu = (BOARD_HOST_BYTES, BOARD_GPU_BYTES) if integrated else (CARD_HOST_BYTES, CARD_GPU_BYTES)
    scratch = peak_activation_bytes * WINDOW
    if settings.workspace_bytes is not None:
        scratch = min(scratch, settings.workspace_bytes)
    trials = peak_activation_bytes * PADDED + scratch
    if settings.tactic_bytes is not None:
        trials = min(trials, settings.tactic_bytes)
    return Needs(
        host_bytes=host + HOST_COPIES * onnx_bytes, gpu_bytes=math.ceil(gpu + GPU_COPIES * onnx_bytes + trials)
    )


def check_build_fits(needs: Needs, *, free_host: int | None, free_swap: int, free_gpu: int, integrated: bool) -> None:
    """Raise BuildTooLarge, with what to do, where `needs` are not free. free_host: None where nobody can say."""
    if integrated:
        _check_board(needs, free_gpu if free_host is None else free_host, free_swap)
        return
    if needs.gpu_bytes > free_gpu:
        raise BuildTooLarge(
            f"the build needs about {_gib(needs.gpu_bytes)} of GPU memory, {_gib(free_gpu)} are free: close what "
            "else uses the GPU (see nvidia-smi), lower --workspace, or build for a smaller --size"
        )
    if free_host is not None and needs.host_bytes > free_host + free_swap:
        missing = needs.host_bytes - free_host - free_swap
        raise BuildTooLarge(
            f"the build needs about {_gib(needs.host_bytes)} of memory, {_gib(free_host)} and {_gib(free_swap)} of "
            f"swap are free: close other programs, or add swap: {_swap_commands(missing)}"
        )


def default_workspace(free_gpu: int) -> int:
    """A quarter of what is free, rounded down to a power of two, from 64 MiB to 4 GiB.

    TensorRT's own limit is the whole memory, which on a board is the system's; a round number makes two builds alike.
    """
    quarter = max(LEAST_WORKSPACE, min(MOST_WORKSPACE, free_gpu // 4))
    return 1 << (quarter.bit_length() - 1)


def swap_free(root: Path = Path("/")) -> int:
    """Bytes of swap that are free on a disk.

    Not counted: swap in compressed memory (zram), JetPack's default. It takes from the memory that is to be spared.
    """
    try:
        rows = [line.split() for line in (root / "proc/swaps").read_text().splitlines()[1:]]
        return sum((int(row[-3]) - int(row[-2])) * 1024 for row in rows if row and "zram" not in row[0])
    except (OSError, ValueError, IndexError):
        return 0


def _check_board(needs: Needs, free: int, free_swap: int) -> None:
    """What the GPU uses cannot be swapped out; the rest can."""
    whole = needs.host_bytes + needs.gpu_bytes
    missing = whole - free - min(free_swap, needs.host_bytes)
    if missing <= 0 and needs.gpu_bytes <= free:
        return
    swap = f"add swap ({_swap_commands(missing)}), " if needs.gpu_bytes <= free else ""
    raise BuildTooLarge(
        f"the build needs about {_gib(whole)} of the board's memory, {_gib(needs.gpu_bytes)} of it for the GPU, which "
        f"no swap can hold; {_gib(free)} and {_gib(free_swap)} of swap are free: end the desktop (sudo systemctl "
        f"isolate multi-user.target), {swap}lower --workspace, or build for a smaller --size"
    )


def _swap_commands(missing: int) -> str:
    """With a GiB to spare: the estimate may be short."""
    size = math.ceil(missing / GIB) + 1
    return (
        f"sudo fallocate -l {size}G {SWAP_FILE} && sudo chmod 600 {SWAP_FILE} && sudo mkswap {SWAP_FILE} && "
        f"sudo swapon {SWAP_FILE}"
    )


def _gib(count: int) -> str:
    return f"{count / GIB:.1f} GiB"
