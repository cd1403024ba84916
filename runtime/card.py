"""The card beside an engine: what the plan is, on what it was built, and what was proven of it.

`NAME.engine` is TensorRT's plain plan, executable and bound to one GPU model and one TensorRT; `NAME.engine.json` is its
card. Nothing of the plan reaches TensorRT before the card has been read and found to match.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from edgesr.runtime.errors import EngineRefused, InputError, MissingFile
from edgesr.runtime.files import replaced
from edgesr.runtime.spec import ModelSpec

__all__ = ["EngineCard", "Profile", "Size", "card_path", "file_sha256", "read_card", "write_card"]

SCHEMA = 1
Size = tuple[int, int]
"""Width and height of the input, in pixels."""


@dataclass(frozen=True)
class Profile:
    """Input sizes that an engine takes: from `least` to `most`, tuned for `best`. All three equal: fixed."""

    least: Size
    best: Size
    most: Size

    @property
    def is_fixed(self) -> bool:
        return self.least == self.most

    def takes(self, width: int, height: int) -> bool:
        return self.least[0] <= width <= self.most[0] and self.least[1] <= height <= self.most[1]

    @property
    def title(self) -> str:
        """`320x180`, or `160x90 to 640x360, best at 320x180`."""
        least, best, most = ("{}x{}".format(*size) for size in (self.least, self.best, self.most))
        return best if self.is_fixed else f"{least} to {most}, best at {best}"


@dataclass(frozen=True, kw_only=True)
class EngineCard:
    """What is written as JSON beside a plan.

    precision: that was asked for (fp32, tf32, fp16, bf16, int8). proof: `edgesr.export.proof.PrecisionProof` as plain values.
    settings: everything that was set for the build (level, workspace, …). machine: what else is known of where it was built.
    parity: `edgesr.export.parity.Parity` as plain values, one for each frame that was compared.
    memory_bytes: of the GPU, for activations. command: what builds it again. signature: hex, empty where it is unsigned;
    see `edgesr.runtime.trust`.
    """

    spec: ModelSpec
    profiles: tuple[Profile, ...]
    precision: str
    settings: dict[str, str | int | float | bool | None]
    onnx_sha256: str
    weights_sha256: str
    plan_sha256: str
    tensorrt: str
    cuda_driver: str
    gpu: str
    compute_capability: str
    edgesr: str
    command: str
    fp32_layers: dict[str, str] = field(default_factory=dict)
    proof: dict[str, Any] = field(default_factory=dict)
    parity: list[dict[str, Any]] = field(default_factory=list)
    memory_bytes: int = 0
    built: str = ""
    build_seconds: float = 0.0
    signature: str = ""

    @property
    def identity(self) -> str:
        """SHA-256 over all that decides what is built: network, sizes, precision, settings, TensorRT, GPU. Two builds
        with one identity are interchangeable, though TensorRT may choose other kernels."""
        return identity(
            onnx_sha256=self.onnx_sha256,
            weights_sha256=self.weights_sha256,
            profiles=self.profiles,
            precision=self.precision,
            settings=self.settings,
            fp32_layers=self.fp32_layers,
            tensorrt=self.tensorrt,
            gpu=self.gpu,
            compute_capability=self.compute_capability,
        )

    def to_dict(self) -> dict[str, Any]:
        return {"schema": SCHEMA, "identity": self.identity, **asdict(self)}

    def signed_bytes(self) -> bytes:
        """What a signature covers: every entry but itself, as canonical JSON. The plan is covered by its SHA-256."""
        return _canonical(replace(self, signature="").to_dict())

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "EngineCard":
        """Raise InputError where an entry is missing, unknown or of another kind, or the identity is not that of the rest."""
        entries = dict(values)
        if (schema := entries.pop("schema", None)) != SCHEMA:
            raise InputError(f"it has schema {schema}, this edgesr reads {SCHEMA}")
        said = entries.pop("identity", None)
        if surplus := sorted(set(entries) - {f.name for f in fields(cls)}):
            raise InputError(f"it has unknown entries ({', '.join(surplus)})")
        try:
            entries["spec"] = ModelSpec.from_json(json.dumps(entries["spec"]))
            entries["profiles"] = tuple(
                Profile(*((int(size[0]), int(size[1])) for size in (p["least"], p["best"], p["most"])))
                for p in entries["profiles"]
            )
            card = cls(**entries)
            identity_of_rest = card.identity
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"its entries are not what edgesr-export writes ({error!r})") from error
        if said != identity_of_rest:
            raise InputError("its identity is not that of its entries: it was edited")
        return card


def identity(**settings: Any) -> str:
    return hashlib.sha256(_canonical(settings)).hexdigest()


def _canonical(value: Any) -> bytes:
    def plain(other: Any) -> Any:
        return asdict(other)

    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=plain).encode()


def card_path(engine: Path) -> Path:
    return engine.with_name(engine.name + ".json")


def read_card(engine: Path) -> EngineCard:
    """The card beside a plan. Raises MissingFile where there is no engine, EngineRefused where it has no readable card."""
    if not engine.is_file():
        raise MissingFile(f"{engine} does not exist; expected an engine built by edgesr-export on this machine")
    path = card_path(engine)
    if not path.is_file():
        raise EngineRefused(
            f"{engine} has no card ({path.name} beside it): it is not run; build it with edgesr-export, or bring its card along"
        )
    try:
        values = json.loads(path.read_text())
        if not isinstance(values, dict):
            raise InputError("it is no JSON object")
        return EngineCard.from_dict(values)
    except (ValueError, InputError) as error:
        raise EngineRefused(f"{path} cannot be used: {error}; build the engine again with edgesr-export") from error


def write_card(card: EngineCard, engine: Path) -> None:
    """Write it beside the plan, whole or not at all. Raises OutputFailed."""
    with replaced(card_path(engine)) as beside:
        beside.write_text(json.dumps(card.to_dict(), indent=1) + "\n")


def file_sha256(path: Path) -> str:
    """Hex digest; read piece by piece."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
