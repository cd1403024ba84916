"""How fast a recipe trains here: its loader, its step, the two in a plain PyTorch loop, and in Lightning's.

A round gives each of the four a turn of the same number of steps, so that a machine that slows down slows all of them; ratios are taken
within a round. Lightning's run is the host: between two of its steps the clock is stopped and the others have their turns. Its progress
bar and loggers are on, as in a run, though nobody sees them; validation and checkpoints are off.
"""

import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any

import lightning as L
import numpy as np
import rich
import torch
from lightning.pytorch.callbacks import Checkpoint, RichProgressBar

from edgesr.runtime.errors import InputError, RunError
from edgesr.runtime.images import write_image
from edgesr.runtime.sources.natural import natural_picture
from edgesr.train.fit import RecipeCLI, find_recipe, quiet_lightning, read_recipe
from edgesr.train.out_of_memory import is_out_of_memory
from edgesr.train.plain_step import PlainStep

__all__ = ["PARTS", "BenchResult", "BenchSettings", "Spread", "Turn", "bench_report", "measure", "processor_name"]

PARTS = ("loader", "step", "plain", "lightning")
OVERHEAD, OVERHEAD_MS, LOADER = 0.05, 1.0, 1.5
"""The goals: Lightning costs no more than 5 % or 1 ms a step; the loader gives 1.5 times what the step takes."""
SETTLING = 3
"""Steps of a turn before its clock starts, and as many more as the loader's processes hold ready."""
PREFETCHED = 2
"""Batches that a process of PyTorch's loader holds ready."""
MADE_IMAGES, MADE_SIDE = 16, 320
BUSY_LOAD = 0.5
"""From this many runnable tasks in the last minute on, something else counts as running."""
SCHEMA = 1
LIBRARIES = ("torch", "lightning", "numpy", "cv2", "av", "h5py")
"""Modules that may have had a hand in it."""
FORCED = (
    *("--trainer.devices=1", "--trainer.num_nodes=1", "--trainer.max_epochs=1", "--trainer.max_steps=1000000000"),
    *("--trainer.max_time=null", "--trainer.limit_val_batches=0", "--trainer.enable_model_summary=false"),
    *("--model.start=null", "--data.validate=null", "--data.test=null"),
)
"""One process and one epoch, as long as the rounds; what is looked at, and what the weights are, has no part in it."""


@dataclass(frozen=True)
class BenchSettings:
    """steps: of each part, shared out over `rounds`. synthetic: made images in the place of the recipe's."""

    recipe: str
    overrides: tuple[str, ...] = ()
    steps: int = 300
    rounds: int = 10
    synthetic: bool = False

    def __post_init__(self) -> None:
        if self.rounds < 1 or self.steps < self.rounds:
            raise InputError(
                f"{self.steps} steps in {self.rounds} rounds cannot be; expected a round or more, and a step or more in each"
            )

    @property
    def steps_a_round(self) -> int:
        return self.steps // self.rounds


@dataclass(frozen=True)
class Turn:
    """wall_s, cpu_s: of all its steps; the second of this process alone, without those of the loader."""

    part: str
    round: int
    steps: int
    wall_s: float
    cpu_s: float


@dataclass(frozen=True)
class Spread:
    """Of the values of all rounds: their median and quartiles."""

    median: float
    low: float
    high: float


