"""How a model's time and memory grow with its input: a few sizes of one aspect, interleaved round by round.

Every size has a process of its own, all are held at the same time, and wait while another has its turn. Only the network
is timed, on frames of noise.
"""

import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import datetime
from math import gcd

import numpy as np

from edgesr.benchmarks.condition import ClockTrack, Condition, Watch, read_condition, why_invalid
from edgesr.benchmarks.contenders import NETWORK, digest_of, open_contender
from edgesr.benchmarks.machine import Machine, this_machine
from edgesr.benchmarks.nvml import open_nvml
from edgesr.benchmarks.rounds import Course, Tell, measure_rounds, warm_up
from edgesr.benchmarks.settings import RoundSettings
from edgesr.benchmarks.size_process import SizeProcess
from edgesr.benchmarks.statistics import Exponent, Summary, exponent_of_medians, summary
from edgesr.runtime.errors import InputError
from edgesr.runtime.spec import ModelSpec

__all__ = ["SizeResult", "SizesResult", "SizesSettings", "measure_sizes", "sizes_between"]

LEAST_SIZES = 3
"""Two give a line through any two points."""

USUAL_ROUNDS = 10  # the largest size takes a hundred times as long as the smallest

Size = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class SizesSettings(RoundSettings):
    """model: as for `edgesr-bench latency`. first, last: width and height, of one aspect. count: of sizes, both included."""

    model: str
    first: Size = (160, 90)
    last: Size = (1920, 1080)
    count: int = 6

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.count < LEAST_SIZES:
            raise InputError(f"count is {self.count}; expected at least {LEAST_SIZES} sizes")
        (width, height), (most_width, most_height) = self.first, self.last
        if min(width, height) < 1 or most_width <= width:
            raise InputError(
                f"from {width}x{height} to {most_width}x{most_height}: expected a smaller size, then a larger"
            )
        if width * most_height != height * most_width:
            raise InputError(
                f"{width}x{height} and {most_width}x{most_height} are not of one aspect; expected for instance "
                f"--from 160x90 --to 1920x1080"
            )

    @property
    def usual_rounds(self) -> int:
        return USUAL_ROUNDS


@dataclass(frozen=True, kw_only=True)
class SizeResult:
    """Sample r was taken in round r. start_mib, peak_mib: resident memory of the size's process, before the model was
    opened and at most; None where the system does not tell."""

    width: int
    height: int
    is_warm: bool
    warm_up_ns: tuple[int, ...]
    settling_ns: tuple[int, ...]
    samples_ns: tuple[int, ...]
    start_mib: float | None
    peak_mib: float | None

    @property
    def title(self) -> str:
        return f"{self.width}x{self.height}"

    @property
    def pixels(self) -> int:
        return self.width * self.height

    @property
    def summary(self) -> Summary:
        return summary(self.samples_ns)

    @property
    def model_mib(self) -> float | None:
        """What model and frame added to the process."""
        return None if self.peak_mib is None or self.start_mib is None else self.peak_mib - self.start_mib


@dataclass(frozen=True, kw_only=True)
class SizesResult:
    """sizes: from small to large. left_out: sizes that were refused, with the reason. before, after, clocks and invalid as
    in `LatencyResult`."""

    settings: SizesSettings
    machine: Machine
    started: str
    measured_s: float
    spec: ModelSpec
    sha256: str | None
    backend: dict[str, str | int]
    sizes: tuple[SizeResult, ...]
    left_out: dict[str, str]
    orders: tuple[tuple[int, ...], ...]
    notes: tuple[str, ...]
    before: Condition
    after: Condition
    clocks: tuple[ClockTrack, ...]
    invalid: str | None

    @property
    def exponent(self) -> Exponent:
        """Of the network's median time against the pixels of the input."""
        samples = [size.samples_ns for size in self.sizes]
        return exponent_of_medians([size.pixels for size in self.sizes], samples, seed=self.settings.seed)

    def step_exponent(self, place: int) -> float | None:
        """From the size before to that at `place`: where these differ, no one power describes the model."""
        if place == 0:
            return None
        small, large = self.sizes[place - 1], self.sizes[place]
        grown = large.summary.median_ms / small.summary.median_ms
        return float(np.log(grown) / np.log(large.pixels / small.pixels))

    @property
    def bytes_per_pixel(self) -> float | None:
        """By how much the peak memory grows for one more pixel of the input: the slope of a line through all sizes."""
        memory = [size.peak_mib for size in self.sizes if size.peak_mib is not None]
        if len(memory) < len(self.sizes):
            return None
        return float(np.polyfit([size.pixels for size in self.sizes], memory, 1)[0]) * 2**20


