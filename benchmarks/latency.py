"""Models against each other: interleaved round by round, on the same frames of the same clip.

A round gives every model one turn, in an order shuffled by the seed, so that a machine that slows down slows all of
them. Network time is `Backend.network_ns`. A whole frame is timed by the real loop, `edgesr.runtime.pipeline.run`:

    read from an H.264 file (decode, conversion to BGR) + infer (copy in, network, result) + hand-over to a sink
    that keeps nothing

Encoding or showing the result is not inside: it costs the same for every model of one scale, and the encoder's
threads would run on into the next model's turn. The decoder works ahead in threads of its own, as it does in edgesr-run.
"""

import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing, nullcontext
from datetime import datetime
from functools import partial
from pathlib import Path

import numpy as np

from edgesr.benchmarks.clip import RepeatedClip, make_clip
from edgesr.benchmarks.condition import Watch, read_condition, why_invalid
from edgesr.benchmarks.contenders import (
    NETWORK,
    WHOLE_FRAME,
    BackendContender,
    Contender,
    digest_of,
    labels_of,
    open_contender,
)
from edgesr.benchmarks.energy import LEAST_READINGS, Energy, energy_of, power_recorder
from edgesr.benchmarks.flicker import Flicker, measure_flicker
from edgesr.benchmarks.layer_profile import LayerProfile, measure_layers
from edgesr.benchmarks.machine import this_machine
from edgesr.benchmarks.nvml import open_nvml
from edgesr.benchmarks.outcome import LatencyResult, ModelResult
from edgesr.benchmarks.parity import Parity, measure_parities
from edgesr.benchmarks.quality import Quality, Refused, data_names, measure_quality
from edgesr.benchmarks.rounds import Course, Tell, measure_rounds, warm_up
from edgesr.benchmarks.settings import LEAST_ROUNDS, LatencySettings, WarmUp
from edgesr.benchmarks.statistics import summary
from edgesr.jetson.recorder import Recorder
from edgesr.runtime.errors import InputError
from edgesr.runtime.images import image_files
from edgesr.runtime.memory import check_fits

__all__ = ["WHOLE_FRAME_IS", "LatencyResult", "LatencySettings", "WarmUp", "measure_latency"]

WHOLE_FRAME_IS = (
    "read (H.264 decode, conversion to BGR) + infer (copy in, network, result) + hand-over to null:; "
    "encoding and display are not inside"
)


def measure_latency(
    settings: LatencySettings, *, tell: Tell = lambda line: None, recorder: Recorder | None = None
) -> LatencyResult:
    """Open, score, warm up, measure. `tell` is given a line on what is going on, outside all clocks. recorder: of power, not
    yet started; None: the machine's own, where it has rails.

    Raises what `open_backend` raises, InputError for a size that a model or H.264 cannot take, FrameTooLarge, and
    InputError before any timing where `needs_quality` finds none.
    """
    machine = this_machine()
    is_board = bool(machine.facts["is_jetson"])
    nvml = None if is_board else open_nvml()  # a board's GPU is in its sysfs
    before = read_condition(nvml=nvml)
    recorder = recorder or power_recorder()
    started = datetime.now().astimezone().isoformat(timespec="seconds")
    for folder in settings.data:
        image_files(Path(folder))
    with ExitStack() as stack:
        labels = labels_of(settings.models)
        contenders = [stack.enter_context(closing(open_contender(m, settings.threads))) for m in settings.models]
        for contender in contenders:
            _check_frame(contender, settings.width, settings.height)
        notes = _notes_on(labels, contenders)
        parities = measure_parities(settings, labels, contenders, notes, tell)
        quality = _quality(settings, labels, contenders, notes, tell)
        flickers = _flickers(settings, labels, contenders, tell)

        tell(f"making a clip of {settings.width}x{settings.height}")
        own = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edgesr-bench-")))
        path = make_clip(own, settings.width, settings.height)
        clips = [stack.enter_context(closing(RepeatedClip(path))) for _ in contenders]
        courses = [
            Course(label, partial(contender.turn, clip))
            for label, contender, clip in zip(labels, contenders, clips, strict=True)
        ]

        begin = time.perf_counter()
        notes += warm_up(courses, settings, tell)
        watch = Watch(nvml=nvml)
        with recorder or nullcontext():
            rounds = measure_rounds(courses, settings, begin, tell, watch.look)
        measured_s = time.perf_counter() - begin
        other_cores, clocks, after = watch.other_cores(), watch.tracks(), read_condition(nvml=nvml)
    on_gpu = any(contender.on_gpu for contender in contenders)
    if settings.budget_s is not None and measured_s > settings.budget_s and len(rounds.orders) == LEAST_ROUNDS:
        notes.append(
            f"the budget of {settings.budget_s:.0f} s did not hold {LEAST_ROUNDS} rounds, the least that is "
            f"measured; warm-up and rounds took {measured_s:.0f} s"
        )
    if rounds.interrupted:
        notes.append(
            f"stopped by Ctrl-C after {rounds.ends_s[-1]:.0f} of {settings.duration_s:.0f} s: what was measured until then"
        )
    energies = [_energy(course, recorder, notes) for course in courses]
    layers = _layers(settings, courses, notes, tell, interrupted=rounds.interrupted)
    return LatencyResult(
        settings=settings,
        machine=machine,
        started=started,
        measured_s=measured_s,
        whole_frame=WHOLE_FRAME_IS,
        models=tuple(
            _result(*parts)
            for parts in zip(courses, contenders, quality, energies, flickers, parities, layers, strict=True)
        ),
        orders=rounds.orders,
        notes=tuple(notes),
        before=before,
        after=after,
        clocks=clocks,
        other_cores=other_cores,
        invalid=why_invalid(clocks, is_board=is_board, on_gpu=on_gpu),
        round_ends_s=rounds.ends_s,
        interrupted=rounds.interrupted,
    )


