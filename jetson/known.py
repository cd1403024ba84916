"""Modules and releases that we know, from boards.json, which names the source of every line."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["Known", "Module", "Release", "Soc", "known"]


@dataclass(frozen=True)
class Soc:
    """A Tegra chip, by the name that ends `compatible`: tegra234."""

    name: str
    gpu: str
    sm: str


@dataclass(frozen=True)
class Module:
    """A Jetson module, by its P-number: p3767-0005. `memory_gb` lists what it was sold with under that number."""

    number: str
    name: str
    soc: str
    memory_gb: tuple[int, ...]
    gpu: str
    sm: str
    dla: int
    encoder: bool


@dataclass(frozen=True)
class Release:
    """What NVIDIA put into a release of Jetson Linux; what is installed is read from the machine itself."""

    l4t: str
    jetpack: str
    ubuntu: str
    python: str
    cuda: str
    tensorrt: str


@dataclass(frozen=True)
class Known:
    socs: Mapping[str, Soc]
    modules: Mapping[str, Module]
    releases: Mapping[str, Release]
    arm_cores: Mapping[str, str]
    """Implementer and part of /proc/cpuinfo, `0x41:0xd42`, to the core's name."""


@cache
def known() -> Known:
    data: dict[str, dict[str, dict[str, Any]]] = json.loads(Path(__file__).with_name("boards.json").read_text("utf-8"))
    facts = {
        table: {key: {k: v for k, v in entry.items() if k != "source"} for key, entry in data[table].items()}
        for table in ("socs", "modules", "releases", "arm_cores")
    }
    return Known(
        socs={key: Soc(**entry) for key, entry in facts["socs"].items()},
        modules={key: _module(key, **entry) for key, entry in facts["modules"].items()},
        releases={key: Release(l4t=key, **entry) for key, entry in facts["releases"].items()},
        arm_cores={key: str(entry["name"]) for key, entry in facts["arm_cores"].items()},
    )


def _module(number: str, *, memory_gb: list[int], **rest: Any) -> Module:
    return Module(number=number, memory_gb=tuple(memory_gb), **rest)
