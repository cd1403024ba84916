"""An engine that nobody built: any bytes for a plan, and the card that fits them."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgesr.runtime.card import EngineCard, Profile, write_card
from edgesr.runtime.spec import ModelSpec

PLAN = b"a plan that only TensorRT could read"
SPEC = ModelSpec(name="made", scale=4, colour="luma", parameters=7, multiply_adds_per_pixel=1.5, receptive_field=None)
HERE = {"tensorrt": "10.3.0", "gpu": "Orin", "compute_capability": "8.7"}
CARD = EngineCard(
    spec=SPEC,
    profiles=(Profile((160, 90), (320, 180), (640, 360)),),
    precision="fp16",
    settings={"level": 3, "workspace_bytes": None, "share": 0.5, "cache": "off", "fast": True},
    onnx_sha256="0" * 64,
    weights_sha256="1" * 64,
    plan_sha256=hashlib.sha256(PLAN).hexdigest(),
    cuda_driver="12.6",
    edgesr="0.1.0",
    command="edgesr-export made_x4.onnx -o made_x4.engine --size 320x180",
    fp32_layers={"mean": "statistic of the whole frame"},
    proof={
        "asked": "fp16",
        "share": 0.97,
        "found": {"fp16": 0.96, "fp32": 0.04},
        "exempt": {"mean": "statistic of the whole frame"},
        "elsewhere": {"tail": "fp32"},
        "layers": 12,
    },
    parity=[{"width": 96, "height": 64, "difference": 0, "psnr_db": None}],
    memory_bytes=3 << 20,
    built="2026-11-21T10:00:00+00:00",
    build_seconds=41.5,
    **HERE,
)


def engine(folder: Path, card: EngineCard = CARD, **changes: Any) -> Path:
    """A plan with its card, some of whose entries are changed."""
    path = folder / "made_x4.engine"
    path.write_bytes(PLAN)
    write_card(replace(card, **changes), path)
    return path
