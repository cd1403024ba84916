"""Our checkpoint: one .safetensors file with the weights, and in its metadata spec, options and scores.

Weights are stored in the network's training form, so that training can go on from them.
"""

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from edgesr.runtime.errors import CheckpointMismatch, InputError, MissingFile, OutputFailed
from edgesr.runtime.files import replaced
from edgesr.runtime.spec import ModelSpec
from edgesr.train.networks import Network, build_network

__all__ = ["load_checkpoint", "load_weights", "read_metadata", "save_checkpoint"]

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
    if metadata.get("format") != FORMAT:
        raise InputError(f"{path} was not written by edgesr-train: its metadata lack format={FORMAT}")
    return metadata, state
