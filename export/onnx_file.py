"""The .onnx files that edgesr-export wrote, read back to be converted. Needs no torch."""

from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from edgesr.runtime.errors import ForeignModel, MissingFile
from edgesr.runtime.spec import ModelSpec

__all__ = ["deployed_model", "fixed_size", "metadata", "portable_model"]


def metadata(model: onnx.ModelProto) -> dict[str, str]:
    return {entry.key: entry.value for entry in model.metadata_props}


def fixed_size(model: onnx.ModelProto) -> tuple[int, int] | None:
    """Width and height of the frame that a deployed graph takes; None where they are open."""
    _, height, width, _ = (dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim)
    return (width, height) if width and height else None


def portable_model(path: Path) -> tuple[onnx.ModelProto, ModelSpec]:
    """A deployed FP32 graph in portable form, and what it says of itself.

    Raises MissingFile, and ForeignModel for anything else than what edgesr-export writes with --target portable and
    --precision fp32.
    """
    model, spec = deployed_model(path)
    if (precision := metadata(model).get("edgesr.precision", "fp32")) != "fp32":
        raise ForeignModel(f"{path} has {precision} in its graph already; start from the FP32 file it was made from")
    return model, spec


def deployed_model(path: Path) -> tuple[onnx.ModelProto, ModelSpec]:
    """The same in any precision. Raises MissingFile, ForeignModel."""
    if not path.is_file():
        raise MissingFile(f"{path} does not exist; expected an .onnx file written by edgesr-export")
    try:
        model = onnx.load(path)
    except DecodeError as error:
        raise ForeignModel(f"{path} is no ONNX file, or a damaged one; export it again with edgesr-export") from error
    entries = metadata(model)
    if not {"edgesr.spec", "edgesr.form"} <= entries.keys():
        raise ForeignModel(f"{path} was not written by edgesr-export; export the network from its checkpoint")
    if (form := entries["edgesr.form"]) != "portable":
        raise ForeignModel(f"{path} has the {form} form; expected the portable one: export it with --target portable")
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ForeignModel(f"{path} is no valid graph any more ({reason}); export it again") from error
    return model, ModelSpec.from_json(entries["edgesr.spec"])
