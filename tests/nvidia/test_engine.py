"""The whole road of an engine: built, proven, compared, installed, or nothing of it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx", reason="the fake TensorRT reads ONNX")

from tests.nvidia.engines import SIZE, expected, graph_for, left_over
from tests.nvidia.machine import FakeMachine

from edgesr.export.engine import EngineOptions, Reference, build_engine, is_current
from edgesr.runtime.card import card_path, read_card
from edgesr.runtime.errors import BackendFailed, BuildFailed, EngineRefused, InputError, ParityFailed, PrecisionNotMet

Play = Callable[..., FakeMachine]
FRAME = np.random.default_rng(1).integers(0, 256, (SIZE[1], SIZE[0], 3), dtype=np.uint8)


def options(folder: Path) -> EngineOptions:
    return EngineOptions(
        command="edgesr-export made.onnx -o made.engine", edgesr="0.1.0", timing_cache=str(folder / "cache")
    )


def build_whole(played: FakeMachine, folder: Path, precision: Any = "fp16") -> Any:
    graph = graph_for(folder, played.version, precision)
    references = [Reference(FRAME, expected(folder, FRAME))]
    return graph, build_engine(graph, folder / "made.engine", references, options(folder))


@pytest.mark.parametrize("version", ["8.6.0", "10.3.0", "10.16.1.11", "11.4.0.106"])
def test_an_engine_is_built_proven_compared_and_installed(machine: Play, tmp_path: Path, version: str) -> None:
    played = machine(version, integrated=False)
    graph, done = build_whole(played, tmp_path)
    card = read_card(tmp_path / "made.engine")
    assert card == done.card and card.tensorrt == version and card.proof["share"] == 1
    assert done.parity[0].difference <= 2 and card.memory_bytes > 0
    assert is_current(tmp_path / "made.engine", graph, options(tmp_path))
    assert not is_current(tmp_path / "made.engine", replace(graph, source_sha256="3" * 64), options(tmp_path))
    assert left_over(tmp_path) == ["cache", "made.engine", "made.engine.json"] and played.clean()


@pytest.mark.parametrize(
    ("knobs", "error"),
    [
        ({"black": True}, ParityFailed),
        ({"offset": 1}, ParityFailed),
        ({"fp32_anyway": True}, PrecisionNotMet),
        ({"build_fails": "no"}, BuildFailed),
        ({"out_of_memory": "context"}, BackendFailed),
        ({"out_of_memory": "enqueue"}, BackendFailed),
    ],
)
def test_what_fails_installs_nothing_and_leaves_what_was_there(
    machine: Play, tmp_path: Path, knobs: Any, error: type[Exception]
) -> None:
    engine = tmp_path / "made.engine"
    engine.write_bytes(b"old plan")
    card_path(engine).write_text("old card")
    with pytest.raises(error):
        build_whole(machine("10.3.0", **knobs), tmp_path)
    assert (engine.read_bytes(), card_path(engine).read_text()) == (b"old plan", "old card")
    assert {name for name in left_over(tmp_path) if name != "cache"} == {"made.engine", "made.engine.json"}


def test_a_graph_made_for_another_version_is_refused(machine: Play, tmp_path: Path) -> None:
    machine("11.0.0.114")
    graph = graph_for(tmp_path, "10.3.0")
    with pytest.raises(InputError, match="prepare it again"):
        build_engine(graph, tmp_path / "made.engine", [Reference(FRAME, FRAME)], options(tmp_path))


def test_an_engine_without_card_is_not_current(machine: Play, tmp_path: Path) -> None:
    machine()
    graph = graph_for(tmp_path, "10.3.0")
    assert not is_current(tmp_path / "made.engine", graph, options(tmp_path))
    (tmp_path / "made.engine").write_bytes(b"plan")
    assert not is_current(tmp_path / "made.engine", graph, options(tmp_path))
    with pytest.raises(EngineRefused):
        read_card(tmp_path / "made.engine")