def _check_frame(contender: Contender, width: int, height: int) -> None:
    """What a model has against the size is said before any work: by a first frame, outside all clocks."""
    bytes_in_and_out = 3 * width * height * (1 + contender.spec.scale**2)
    check_fits(bytes_in_and_out, f"{width}x{height} in and out of {contender.spec.title}")
    contender.check(np.zeros((height, width, 3), np.uint8))


def _notes_on(labels: Sequence[str], contenders: Sequence[Contender]) -> list[str]:
    notes = []
    named = list(zip(labels, contenders, strict=True))
    if len({contender.spec.scale for contender in contenders}) > 1:
        scales = ", ".join(f"{label} x{contender.spec.scale}" for label, contender in named)
        notes.append(f"scales differ ({scales}): the outputs are not of one size")
    if untrained := [label for label, contender in named if not contender.spec.trained]:
        notes.append(f"untrained (random weights, for timing only): {', '.join(untrained)}")
    if bare := [label for label, contender in named if not isinstance(contender, BackendContender)]:
        notes.append(f"bare float graph, no whole frame and no quality: {', '.join(bare)}")
    for label, contender in named:
        if fallen := contender.settings.get("nodes_on_cpu"):
            notes.append(f"{label}: ONNX Runtime ran some of its nodes on the CPU: {fallen}")
    return notes


def _quality(
    settings: LatencySettings, labels: Sequence[str], contenders: Sequence[Contender], notes: list[str], tell: Tell
) -> list[tuple[Quality, ...]]:
    """For each contender the scores that it has."""
    folders = [Path(folder) for folder in settings.data]
    found = []
    for label, contender in zip(labels, contenders, strict=True):
        scores: list[Quality] = []
        if isinstance(contender, BackendContender) and contender.spec.trained:
            for folder, name in zip(folders, data_names(folders), strict=True):
                tell(f"quality of {label} on {name}")
                try:
                    scores.append(measure_quality(contender.backend, folder, name))
                except Refused as error:
                    notes.append(f"no quality of {label}: {error}")
        found.append(tuple(scores))
    if settings.needs_quality and not any(found):
        raise InputError(
            "a plot needs quality, and no model here has it: all are untrained, bare, or refuse the images"
        )
    return found


def _flickers(
    settings: LatencySettings, labels: Sequence[str], contenders: Sequence[Contender], tell: Tell
) -> list[Flicker | None]:
    found: list[Flicker | None] = []
    for label, contender in zip(labels, contenders, strict=True):
        if settings.flicker and isinstance(contender, BackendContender) and contender.spec.trained:
            tell(f"flicker of {label}")
            found.append(measure_flicker(contender.backend, settings.width, settings.height))
        else:
            found.append(None)
    return found


def _energy(course: Course, recorder: Recorder | None, notes: list[str]) -> Energy | None:
    if recorder is None:
        return None
    frames = course.samples.get(WHOLE_FRAME, course.samples[NETWORK])
    found = energy_of(recorder.samples, course.turns, summary(frames).median_ms)
    if found is None:
        notes.append(f"no power of {course.label}: fewer than {LEAST_READINGS} readings in its turns; measure longer")
    return found


def _layers(
    settings: LatencySettings, courses: Sequence[Course], notes: list[str], tell: Tell, *, interrupted: bool
) -> list[LayerProfile | None]:
    """With the models of the rounds closed, so that no two are held at once. Ctrl-C ends as much as it does in the rounds."""
    if settings.profile is None:
        return [None] * len(courses)
    network_ms = [summary(course.samples[NETWORK]).median_ms for course in courses]
    try:
        if not interrupted:
            return measure_layers(settings, [course.label for course in courses], network_ms, notes, tell)
    except KeyboardInterrupt:
        if settings.duration_s is None:
            raise
    notes.append("no layers: stopped by Ctrl-C")
    return [None] * len(courses)


def _result(
    course: Course,
    contender: Contender,
    quality: tuple[Quality, ...],
    energy: Energy | None,
    flicker: Flicker | None,
    parity: Parity | None,
    layers: LayerProfile | None,
) -> ModelResult:
    return ModelResult(
        label=course.label,
        model=contender.model,
        sha256=digest_of(contender.model),
        spec=contender.spec,
        form=contender.form,
        settings=contender.settings,
        is_warm=course.is_warm,
        settle_frames=course.settle_frames,
        warm_up_ns=course.warm_up,
        settling_ns=course.settling,
        samples_ns=course.samples,
        quality=quality,
        energy=energy,
        flicker=flicker,
        parity=parity,
        layer_profile=layers,
    )