def sizes_between(first: Size, last: Size, count: int, multiple: int = 1) -> tuple[Size, ...]:
    """About `count` sizes from first to last, exactly of their aspect, each about the same factor larger than the one
    before; those between have sides that `multiple` divides."""
    sides = gcd(*first)
    wide, high = first[0] // sides, first[1] // sides
    step = next(k for k in range(1, multiple + 1) if not (wide * k % multiple or high * k % multiple))
    wanted = np.geomspace(sides, last[0] // wide, count)[1:-1]
    between = {round(factor / step) * step for factor in wanted}
    inside = sorted(factor for factor in between if sides < factor < last[0] // wide)
    return (first, *((wide * factor, high * factor) for factor in inside), last)


def measure_sizes(settings: SizesSettings, *, tell: Tell = lambda line: None) -> SizesResult:
    """Open every size, from small to large, warm up, measure. A size that the model refuses, or that memory does not hold
    beside the smaller ones, is left out.

    Raises what opening the model raises, and InputError where fewer than LEAST_SIZES are left.
    """
    machine = this_machine()
    is_board = bool(machine.facts["is_jetson"])
    nvml = None if is_board else open_nvml()
    before = read_condition(nvml=nvml)
    started = datetime.now().astimezone().isoformat(timespec="seconds")
    with closing(open_contender(settings.model, settings.threads)) as contender:
        spec, backend, on_gpu = contender.spec, contender.settings, contender.on_gpu
    sizes = sizes_between(settings.first, settings.last, settings.count, spec.size_multiple)
    with ExitStack() as stack:
        opened, left_out = _open_all(settings, sizes, stack, tell)
        courses = [Course(process.title, process.turn) for process in opened.values()]
        begin = time.perf_counter()
        notes = warm_up(courses, settings, tell)
        watch = Watch(nvml=nvml)
        rounds = measure_rounds(courses, settings, begin, tell, watch.look)
        measured_s = time.perf_counter() - begin
        clocks, after = watch.tracks(), read_condition(nvml=nvml)
    if on_gpu:
        notes.append("memory is that of the process; what the model holds on the GPU is not in it")
    return SizesResult(
        settings=settings,
        machine=machine,
        started=started,
        measured_s=measured_s,
        spec=spec,
        sha256=digest_of(settings.model),
        backend=backend,
        sizes=tuple(_result(*parts) for parts in zip(opened, opened.values(), courses, strict=True)),
        left_out=left_out,
        orders=rounds.orders,
        notes=tuple(notes),
        before=before,
        after=after,
        clocks=clocks,
        invalid=why_invalid(clocks, is_board=is_board, on_gpu=on_gpu),
    )


def _open_all(
    settings: SizesSettings, sizes: Sequence[Size], stack: ExitStack, tell: Tell
) -> tuple[dict[Size, SizeProcess], dict[str, str]]:
    """Those that run, and why the others do not."""
    opened: dict[Size, SizeProcess] = {}
    left_out: dict[str, str] = {}
    for width, height in sizes:
        tell(f"opening {width}x{height}")
        try:
            process = SizeProcess(settings.model, width, height, settings.threads)
        except InputError as error:
            left_out[f"{width}x{height}"] = str(error)
        else:
            opened[width, height] = stack.enter_context(process)
    if len(opened) < LEAST_SIZES:
        reason = next(iter(left_out.values()), "choose sizes further apart")
        raise InputError(f"{len(opened)} of {len(sizes)} sizes can be measured; expected {LEAST_SIZES}: {reason}")
    return opened, left_out


def _result(size: Size, process: SizeProcess, course: Course) -> SizeResult:
    return SizeResult(
        width=size[0],
        height=size[1],
        is_warm=course.is_warm,
        warm_up_ns=tuple(course.warm_up[NETWORK]),
        settling_ns=tuple(course.settling[NETWORK]),
        samples_ns=tuple(course.samples[NETWORK]),
        start_mib=process.start_mib,
        peak_mib=process.peak_mib,
    )
