"""What an evaluation tells a machine: every score, and everything that had a hand in it."""

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from platform import machine, python_version
from typing import TYPE_CHECKING, Any

from edgesr.runtime.backends import Backend
from edgesr.runtime.card import file_sha256
from edgesr.train.data.degradations import Chain
from edgesr.train.evaluate import Score, mean_score, scale_of, title_of

if TYPE_CHECKING:  # a board scores its engines without PyTorch
    from edgesr.train.networks import Network

__all__ = ["evaluation_report"]

SCHEMA = 1
LIBRARIES = {
    "numpy": "numpy",
    "torch": "torch",
    "onnxruntime": "onnxruntime",
    "tensorrt": "tensorrt",
    "cv2": "opencv",
    "av": "av",
    "PIL": "pillow",
    "pyrtools": "pyrtools",
}
"""Modules that may have had a hand in a score, and their names for people."""


def evaluation_report(
    model: "Network | Backend",
    file: str,
    data: Mapping[str, Sequence[Score]],
    *,
    protocol: str,
    grey_as_y: bool,
    ensemble: bool,
    degrade: Chain | None = None,
    seed: int = 1,
) -> dict[str, Any]:
    """JSON-ready: every score, and what made it. file: the model's, or `bicubic`; data: scores by folder."""
    if isinstance(model, Backend):
        settings: dict[str, Any] = dict(model.settings)
    else:
        settings = {"backend": "torch", "device": str(next(model.parameters()).device), "options": model.options}
    return {
        "schema": SCHEMA,
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "edgesr": version("edgesr"),
        "python": python_version(),
        "versions": {
            name: sys.modules[module].__version__ for module, name in LIBRARIES.items() if sys.modules.get(module)
        },
        "machine": machine(),
        "model": file,
        "sha256": file_sha256(Path(file)) if Path(file).is_file() else None,
        "title": title_of(model),
        "scale": scale_of(model),
        "settings": settings,
        "protocol": protocol,
        "border": scale_of(model),
        "grey_as_y": grey_as_y,
        "ensemble": ensemble,
        "degrade": degrade.as_recipe() if degrade else None,
        "seed": seed if degrade else None,
        "data": {
            name: {"images": [_plain(score) for score in scores], "mean": _plain(mean_score(scores))}
            for name, scores in data.items()
        },
    }


def _plain(score: Score) -> dict[str, Any]:
    """JSON knows no infinity, the PSNR of equal images: null."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in asdict(score).items()
    }