@dataclass(frozen=True)
class BenchResult:
    """turns: those of round 0 are the warm-up. threads: PyTorch's. load: before the start, None where the system does not tell."""

    settings: BenchSettings
    network: str
    device: str
    precision: str
    batch_size: int
    workers: int
    threads: int
    cores: int
    load: float | None
    started: str
    turns: tuple[Turn, ...]

    def of(self, part: str) -> list[Turn]:
        return [turn for turn in self.turns if turn.part == part and turn.round]

    def samples_per_s(self, part: str) -> Spread:
        return _spread([turn.steps * self.batch_size / turn.wall_s for turn in self.of(part)])

    def step_ms(self, part: str) -> Spread:
        return _spread([1e3 * turn.wall_s / turn.steps for turn in self.of(part)])

    def cpu_ms(self, part: str) -> Spread:
        return _spread([1e3 * turn.cpu_s / turn.steps for turn in self.of(part)])

    def rate_ratio(self, part: str, to: str) -> Spread:
        """2: `part` does twice as many samples a second."""
        return _spread([b.wall_s / a.wall_s for a, b in zip(self.of(part), self.of(to), strict=True)])

    def overhead_ms(self) -> Spread:
        """What Lightning adds to a step of the plain loop."""
        pairs = zip(self.of("lightning"), self.of("plain"), strict=True)
        return _spread([1e3 * (ours.wall_s - plain.wall_s) / ours.steps for ours, plain in pairs])

    def overhead_cpu_ms(self) -> Spread:
        pairs = zip(self.of("lightning"), self.of("plain"), strict=True)
        return _spread([1e3 * (ours.cpu_s - plain.cpu_s) / ours.steps for ours, plain in pairs])

    @property
    def overhead(self) -> float:
        """As a part of the plain loop's time."""
        return 1 / self.rate_ratio("lightning", "plain").median - 1

    @property
    def loop_is_lean(self) -> bool:
        return self.overhead <= OVERHEAD or self.overhead_ms().median <= OVERHEAD_MS

    @property
    def loader_is_fast(self) -> bool:
        return self.rate_ratio("loader", "step").median >= LOADER

    @property
    def is_disturbed(self) -> bool:
        """Something else was running before the start."""
        return self.load is not None and self.load >= BUSY_LOAD

    def verdicts(self) -> list[str]:
        """Whether the two goals are met here and, where not, what to change."""
        added, of_cpu = self.overhead_ms(), self.overhead_cpu_ms().median
        ratio = self.rate_ratio("loader", "step").median
        loop = (
            f"Lightning adds {added.median:.2f} ms ({added.low:.2f} to {added.high:.2f}; CPU time {of_cpu:.2f}) to a step of the "
            f"plain loop, {self.overhead:+.1%}; goal: at most {OVERHEAD:.0%} or {OVERHEAD_MS:g} ms: "
        )
        loader = f"the loader gives {ratio:.1f} times what the step takes; goal: {LOADER:g} times: "
        return [
            loop + ("met" if self.loop_is_lean else self._leaner_loop()),
            loader + ("met" if self.loader_is_fast else f"missed; {self._faster_loader()}"),
        ]

    def _leaner_loop(self) -> str:
        least = 1 / self.rate_ratio("lightning", "plain").high - 1
        if least <= OVERHEAD or self.overhead_ms().low <= OVERHEAD_MS:
            return "the rounds differ too much to tell; measure on a quiet machine, or raise --steps"
        return "missed; give a step more to do (data.batch_size)"

    def _faster_loader(self) -> str:
        if self.workers < self.cores:
            return f"give it processes: --data.workers {min(self.cores, max(2, 2 * self.workers))}"
        return (
            "prepare the low resolution beforehand (edgesr-train prepare --degrade), or leave out steps that cost much"
        )


class Rounds(L.Callback):
    """Times Lightning's steps in turns, and lets the others have theirs in between. Round 0 warms up."""

    def __init__(
        self, steps: int, settling: int, others: Mapping[str, Callable[[], object]], tell: Callable[[int], None]
    ) -> None:
        self.steps, self.settling, self.others, self.tell = steps, settling, others, tell
        self.turns: list[Turn] = []
        self.round = self.done = 0
        self.began = 0.0, 0.0

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        self.done += 1
        if self.done == self.settling:
            self.began = _clocks()
        elif self.done == self.settling + self.steps:
            self._add("lightning", self.began)
            with _resting(trainer):
                self._turns_of_others()
            self.tell(self.round)
            self.round, self.done = self.round + 1, 0

    def _turns_of_others(self) -> None:
        parts = list(self.others)
        for part in parts if self.round % 2 else reversed(parts):
            once = self.others[part]
            for _ in range(self.settling):
                once()
            began = _clocks()
            for _ in range(self.steps):
                once()
            self._add(part, began)

    def _add(self, part: str, began: tuple[float, float]) -> None:
        wall, cpu = (end - start for end, start in zip(_clocks(), began, strict=True))
        self.turns.append(Turn(part, self.round, self.steps, wall, cpu))


