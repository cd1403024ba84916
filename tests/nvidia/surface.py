"""What the real Python modules of TensorRT offer, by version: `surface.json`, read."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

__all__ = ["VERSIONS", "Surface", "later", "packed", "surface", "unpacked"]

FILE = Path(__file__).with_name("surface.json")
Surface = dict[str, Any]
"""As in `tensorrt-api/surface.json`: {"enums": {name: [members]}, "classes": {name: [members]}, "functions": [names]}."""

LATER = ("IProfiler", "ParserError")

VERSIONS: tuple[str, ...] = tuple(json.loads(FILE.read_text())["versions"])


def surface(version: str) -> Surface:
    """Raise KeyError for a version that is not recorded."""
    return unpacked(json.loads(FILE.read_text()))[version]


def later(version: str) -> dict[str, list[str]]:
    """Classes that the first recording left out, with their members."""
    recorded = json.loads(FILE.read_text())
    return {owner: _members(recorded[owner], VERSIONS)[version] for owner in LATER}


def packed(surfaces: Mapping[str, Surface]) -> dict[str, Any]:
    """Versions side by side: {class: {"8.6.0 to 10.7.0": "names"}}, "all" for every version."""
    versions = list(surfaces)

    def group(by_version: Mapping[str, Iterable[str]]) -> dict[str, str]:
        spans: dict[str, list[str]] = {}
        for name in sorted({name for names in by_version.values() for name in names}):
            has = [version for version in versions if name in by_version.get(version, ())]
            spans.setdefault(_span(has, versions), []).append(name)
        return {span: " ".join(names) for span, names in spans.items()}

    def kind(title: str) -> dict[str, dict[str, str]]:
        owners = sorted({owner for entry in surfaces.values() for owner in entry[title]})
        return {
            owner: group({version: entry[title].get(owner, ()) for version, entry in surfaces.items()})
            for owner in owners
        }

    functions = group({version: entry["functions"] for version, entry in surfaces.items()})
    return {"versions": versions, "enums": kind("enums"), "classes": kind("classes"), "functions": functions}


def unpacked(recorded: Mapping[str, Any]) -> dict[str, Surface]:
    versions = tuple(recorded["versions"])
    surfaces: dict[str, Surface] = {version: {"enums": {}, "classes": {}} for version in versions}
    for title in ("enums", "classes"):
        for owner, spans in recorded[title].items():
            for version, names in _members(spans, versions).items():
                if names:
                    surfaces[version][title][owner] = names
    for version, names in _members(recorded["functions"], versions).items():
        surfaces[version]["functions"] = names
    return surfaces


def _span(has: list[str], versions: list[str]) -> str:
    """`8.6.0 to 10.7.0`, several with commas between."""
    if has == versions:
        return "all"
    parts: list[list[str]] = []
    for version in has:
        if parts and versions.index(parts[-1][-1]) + 1 == versions.index(version):
            parts[-1].append(version)
        else:
            parts.append([version])
    return ", ".join(part[0] if len(part) == 1 else f"{part[0]} to {part[-1]}" for part in parts)


def _members(spans: Mapping[str, str], versions: tuple[str, ...]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {version: [] for version in versions}
    for span, names in spans.items():
        for part in (f"{versions[0]} to {versions[-1]}" if span == "all" else span).split(", "):
            first, _, last = part.partition(" to ")
            for version in versions[versions.index(first) : versions.index(last or first) + 1]:
                found[version] += names.split()
    return {version: sorted(names) for version, names in found.items()}
