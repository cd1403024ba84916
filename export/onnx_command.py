"""`edgesr-export X -o X.onnx` and `X.pt2`: from a network, or from an .onnx file that needs no PyTorch any more."""

import json
from argparse import Namespace
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgesr.runtime.errors import InputError, MissingDependency
from edgesr.runtime.installed import pip_install

if TYPE_CHECKING:  # the first two need torch, the others onnx: imported when they are asked for
    from edgesr.export.onnx import OnnxExport
    from edgesr.export.precision import Fp16Export
    from edgesr.export.quantize import Int8Export
    from edgesr.train.networks import Network

__all__ = [
    "convert",
    "export",
    "export_program_file",
    "needs_onnx",
    "portable_file",
    "quantised",
    "typed_path",
    "warn_of_widths",
]


def export(options: Namespace) -> None:
    """From a checkpoint, or the name of a network."""
    network, trained = _network(options)
    from edgesr.export.onnx import export_onnx

    done = export_onnx(
        network,
        options.output,
        target=options.target or "portable",
        size=options.size,
        trained=trained,
        frames=options.frames,
        precision=options.precision or "fp32",
        cubic_as_conv=options.cubic_as_conv,
    )
    _tell(options, done, done.fp16)


def export_program_file(options: Namespace) -> None:
    """The rival that benchmarks run: the same frames in and out, in PyTorch."""
    if options.size is None:
        raise InputError("a PyTorch program has one size: add --size WxH")
    if options.target or options.cubic_as_conv or options.precision not in (None, "fp32", "fp16"):
        raise InputError("a .pt2 program is fp32 or fp16, and has no --target and no --cubic-as-conv")
    network, trained = _network(options)
    from edgesr.export.program import export_program

    done = export_program(
        network,
        options.output,
        size=options.size,
        precision=options.precision or "fp32",
        trained=trained,
        frames=options.frames,
    )
    if options.json:
        print(json.dumps({"path": str(done.path), "parity": [parity.plain() for parity in done.parity]}))
        return
    for parity in done.parity:
        print(f"checked at {parity.width}x{parity.height} against PyTorch in FP32: {parity.title}")
    print(f"wrote {done.path}: {done.spec.title}, a PyTorch program in {(options.precision or 'fp32').upper()}")


def portable_file(options: Namespace, folder: Path) -> Path:
    """The portable FP32 .onnx that everything else is made from: the user's, or one exported into `folder`."""
    given = Path(options.model)
    if given.suffix == ".onnx":
        if not options.cubic_as_conv:
            return given
        from edgesr.export.cubic import export_cubic_as_convolution

        path = folder / given.name
        export_cubic_as_convolution(given, path, frames=options.frames)
        return path
    network, trained = _network(options)
    from edgesr.export.onnx import export_onnx

    path = folder / f"{given.stem}.onnx"
    export_onnx(
        network,
        path,
        size=options.size,
        trained=trained,
        frames=options.frames,
        cubic_as_conv=options.cubic_as_conv,
    )
    return path


def convert(options: Namespace, source: Path) -> None:
    """An .onnx file into another precision, or with its bicubic skip as convolutions."""
    if options.output.exists() and source.exists() and options.output.samefile(source):
        raise InputError(f"{options.output} is the FP32 file itself; choose another name for the new one")
    try:
        from edgesr.export.cubic import export_cubic_as_convolution
        from edgesr.export.precision import export_fp16
    except ImportError as error:
        raise needs_onnx(error) from error
    if options.precision == "fp16":
        _tell(options, None, export_fp16(source, options.output, frames=options.frames))
    elif options.precision == "int8":
        int8 = quantised(source, options.output, typed_path(options.output), options)
        _tell_int8(options, int8)
    elif options.cubic_as_conv:
        export_cubic_as_convolution(source, options.output, frames=options.frames)
        print(json.dumps({"path": str(options.output)}) if options.json else f"wrote {options.output}")
    else:
        raise InputError(
            f"{source} is ONNX already; add --precision fp16 or int8, --cubic-as-conv, or --precision-report instead of -o"
        )


