"""Our checkpoint: one .safetensors file with the weights, and in its metadata spec, options and scores.

Weights are stored in the network's training form, so that training can go on from them.
"""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from edgesr.runtime.errors import CheckpointMismatch, InputError, MissingFile, OutputFailed
from edgesr.runtime.files import replaced
from edgesr.runtime.spec import ModelSpec
from edgesr.train.networks import Network, build_network

__all__ = ["begin_from", "brought", "load_checkpoint", "load_weights", "read_metadata", "save_checkpoint"]

FORMAT = "edgesr-checkpoint-1"


def save_checkpoint(path: Path, network: Network, scores: dict[str, float] | None = None, **notes: str) -> None:
    """Write network, spec and scores, whole or not at all.

    scores: such as {"Set5 PSNR": 31.02}; notes: free text entries, such as origin="published by the authors".
    """
    metadata = {
        **notes,
        "format": FORMAT,
        "spec": network.spec().to_json(),
        "options": json.dumps(network.options, sort_keys=True),
        "scores": json.dumps(scores or {}),
    }
    state = {key: tensor.detach().cpu().contiguous() for key, tensor in network.state_dict().items()}
    with replaced(path) as beside:
        try:
            save_file(state, beside, metadata)
        except SafetensorError as error:
            raise OutputFailed(f"{path} cannot be written: {error}") from error


def read_metadata(path: Path) -> dict[str, str]:
    """The metadata of a checkpoint; raises MissingFile, InputError where it is not one of ours."""
    return _read(path)[0]


def load_checkpoint(path: Path, scale: int | None = None) -> tuple[Network, dict[str, Any]]:
    """The network with its weights, in evaluation mode, and its scores.

    scale: one of those that the weights serve; None: the one it was saved at. Raises InputError for another.
    """
    metadata, state = _read(path)
    spec = ModelSpec.from_json(metadata["spec"])
    if scale is not None and scale not in spec.scales:
        known = ", ".join(f"x{other}" for other in spec.scales)
        raise InputError(f"{path} has no x{scale}: its weights serve {known}")
    network = build_network(spec.name, scale or spec.scale, json.loads(metadata["options"]))
    network.serves = spec.scales
    load_weights(network, state, str(path))
    return network.eval(), json.loads(metadata["scores"])


def brought(path: Path) -> Path:
    """A path as given or, where nothing lies there, what edgesr brings under it: weights/ecbsr_x4.safetensors."""
    ours = Path(str(files("edgesr.train"))) / path
    return ours if not path.exists() and ours.exists() else path


def begin_from(network: Network, path: Path) -> list[str]:
    """Fill the network with what fits of another checkpoint of its kind; return the names of what stays fresh.

    Weights of another size become the network's own where it knows how (`Network.adopted`). Raises CheckpointMismatch
    for another kind of network, and where nothing fits.
    """
    metadata, state = _read(path)
    theirs, ours = ModelSpec.from_json(metadata["spec"]), network.state_dict()
    if theirs.name != network.name:
        raise CheckpointMismatch(f"{path} holds {theirs.name}; expected weights of {network.name} to begin from")
    state = network.adopted(state)
    fitting = {key: tensor for key, tensor in state.items() if key in ours and ours[key].shape == tensor.shape}
    if not fitting:
        raise CheckpointMismatch(f"nothing in {path} fits {network.name} x{network.scale} {network.options or ''}")
    network.load_state_dict(ours | fitting)
    return [key for key in ours if key not in fitting]


def load_weights(network: Network, state: dict[str, Tensor], origin: str) -> None:
    """Fill the network; raises CheckpointMismatch that names missing, surplus and wrongly shaped keys."""
    wanted = network.state_dict()
    wrong = [f"missing {key}" for key in wanted if key not in state]
    wrong += [f"surplus {key}" for key in state if key not in wanted]
    wrong += [
        f"{key} is {tuple(state[key].shape)}, expected {tuple(tensor.shape)}"
        for key, tensor in wanted.items()
        if key in state and state[key].shape != tensor.shape
    ]
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise CheckpointMismatch(
            f"{origin} does not fit {network.name} x{network.scale} {network.options or ''}: {'; '.join(wrong[:3])}{more}"
        )
    network.load_state_dict(state)


def _read(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    if not path.is_file():
        raise MissingFile(f"{path} does not exist; expected a .safetensors checkpoint")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - no mapping
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"{path} cannot be read as .safetensors ({error}); published .pth files: edgesr-train import"
        ) from error
    found = metadata.get("format", "")
    if found != FORMAT and found.startswith(FORMAT.rstrip("1")):
        raise InputError(f"{path} is of a newer edgesr ({found}; this one reads {FORMAT}): pip install -U edgesr")
    if found != FORMAT:
        raise InputError(f"{path} was not written by edgesr-train: its metadata lack format={FORMAT}")
    return metadata, state