def measure(settings: BenchSettings, *, tell: Callable[[int], None] = lambda done: None) -> BenchResult:
    """A warm-up round, then those asked for. `tell` is given the number of each that is done, outside all clocks.

    Raises what reading the recipe and its images raises, and InputError for a precision that it does not know.
    """
    load, started = _load(), datetime.now(timezone.utc).isoformat(timespec="seconds")
    with ExitStack() as stack:
        stack.enter_context(quiet_lightning())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edgesr-bench-")))
        cli = read_recipe(find_recipe(settings.recipe), folder, [*settings.overrides, *FORCED])
        trainer, data, plain = cli.trainer, cli.datamodule, PlainStep(cli)
        _open_images(cli, settings, folder)
        steps, settling = settings.steps_a_round, SETTLING + PREFETCHED * data.workers
        epoch = -(-(settings.rounds + 1) * (settling + steps) // plain.every) * plain.every

        data.trainer, data.samples_per_epoch = trainer, (2 * epoch + plain.every) * data.batch_size
        batches = iter(data.train_dataloader())  # of loader and plain loop
        fixed = plain.placed(next(batches))
        others: dict[str, Callable[[], object]] = {
            "loader": lambda: next(batches),
            "step": lambda: plain(fixed),
            "plain": lambda: plain(plain.placed(next(batches))),
        }
        stack.callback(others.clear)  # or the loader's processes would live as long as ours
        data.samples_per_epoch = epoch * data.batch_size  # of Lightning
        rounds = Rounds(steps, settling, others, tell)
        nowhere = stack.enter_context(Path(os.devnull).open("w"))
        stack.callback(rich.reconfigure)
        trainer.callbacks = [*_as_in_a_run(trainer.callbacks, nowhere), rounds]  # type: ignore[attr-defined]
        try:
            trainer.fit(cli.model, data)
        except SystemExit as error:  # Lightning's answer to Ctrl-C
            raise KeyboardInterrupt from error
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            raise RunError(
                f"out of memory with batch {data.batch_size}; bench holds network and optimiser twice: lower data.batch_size"
            ) from None
    return BenchResult(
        settings=settings,
        network=f"{cli.model.network.name} x{cli.model.network.scale}",
        device=torch.cuda.get_device_name() if plain.device.type == "cuda" else processor_name(),
        precision=str(trainer.precision),
        batch_size=data.batch_size,
        workers=data.workers,
        threads=torch.get_num_threads(),
        cores=_cores(),
        load=load,
        started=started,
        turns=tuple(rounds.turns),
    )


def bench_report(result: BenchResult) -> dict[str, Any]:
    """JSON-ready: every turn, what was computed from them, and what made them."""
    spreads = {"samples_per_s": result.samples_per_s, "step_ms": result.step_ms, "cpu_ms": result.cpu_ms}
    told = asdict(result)
    turns = told.pop("turns")
    return {
        "schema": SCHEMA,
        "edgesr": version("edgesr"),
        "python": platform.python_version(),
        "versions": {name: sys.modules[name].__version__ for name in LIBRARIES if name in sys.modules},
        "machine": platform.machine(),
        **told,
        "parts": {part: {name: asdict(of(part)) for name, of in spreads.items()} for part in PARTS},
        "ratio_to_plain": {part: asdict(result.rate_ratio(part, "plain")) for part in PARTS},
        "loader_to_step": asdict(result.rate_ratio("loader", "step")),
        "overhead_ms": asdict(result.overhead_ms()),
        "overhead_cpu_ms": asdict(result.overhead_cpu_ms()),
        "overhead": result.overhead,
        "loop_is_lean": result.loop_is_lean,
        "loader_is_fast": result.loader_is_fast,
        "turns": turns,
    }


def _open_images(cli: RecipeCLI, settings: BenchSettings, folder: Path) -> None:
    data = cli.datamodule
    if settings.synthetic:
        side = max(MADE_SIDE, 2 * max(data.high_patch, data.patch * max(data.scales)))
        (folder / "made").mkdir()
        for seed in range(MADE_IMAGES):
            write_image(folder / "made" / f"{seed}.png", natural_picture(side, side, seed))
        data.root, data.train, data.hold_out = folder, ["made"], 0
    try:
        data.setup("fit")
    except InputError as error:
        if settings.synthetic:
            raise
        raise type(error)(f"{error} (or measure with made images: --synthetic)") from error


def _as_in_a_run(callbacks: Sequence[L.Callback], nowhere: IO[str]) -> Iterator[L.Callback]:
    """Without checkpoints; the progress bar does all its work, as on a terminal, and is shown nowhere."""
    for callback in callbacks:
        if isinstance(callback, RichProgressBar):
            quiet = {"file": nowhere, "force_terminal": True}
            yield type(callback)(refresh_rate=int(callback.refresh_rate), console_kwargs=quiet)
        elif not isinstance(callback, Checkpoint):
            yield callback


@contextmanager
def _resting(trainer: L.Trainer) -> Iterator[None]:
    """Without the thread in which the progress bar draws itself."""
    bar = trainer.progress_bar_callback
    drawn = bar.progress if isinstance(bar, RichProgressBar) else None
    if drawn is not None:
        drawn.stop()
    yield
    if drawn is not None:
        drawn.start()


def _clocks() -> tuple[float, float]:
    """Seconds: wall, and of this process on all cores; whatever the GPU was given is done."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter(), time.process_time()


def _spread(values: Sequence[float]) -> Spread:
    low, median, high = (float(value) for value in np.percentile(values, (25, 50, 75)))
    return Spread(median, low, high)


def _load() -> float | None:
    try:
        return os.getloadavg()[0]
    except OSError:
        return None


def _cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())
