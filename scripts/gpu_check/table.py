"""Both halves in one result, and the table that a page shows."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgesr.runtime.errors import InputError, MissingFile

GOAL = 1.10


def merged(files: Sequence[Path]) -> dict[str, Any]:
    """Raise InputError where two files are of different GPUs, or know one thing twice."""
    whole: dict[str, Any] = {}
    for file in files:
        if not file.is_file():
            raise MissingFile(f"{file} does not exist; expected what gpu_check engines or rival wrote")
        try:
            part = json.loads(file.read_text())
        except ValueError as error:
            raise InputError(f"{file} is no JSON: {error}") from error
        if whole.get("gpu", part.get("gpu")) != part.get("gpu"):
            raise InputError(f"{file} is of a {part.get('gpu')}, the others of a {whole['gpu']}: one GPU a result")
        if twice := set(whole) & set(part) & {"engines", "rival"}:
            raise InputError(f"{file} has {', '.join(twice)} again; expected each half once")
        whole |= part
    return whole


def markdown(result: dict[str, Any]) -> str:
    """A row for each engine, the PyTorch rival's best way beside the FP16 one; milliseconds, medians."""
    best = {row["model"]: _best(row["ways"]) for row in result.get("rival", [])}
    head = (
        "| network | precision | proven | parity | build s, cached | engine alone | network | copies | whole frame "
        "| of engine + copies | PyTorch, whole frame |"
    )
    lines = [
        f"{result['gpu']}, TensorRT {result.get('tensorrt', '–')}, torch {result.get('torch', '–')}",
        "",
        head,
        "|" + "---|" * (head.count("|") - 1),
    ]
    for row in result.get("engines", []):
        if "error" in row:
            lines.append(f"| {row['model']} | {row['precision']} | {row['error']} |" + " |" * 8)
            continue
        ms = row["latency"]["graph"]["median_ms"]
        copies = ms.get("upload", 0.0) + ms.get("download", 0.0)
        ratio = ms["whole frame"] / (ms["engine alone"] + copies)
        parity = min((one["psnr_db"] for one in row["parity"] if one["psnr_db"] is not None), default=None)
        cells = [
            row["spec"],
            row["precision"].upper(),
            f"{row['proof']['share']:.1%}",
            "equal" if parity is None else f"{parity:.1f} dB",
            f"{row['build_s']['cold']:.0f}, {row['build_s']['cached']:.0f}",
            f"{ms['engine alone']:.3f}",
            f"{ms['network']:.3f}",
            f"{copies:.3f}",
            f"{ms['whole frame']:.3f}",
            f"{ratio:.2f}" + ("" if ratio <= GOAL else f" (goal {GOAL})"),
            best.get(row["model"], "–") if row["precision"] == "fp16" else "",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _best(ways: dict[str, Any]) -> str:
    timed = {name: way["median_ms"]["whole frame"] for name, way in ways.items() if "median_ms" in way}
    if not timed:
        return "failed"
    name = min(timed, key=lambda way: timed[way])
    return f"{timed[name]:.3f} ({name})"
