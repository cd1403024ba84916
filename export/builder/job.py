"""What goes into a build and what comes out of it, as plain values: a build runs in a process of its own. Needs numpy alone."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from edgesr.export.builder.plan import BuildPlan
from edgesr.runtime.card import Profile

__all__ = ["BuildJob", "BuildSettings", "Built"]


@dataclass(frozen=True)
class BuildSettings:
    """level: 0 (fastest build) to 5 (fastest engine); None: TensorRT's own, 3.
    workspace_bytes: scratch memory that a layer may use; tactic_bytes: memory that trying out a kernel may use; None: no limit.
    """

    level: int | None = None
    workspace_bytes: int | None = None
    tactic_bytes: int | None = None


@dataclass(frozen=True, kw_only=True)
class BuildJob:
    """profiles: at least one. nodes, fp32_layers: see `edgesr.export.builder.graph`; the latter are pinned where flags choose.
    timing_cache: path of its file, `off`, or empty for the user's cache folder. peak_bytes: of the live tensors, at the largest size.
    """

    plan: BuildPlan
    profiles: tuple[Profile, ...]
    settings: BuildSettings = field(default_factory=BuildSettings)
    nodes: tuple[str, ...] = ()
    fp32_layers: tuple[str, ...] = ()
    timing_cache: str = ""
    peak_bytes: float = 0.0

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "BuildJob":
        values = json.loads(text)
        sizes = [[tuple(profile[name]) for name in ("least", "best", "most")] for profile in values["profiles"]]
        plan = values["plan"] | {"flags": tuple(values["plan"]["flags"])}
        return cls(
            plan=BuildPlan(**plan),
            profiles=tuple(Profile(*three) for three in sizes),
            settings=BuildSettings(**values["settings"]),
            nodes=tuple(values["nodes"]),
            fp32_layers=tuple(values["fp32_layers"]),
            timing_cache=values["timing_cache"],
            peak_bytes=values["peak_bytes"],
        )


@dataclass(frozen=True, kw_only=True)
class Built:
    """What is known of a plan after it was built.

    layers: the engine inspector's JSON, as TensorRT gave it. memory_bytes: of the GPU, for activations.
    pinned: nodes that were held in FP32 one by one. cache: `hit` where the timing cache was read, `new` where one was begun,
    `off`, or why it could not be used. workspace_bytes: what the limit came to. notes: what TensorRT warned of.
    """

    tensorrt: str
    cuda_driver: str
    gpu: str
    compute_capability: str
    integrated: bool
    layers: str
    memory_bytes: int
    seconds: float
    pinned: tuple[str, ...] = ()
    cache: str = "off"
    workspace_bytes: int = 0
    notes: tuple[str, ...] = field(default_factory=tuple)

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Built":
        return cls(**{**values, "pinned": tuple(values["pinned"]), "notes": tuple(values["notes"])})
