"""A run against an earlier one of the same models at the same size: what has become slower, and how sure that is."""

from collections.abc import Iterator
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table
from rich.text import Text

from edgesr.benchmarks.contenders import NETWORK, WHOLE_FRAME
from edgesr.benchmarks.outcome import LatencyResult, ModelResult
from edgesr.benchmarks.report import headline
from edgesr.benchmarks.statistics import CONFIDENCE, Ratio, change_of_medians
from edgesr.runtime.errors import InputError, RunError

__all__ = ["Change", "Difference", "Incomparable", "Regressed", "compare_runs", "difference_table"]


class Incomparable(InputError):
    """The two runs say nothing about each other."""


class Regressed(RunError):
    """Something has become slower, or worse, than is allowed."""


@dataclass(frozen=True)
class Change:
    """New over old: of the medians, or of their ratios to the first model."""

    label: str
    stage: str
    old_ms: float
    new_ms: float
    ratio: Ratio

    def is_regression(self, threshold: float) -> bool:
        """Slower by more than is allowed, and the interval holds no "unchanged"."""
        return self.ratio.value > threshold and self.ratio.low > 1


@dataclass(frozen=True)
class QualityChange:
    label: str
    data: str
    old_db: float
    new_db: float

    @property
    def lost_db(self) -> float:
        return 0.0 if self.new_db == self.old_db else self.old_db - self.new_db  # both may be infinite


@dataclass(frozen=True, kw_only=True)
class Difference:
    """threshold: times the old time. db_threshold: dB that quality may lose. relative: to each run's first model."""

    old: LatencyResult
    new: LatencyResult
    threshold: float
    db_threshold: float
    relative: bool
    changes: tuple[Change, ...]
    quality: tuple[QualityChange, ...]
    notes: tuple[str, ...]

    def regressions(self) -> Iterator[str]:
        """A line for each."""
        for change in self.changes:
            if change.is_regression(self.threshold):
                ratio = change.ratio
                yield (
                    f"{change.label}: {change.stage} takes {ratio.value:.2f} times as long "
                    f"({ratio.low:.2f}–{ratio.high:.2f}; {self.threshold:g} is allowed)"
                )
        for score in self.quality:
            if score.lost_db > self.db_threshold:
                yield f"{score.label}: {score.lost_db:.2f} dB lost on {score.data} ({self.db_threshold:g} is allowed)"


def compare_runs(
    old: LatencyResult,
    new: LatencyResult,
    *,
    threshold: float = 1.05,
    db_threshold: float = 0.05,
    relative: bool = False,
) -> Difference:
    """Raises Incomparable where another size, other threads, another machine (unless `relative`), an invalid run, a model
    that is another or gone stands between them. A model that only the new run has is named in a note."""
    if not threshold >= 1:
        raise InputError(f"threshold is {threshold:g}; expected 1 or more: 1.05 allows 5 % more time")
    if not db_threshold >= 0:
        raise InputError(f"db-threshold is {db_threshold:g}; expected 0 or more")
    _check(old, new, relative)
    places = {model.label: place for place, model in enumerate(new.models)}
    changes: list[Change] = []
    quality: list[QualityChange] = []
    notes = []
    for place, before in enumerate(old.models):
        after = new.models[places[before.label]]
        if before.sha256 != after.sha256:
            notes.append(f"{before.label}: the file is another one than in the old run")
        if place or not relative:
            changes += _changes(old, new, before, after, relative)
        scores = {score.data: score.psnr_db for score in after.quality}
        if gone := [score.data for score in before.quality if score.data not in scores]:
            notes.append(f"{before.label}: the new run has no quality on {', '.join(gone)}")
        quality += [
            QualityChange(before.label, score.data, score.psnr_db, scores[score.data])
            for score in before.quality
            if score.data in scores
        ]
    if fresh := sorted(set(places) - {model.label for model in old.models}):
        notes.append(f"only in the new run, not compared: {', '.join(fresh)}")
    if relative:
        notes.append(
            f"times are compared as multiples of {old.models[0].label}'s in the same run; it is not judged itself"
        )
    return Difference(
        old=old,
        new=new,
        threshold=threshold,
        db_threshold=db_threshold,
        relative=relative,
        changes=tuple(changes),
        quality=tuple(quality),
        notes=tuple(notes),
    )


