"""The card beside an engine: what the plan is, on what it was built, and what was proven of it.

`NAME.engine` is TensorRT's plain plan, executable and bound to one GPU model and one TensorRT; `NAME.engine.json` is its
card. Nothing of the plan reaches TensorRT before the card has been read and found to match.
"""

import hashlib
import json
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from edgesr.runtime.errors import EngineRefused, InputError, MissingFile
from edgesr.runtime.files import replaced
from edgesr.runtime.memory import check_fits
from edgesr.runtime.spec import ModelSpec
from edgesr.runtime.trust import verify_card
from edgesr.runtime.untrusted_json import check_kinds, cleaned, read_object

__all__ = [
    "EngineCard",
    "Profile",
    "Size",
    "card_path",
    "check_gpu",
    "check_tensorrt",
    "file_sha256",
    "read_card",
    "read_plan",
    "trusted_plan",
    "write_card",
]

SCHEMA = 1
MOST_BYTES = 4 << 20
"""Of a card; one with a thousand layers has a tenth of it."""
Size = tuple[int, int]
"""Width and height of the input, in pixels."""


@dataclass(frozen=True)
class Profile:
    """Input sizes that an engine takes: from `least` to `most`, tuned for `best`. All three equal: fixed."""

    least: Size
    best: Size
    most: Size

    def __post_init__(self) -> None:
        if not all(1 <= a <= b <= c for a, b, c in zip(self.least, self.best, self.most, strict=True)):
            raise InputError(f"an engine's sizes are {self.title}; expected least <= best <= most, in pixels")

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
    memory_bytes: of the GPU, for activations. command: what builds it again, as `shlex.join` writes it; shown, never run.
    signer: fingerprint of the key that signed; signature: hex. Both are empty where it is unsigned; see `edgesr.runtime.trust`.

    Text is made printable, since layers' names come from anywhere. Raises InputError for entries of another kind.
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
    signer: str = ""
    signature: str = ""

    def __post_init__(self) -> None:
        for entry in fields(self):
            object.__setattr__(self, entry.name, cleaned(getattr(self, entry.name)))
        check_kinds(self)
        if not self.profiles:
            raise InputError("it has no profile: no size of input is known")

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
            fp32_layers=sorted(self.fp32_layers),  # their reasons tell of what was measured
            tensorrt=self.tensorrt,
            gpu=self.gpu,
            compute_capability=self.compute_capability,
        )

    @property
    def remedy(self) -> str:
        """How the engine is built here, for a message. A card may lie: only a plain edgesr-export command is handed on."""
        try:
            words = shlex.split(self.command)
        except ValueError:
            words = []
        if words[:1] == ["edgesr-export"] and shlex.join(words) == self.command:
            return f"build it here: {self.command}"
        return "build it here with edgesr-export"

    def to_dict(self) -> dict[str, Any]:
        return {"schema": SCHEMA, "identity": self.identity, **asdict(self)}

    def signed_bytes(self) -> bytes:
        """What a signature covers: every entry but itself, as canonical JSON. The plan is covered by its SHA-256."""
        return _canonical(replace(self, signature="").to_dict())

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "EngineCard":
        """Raise InputError where an entry is missing, unknown or of another kind, or the identity is not that of the rest."""
        entries = dict(values)
        if (schema := entries.pop("schema", None)) != SCHEMA or schema is True:
            raise InputError(f"it has schema {schema}, this edgesr reads {SCHEMA}")
        said = entries.pop("identity", None)
        if surplus := sorted(set(entries) - {f.name for f in fields(cls)}):
            raise InputError(f"it has unknown entries ({', '.join(surplus)})")
        try:
            entries["spec"] = ModelSpec.from_json(json.dumps(entries["spec"]))
            entries["profiles"] = tuple(_profile(profile) for profile in entries["profiles"])
            card = cls(**entries)
        except (LookupError, TypeError, ValueError) as error:
            raise InputError(f"its entries are not what edgesr-export writes ({error!r})") from error
        if said != card.identity:
            raise InputError("its identity is not that of its entries: it was edited")
        return card


def _profile(values: Any) -> Profile:
    sizes: Any = {name: tuple(size) for name, size in dict(values).items()}
    return Profile(**sizes)


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
    path = card_path(engine)
    if not engine.is_file():
        raise MissingFile(f"{engine} does not exist; expected an engine built by edgesr-export on this machine")
    if not path.is_file():
        raise EngineRefused(
            f"{engine} has no card ({path.name} beside it): it is not run; build it with edgesr-export, or bring its card along"
        )
    try:
        return EngineCard.from_dict(read_object(path, most_bytes=MOST_BYTES))
    except OSError as error:
        raise EngineRefused(f"{path} cannot be read: {error.strerror}; let this user read it") from error
    except InputError as error:
        raise EngineRefused(f"{path} cannot be used: {error}; build the engine again with edgesr-export") from error


def write_card(card: EngineCard, engine: Path) -> None:
    """Write it beside the plan, whole or not at all. Raises OutputFailed."""
    text = json.dumps(card.to_dict(), indent=1) + "\n"
    assert len(text) <= MOST_BYTES, "nobody could read it"
    with replaced(card_path(engine)) as beside:
        beside.write_text(text)


def trusted_plan(
    engine: Path, *, trust: Path | None, tensorrt: str, gpu: str, compute_capability: str
) -> tuple[EngineCard, bytes]:
    """The card and the very bytes that were checked against it: nothing else of the file may reach TensorRT.

    trust: public key that must have signed the card; None: an unsigned one will do. The rest is what this machine has.
    Raises as `read_card`, `verify_card`, `read_plan`, `check_tensorrt` and `check_gpu` do, in this order.
    """
    card = read_card(engine)
    if trust is not None:
        verify_card(card, trust)
    plan = read_plan(engine, card)
    check_tensorrt(engine, card, tensorrt)
    check_gpu(engine, card, gpu, compute_capability)
    return card, plan


def read_plan(engine: Path, card: EngineCard) -> bytes:
    """Raises EngineRefused where the bytes are not those of the card, FrameTooLarge where they would not fit into memory."""
    try:
        check_fits(engine.stat().st_size, f"reading {engine}")
        plan = engine.read_bytes()
    except OSError as error:
        raise EngineRefused(f"{engine} cannot be read: {error.strerror}; let this user read it") from error
    if (found := hashlib.sha256(plan).hexdigest()) != card.plan_sha256:
        raise EngineRefused(
            f"{engine} is not the plan of its card (SHA-256 {found[:12]}, the card says {card.plan_sha256[:12]}): one of them "
            f"was damaged or exchanged; bring both again, or {card.remedy}"
        )
    return plan


def check_tensorrt(engine: Path, card: EngineCard, tensorrt: str) -> None:
    """Raise EngineRefused for a plan of another version, however near: TensorRT promises nothing else."""
    if card.tensorrt != tensorrt:
        raise EngineRefused(
            f"{engine} was built by TensorRT {card.tensorrt}, this machine has {tensorrt}; {card.remedy}"
        )


def check_gpu(engine: Path, card: EngineCard, gpu: str, compute_capability: str) -> None:
    """Raise EngineRefused for a plan that was tuned on another model of GPU."""
    if (card.gpu, card.compute_capability) != (gpu, compute_capability):
        raise EngineRefused(
            f"{engine} was built on {card.gpu} (compute capability {card.compute_capability}), this machine has {gpu} "
            f"({compute_capability}); {card.remedy}"
        )


def file_sha256(path: Path) -> str:
    """Hex digest; read piece by piece."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
