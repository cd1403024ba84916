"""Degradations. A new kind is a class in a file here and one line in KINDS."""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any

from edgesr.runtime.errors import InputError, MissingDependency, MissingFile
from edgesr.train.data.degradations.base import Step
from edgesr.train.data.degradations.chain import Chain
from edgesr.train.data.degradations.h264 import H264
from edgesr.train.data.degradations.identity import Identity
from edgesr.train.data.degradations.jpeg import Jpeg
from edgesr.train.data.degradations.lens import Blur, Defocus, Motion
from edgesr.train.data.degradations.noise import CameraNoise, Noise
from edgesr.train.data.degradations.size import Bicubic, Resize

__all__ = ["KINDS", "PRESETS", "Chain", "Step", "chain_from", "parse_chain"]

KINDS: dict[str, type[Step]] = {
    "blur": Blur,
    "defocus": Defocus,
    "motion": Motion,
    "bicubic": Bicubic,
    "resize": Resize,
    "noise": Noise,
    "camera_noise": CameraNoise,
    "jpeg": Jpeg,
    "h264": H264,
    "identity": Identity,
}

PRESETS: dict[str, str] = {
    "camera": "blur:0.2..1:unit=low,bicubic,camera_noise:400..8000:read=1..4,h264:18..38",
}
"""camera: what a cheap network or USB camera gives. Its ends are those of two real clips (spectra against photographs reduced
by half: sigma 0.5 to 0.8 pixels; quantisers of their predicted frames, read from the streams: 20 to 44, median 24 to 40) and of
a deviation of 1 to 6 code values in the mid-tones."""

EXPECTED = f"a step such as noise:25, one of {', '.join(PRESETS)}, or a YAML file"


def chain_from(steps: Sequence[Mapping[str, Any]]) -> Chain:
    """The chain of a recipe: [{"kind": "blur", "sigma": [0.2, 1.2]}, {"kind": "bicubic"}, ...]. Raises InputError."""
    if isinstance(steps, (str, Mapping)) or not isinstance(steps, Sequence) or not steps:
        raise InputError(f"degradations are {steps!r}; expected a list of steps, such as [{{kind: noise, sigma: 25}}]")
    return Chain(tuple(_step(given) for given in steps))


def parse_chain(text: str) -> Chain:
    """The chain of a command line: `noise:25`, `blur:1.2,bicubic,noise:5..15,jpeg:40:chroma=444`, `camera`,
    or a YAML file with a list of steps as a recipe has it. Raises InputError, MissingFile."""
    if Path(text).suffix.lower() in (".yaml", ".yml"):
        return chain_from(_read_list(Path(text)))
    parts = ",".join(PRESETS.get(part.strip(), part) for part in text.split(","))
    return chain_from([_parsed(part) for part in parts.split(",")])


def _step(given: Any) -> Step:
    if not isinstance(given, Mapping) or "kind" not in given:
        raise InputError(f"{given!r} is no step of a degradation; expected settings with a kind: {', '.join(KINDS)}")
    name, settings = given["kind"], {key: value for key, value in given.items() if key != "kind"}
    if not isinstance(name, str) or name not in KINDS:
        near = get_close_matches(str(name), KINDS, n=1)
        meant = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(KINDS)}"
        raise InputError(f"there is no degradation {name!r}; {meant}")
    kind = KINDS[name]
    known = {one.name: one for one in fields(kind)}
    if unknown := [str(key) for key in settings if key not in known]:
        raise InputError(f"degradation {name} has no {', '.join(unknown)}; it has {', '.join(known)}")
    if missing := [key for key, one in known.items() if one.default is MISSING and key not in settings]:
        raise InputError(f"degradation {name} needs {', '.join(missing)}")
    return kind(**settings)


def _parsed(part: str) -> dict[str, Any]:
    """`blur:1.2:ratio=0.5` -> {"kind": "blur", "sigma": 1.2, "ratio": 0.5}."""
    name, *settings = part.strip().split(":")
    if not name:
        raise InputError(f"{part!r} is no step of a degradation; expected {EXPECTED}")
    step: dict[str, Any] = {"kind": name}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals:
            key, value = (KINDS[name].main if name in KINDS else ""), setting
            if name in KINDS and not key:
                raise InputError(f"{part}: {name} has no value of its own; write {name} alone, or {name}:setting=value")
        if key in step:
            raise InputError(f"{part}: {key} is given twice")
        step[key] = _value(value)
    return step


def _value(text: str) -> Any:
    """A number, two as in 5..15, true or false, or a word."""
    low, dots, high = text.partition("..")
    try:
        return [_number(low), _number(high)] if dots else _number(text)
    except ValueError:
        return {"true": True, "false": False}.get(text, text)


def _number(text: str) -> float:
    return int(text) if text.lstrip("-").isdecimal() else float(text)


def _read_list(path: Path) -> Any:
    try:
        yaml = import_module("yaml")
    except ImportError as error:
        raise MissingDependency(f"{path} is read with PyYAML: pip install pyyaml") from error
    try:
        return yaml.safe_load(path.read_text())
    except FileNotFoundError as error:
        raise MissingFile(f"{path} does not exist; expected {EXPECTED}") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path} cannot be read: {reason}; expected a list of steps as a recipe has it") from error
