"""Everything that a GPU machine needs to build and to compare, made where there is none."""

import json
import subprocess
import sys
from argparse import Namespace
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from edgesr.export.builder.graph import save_graph
from edgesr.export.builder.plan import Precision, build_plan
from edgesr.export.engine_graph import engine_graph
from edgesr.export.quantize import export_int8
from edgesr.export.references import references_for
from edgesr.runtime.card import Profile
from edgesr.runtime.errors import InputError, RunError

SCALE = 4  # of networks with random weights


def prepare_all(options: Namespace) -> None:
    """One folder for each model: `<precision>.json` with its ONNX, `<precision>.npz` with frames, `fp16.pt2` for the rival."""
    names = [Path(model).stem for model in options.models]
    if len(set(names)) < len(names):
        raise InputError(f"two models have one name ({', '.join(names)}): rename one")
    options.output.mkdir(parents=True, exist_ok=True)
    for model, name in zip(options.models, names, strict=True):
        folder = options.output / name
        folder.mkdir(exist_ok=True)
        _prepare(model, folder, options)
    (options.output / "prepared.json").write_text(json.dumps({"edgesr": version("edgesr"), "models": names}) + "\n")


def _prepare(model: str, folder: Path, options: Namespace) -> None:
    profile = Profile(options.size, options.size, options.size)
    with TemporaryDirectory() as scratch:
        source = Path(model)
        if source.suffix != ".onnx":
            named = [model] if source.suffix else [model, "--scale", str(SCALE)]
            source = Path(scratch) / f"{folder.name}.onnx"
            _call(*named, "-o", str(source))
            size = "{}x{}".format(*options.size)
            program = str(folder / "fp16.pt2")
            _call(*named, "-o", program, "--size", size, "--precision", "fp16", "--force")
        precisions: list[Precision] = ["fp32", "fp16"]
        for precision in precisions:
            graph = engine_graph(source, precision, [profile], options.tensorrt, frames=options.frames)
            save_graph(graph, folder / f"{precision}.json")
            _save_references(source, profile, folder / f"{precision}.npz", options)
        if options.calibrate:
            both = Path(scratch) / "int8.onnx", Path(scratch) / "int8.typed.onnx"
            export_int8(source, *both, calibrate=options.calibrate, tell=print)
            chosen = both[build_plan("int8", options.tensorrt).graph == "int8-typed"]
            save_graph(engine_graph(chosen, "int8", [profile], options.tensorrt), folder / "int8.json")
            _save_references(chosen, profile, folder / "int8.npz", options, exact=source)
    print(f"prepared {folder}", flush=True)


def _save_references(source: Path, profile: Profile, path: Path, options: Namespace, exact: Path | None = None) -> None:
    references = references_for(source, [profile], options.frames, exact=exact)
    stacks = {"frame": [one.frame for one in references], "expected": [one.expected for one in references]}
    if exact:
        stacks["exact"] = [one.exact for one in references if one.exact is not None]
    np.savez_compressed(path, **{name: np.stack(pixels) for name, pixels in stacks.items()})


def _call(*arguments: str) -> None:
    if subprocess.run([sys.executable, "-m", "edgesr.export", *arguments], check=False).returncode:
        raise RunError(f"edgesr-export {' '.join(arguments)} failed; see above")
