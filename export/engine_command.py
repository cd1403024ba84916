"""`edgesr-export X -o X.engine`: the options of a build, its progress, what is told of it."""

import json
import shlex
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from edgesr.export.builder.job import BuildSettings
from edgesr.export.builder.plan import build_plan
from edgesr.export.engine import EngineExport, EngineOptions, build_engine, is_current
from edgesr.export.onnx_command import needs_onnx, quantised
from edgesr.export.references import references_for
from edgesr.runtime.card import Profile
from edgesr.runtime.command import Parser, size
from edgesr.runtime.errors import InputError
from edgesr.runtime.files import check_output
from edgesr.runtime.nvidia import load_tensorrt

__all__ = [
    "ENGINE_ONLY",
    "add_engine_options",
    "check_engine_options",
    "export_engine",
    "profiles_of",
]

MIB = 2**20
LEVELS = range(6)
ENGINE_ONLY = ("min", "opt", "max", "level", "workspace", "tactic_memory", "timing_cache", "sign")
"""Options that mean nothing for other outputs."""


def add_engine_options(make: Parser) -> None:
    group = make.add_argument_group(
        "engines", "for an output that ends in .engine; built on the machine that is to run it"
    )
    for name, what in (("min", "smallest"), ("opt", "the one it is tuned for"), ("max", "largest")):
        group.add_argument(
            f"--{name}",
            type=size,
            action="append",
            default=[],
            metavar="WxH",
            help=f"input size, {what}; give the three again for a further camera mode",
        )
    group.add_argument(
        "--level", type=int, metavar="0-5", help="0 builds fastest, 5 runs fastest (default: TensorRT's, 3)"
    )
    group.add_argument("--workspace", type=int, metavar="MIB", help="scratch memory that a layer may use")
    group.add_argument("--tactic-memory", type=int, metavar="MIB", help="memory that trying out a kernel may use")
    group.add_argument(
        "--timing-cache", metavar="FILE", help="where kernel timings are kept, or off (default: ~/.cache/edgesr)"
    )
    group.add_argument(
        "--sign", type=Path, metavar="KEY", help="private key that signs the card; see edgesr-export keygen"
    )


def profiles_of(options: Namespace) -> list[Profile]:
    """What --size or --min, --opt and --max ask for; empty where nothing is asked. Raises InputError."""
    if options.size and (options.min or options.opt or options.max):
        raise InputError("--size fixes the size, --min, --opt and --max leave it open: give one or the other")
    if options.size:
        return [Profile(options.size, options.size, options.size)]
    if not len(options.min) == len(options.opt) == len(options.max):
        raise InputError(
            f"--min was given {len(options.min)} times, --opt {len(options.opt)}, --max {len(options.max)}: they come in threes"
        )
    return [Profile(*three) for three in zip(options.min, options.opt, options.max, strict=True)]


def check_engine_options(options: Namespace, arguments: Sequence[str]) -> EngineOptions:
    """What needs no graph is checked before anything long begins: options, TensorRT, the driver. Raises what they raise."""
    profiles_of(options)
    if options.level is not None and options.level not in LEVELS:
        raise InputError(f"--level is {options.level}; expected 0 to {LEVELS[-1]}")
    for name in ("workspace", "tactic_memory"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise InputError(f"--{name.replace('_', '-')} is {value}; expected MiB, 1 or more")
    if not options.output.parent.is_dir():
        check_output(options.output, force=True)
    load_tensorrt()
    return EngineOptions(
        settings=BuildSettings(
            level=options.level,
            workspace_bytes=options.workspace and options.workspace * MIB,
            tactic_bytes=options.tactic_memory and options.tactic_memory * MIB,
        ),
        timing_cache=options.timing_cache or "",
        key=options.sign,
        command=shlex.join(["edgesr-export", *(argument for argument in arguments if argument != "--force")]),
        edgesr=version("edgesr"),
    )


def export_engine(source: Path, options: Namespace, engine: EngineOptions, scratch: Path) -> None:
    """source: an .onnx file: the user's, or one just exported from a checkpoint."""
    try:
        from edgesr.export.engine_graph import engine_graph
    except ImportError as error:
        raise needs_onnx(error) from error

    quiet = Console(stderr=True, quiet=options.json, soft_wrap=True)
    given, exact = (_int8(source, options, scratch), source) if options.calibrate else (source, None)
    graph = engine_graph(
        given, options.precision, profiles_of(options), load_tensorrt().__version__, frames=options.frames
    )
    if options.output.exists() and not options.force and is_current(options.output, graph, engine):
        _tell_current(options)
        return
    check_output(options.output, force=options.force)
    with quiet.status("computing the frames that the engine must equal"):
        references = references_for(given, graph.profiles, options.frames, exact=exact)
    with _progress(quiet) as tell:
        done = build_engine(graph, options.output, references, engine, tell=tell)
    _tell(done, options)


def _int8(source: Path, options: Namespace, scratch: Path) -> Path:
    """The INT8 file that the TensorRT at hand takes."""
    both = scratch / "int8.onnx", scratch / "int8.typed.onnx"
    quantised(source, *both, options)
    plan = build_plan("int8", load_tensorrt().__version__)
    return both[plan.graph == "int8-typed"]


@contextmanager
def _progress(console: Console) -> Iterator[Callable[[dict[str, Any]], None]]:
    """A bar for each phase that TensorRT tells of, and one with the time for those versions that tell nothing."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        phases: dict[str, TaskID] = {}
        progress.add_task("building the engine, every kernel is tried out", total=None)

        def tell(event: dict[str, Any]) -> None:
            name = event["phase"]
            if "steps" in event:
                phases[name] = progress.add_task(name, total=event["steps"])
            elif "done" in event and name in phases:
                progress.remove_task(phases.pop(name))
            elif "step" in event and name in phases:
                progress.update(phases[name], completed=event["step"] + 1)

        yield tell


def _tell_current(options: Namespace) -> None:
    if options.json:
        print(json.dumps({"path": str(options.output), "built": False}))
    else:
        print(f"{options.output} is up to date: same graph, settings, TensorRT and GPU (--force builds it again)")


def _tell(done: EngineExport, options: Namespace) -> None:
    card, proof = done.card, done.proof
    if options.json:
        print(json.dumps({"path": str(done.path), "built": True, "cache": done.built.cache, "card": card.to_dict()}))
        return
    for parity in done.parity:
        print(f"checked at {parity.width}x{parity.height} against ONNX Runtime: {parity.title}")
    print(f"{proof.share:.1%} of the convolutions' multiply-adds run in {proof.asked.upper()}")
    for name, why in proof.exempt.items():
        print(f"  exempt: {name}: {why}")
    for note in done.built.notes:
        print(f"note: {note}")
    sizes = "; ".join(profile.title for profile in card.profiles)
    print(
        f"wrote {done.path} and its card: {card.spec.title}, {card.precision.upper()}, {sizes}, TensorRT {card.tensorrt}, {card.gpu}; "
        f"built in {card.build_seconds:.0f} s (timing cache: {done.built.cache})"
    )