def quantised(source: Path, path: Path, typed: Path, options: Namespace) -> "Int8Export":
    """`export_int8` as the options ask for it. Raises what it raises, MissingDependency."""
    try:
        from edgesr.export.quantize import export_int8
    except ImportError as error:
        raise needs_onnx(error) from error
    budget = {} if options.int8_budget_db is None else {"budget_db": options.int8_budget_db}
    return export_int8(source, path, typed, calibrate=options.calibrate, keep=options.int8_keep, **budget)


def typed_path(path: Path) -> Path:
    """Where the second INT8 file goes, the one for TensorRT 10.12 and later."""
    return path.with_name(f"{path.stem}.typed{path.suffix}")


def needs_onnx(error: ImportError) -> MissingDependency:
    return MissingDependency(f"reading ONNX needs a missing package ({error}): {pip_install('engine')}")


def _network(options: Namespace) -> "tuple[Network, bool]":
    """The network, and whether its weights were trained."""
    try:
        import edgesr.export.onnx  # noqa: F401 - asked here, so that what is missing is told once
        from edgesr.train.networks import seeded_network
    except ImportError as error:
        raise MissingDependency(
            f"exporting from PyTorch needs a missing package ({error}): {pip_install('export')}"
        ) from error

    checkpoint = Path(options.model)
    if checkpoint.suffix == ".safetensors":
        from edgesr.train.checkpoint import load_checkpoint

        return load_checkpoint(checkpoint, options.scale)[0], True
    if checkpoint.suffix:
        raise InputError(f"{checkpoint} is no .safetensors checkpoint; published .pth files: edgesr-train import first")
    if not options.scale:
        raise InputError(f"{options.model} without checkpoint needs --scale, such as --scale 4")
    return seeded_network(options.model, options.scale), False


def _tell(options: Namespace, network: "OnnxExport | None", fp16: "Fp16Export | None") -> None:
    """network: an export from PyTorch; fp16: what became of it, or of an .onnx file. One of the two is there."""
    done = network or fp16
    assert done is not None
    if options.json:
        told: dict[str, Any] = {"path": str(done.path), "spec": asdict(done.spec)}
        told["precision"] = options.precision or "fp32"
        told["parity"] = [parity.plain() for parity in network.parity] if network else []
        if fp16:
            told["fp16_parity"] = [parity.plain() for parity in fp16.parity]
            told |= {"fp32_nodes": fp16.fp32_nodes, "awkward_widths": fp16.awkward_widths}
        print(json.dumps(told))
        return
    for parity in network.parity if network else []:
        print(f"checked at {parity.width}x{parity.height} against PyTorch: {parity.title}")
    if fp16:
        from edgesr.export.precision_report import counted

        for parity in fp16.parity:
            print(f"checked at {parity.width}x{parity.height}, FP16 against FP32: {parity.title}")
        print(counted(fp16.fp32_nodes))
        warn_of_widths(fp16.awkward_widths, 8)
    form = "FP16, portable" if fp16 else options.target or "portable"
    print(f"wrote {done.path}: {done.spec.title}, {done.spec.parameters:,} parameters, {form} form")


def _tell_int8(options: Namespace, done: "Int8Export") -> None:
    if options.json:
        print(json.dumps(asdict(done) | {"path": str(done.path), "typed": str(done.typed)}))
        return
    print(
        f"{done.images} images: FP32 {done.fp32_db:.3f} dB, INT8 {done.int8_db:.3f} dB, INT8 among FP16 {done.typed_db:.3f} dB: "
        f"it costs {done.cost_db:.3f} dB"
    )
    for name, why in done.float_layers.items():
        print(f"  in floating point: {name}: {why}")
    warn_of_widths(done.awkward_widths, 32)
    print(f"wrote {done.path} (TensorRT 8.6 to 10.11) and {done.typed} (10.12 and later): {done.spec.title}, INT8")


def warn_of_widths(awkward_widths: dict[str, str], multiple: int) -> None:
    if awkward_widths:
        layers = ", ".join(f"{name} ({widths})" for name, widths in awkward_widths.items())
        precision = "INT8" if multiple == 32 else "FP16"
        print(f"warning: {precision} tensor cores want channels in multiples of {multiple}: {layers}")