def _check(old: LatencyResult, new: LatencyResult, relative: bool) -> None:
    for name, run in (("old", old), ("new", new)):
        if run.invalid:
            raise Incomparable(f"the {name} run is invalid: {run.invalid}")
    sizes = [f"{run.settings.width}x{run.settings.height}" for run in (old, new)]
    if sizes[0] != sizes[1]:
        raise Incomparable(f"the old run is of {sizes[0]}, the new one of {sizes[1]}; measure both at one size")
    if old.settings.threads != new.settings.threads:
        threads = " and ".join(str(run.settings.threads or "all cores") for run in (old, new))
        raise Incomparable(f"the runs have different threads ({threads}); measure both with the same --threads")
    machines = [f"{run.machine.name}, {run.machine.cores} cores" for run in (old, new)]
    if machines[0] != machines[1] and not relative:
        raise Incomparable(
            f"the runs are of different machines ({machines[0]}; {machines[1]}): measure both on one, or compare what each "
            "model takes as a multiple of the first, with --relative"
        )
    found = {model.label: model for model in new.models}
    for model in old.models:
        if model.label not in found:
            raise Incomparable(f"the new run lacks {model.label}; it has {', '.join(found)}")
        if (model.spec, model.form) != (found[model.label].spec, found[model.label].form):
            raise Incomparable(
                f"{model.label} is another network, or another form of it, in the new run; compare like with like"
            )
        if set(model.samples_ns) != set(found[model.label].samples_ns):
            raise Incomparable(f"{model.label} was timed in other stages in the new run; compare like with like")
    if relative and old.models[0].label != new.models[0].label:
        raise Incomparable(
            f"the first models differ ({old.models[0].label}, {new.models[0].label}); --relative needs one yardstick"
        )
    if relative and len(old.models) == 1:
        raise Incomparable("the runs have one model each; --relative compares the others with the first")


def _changes(
    old: LatencyResult, new: LatencyResult, before: ModelResult, after: ModelResult, relative: bool
) -> Iterator[Change]:
    for stage in (NETWORK, WHOLE_FRAME):
        times = before.summary(stage), after.summary(stage)
        if times[0] is None or times[1] is None:
            continue
        bases = [run.models[0].samples_ns.get(stage) for run in (old, new)] if relative else [None, None]
        if relative and None in bases:  # a bare graph as yardstick has no whole frame
            continue
        ratio = change_of_medians(
            after.samples_ns[stage],
            before.samples_ns[stage],
            seed=new.settings.seed,
            new_base_ns=bases[1],
            old_base_ns=bases[0],
        )
        yield Change(before.label, stage, times[0].median_ms, times[1].median_ms, ratio)


def difference_table(found: Difference) -> Group:
    """For a terminal."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    table.add_column("model", overflow="fold")
    table.add_column("stage")
    for name in ("old, ms", "new, ms", f"new / old ({CONFIDENCE:.0%})", ""):
        table.add_column(Text(name), justify="right", no_wrap=True)
    for change in found.changes:
        r = change.ratio
        verdict = _verdict(change, found.threshold)
        cells = (f"{change.old_ms:.3g}", f"{change.new_ms:.3g}", f"{r.value:.3f} ({r.low:.3f}–{r.high:.3f})", verdict)
        style = "bold red" if change.is_regression(found.threshold) else ""
        table.add_row(Text(change.label), change.stage, *cells, style=style)
    lines = [
        f"{score.label} on {score.data}: {score.old_db:.2f} dB, now {score.new_db:.2f} dB ({-score.lost_db:+.2f})"
        for score in found.quality
    ]
    heads = [f"{name}: {line}" for name, run in (("old", found.old), ("new", found.new)) for line in headline(run)]
    return Group(Text("\n".join(heads), "dim"), "", table, Text("\n".join([*lines, *found.notes])))


def _verdict(change: Change, threshold: float) -> str:
    if change.is_regression(threshold):
        return "slower"
    if change.ratio.low <= 1 <= change.ratio.high:
        return "no change seen"
    return "slower, allowed" if change.ratio.value > 1 else "faster"
