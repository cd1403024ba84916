"""Building, over every version of TensorRT that we claim: played by a fake that has each version's names and habits."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("onnx", reason="the fake TensorRT reads ONNX")

from tests.nvidia.engines import RANGE, graph_for, header, in_process, job_for, left_over
from tests.nvidia.machine import FakeMachine
from tests.nvidia.surface import VERSIONS

from edgesr.export.builder import process
from edgesr.export.builder.job import BuildSettings
from edgesr.export.builder.plan import build_plan
from edgesr.export.builder.process import build_in_process
from edgesr.export.proof import prove_precision
from edgesr.runtime.errors import (
    BuildFailed,
    BuildTooLarge,
    InputError,
    MissingDependency,
    NoDevice,
    PrecisionNotMet,
)

Play = Callable[..., FakeMachine]
FLAGS = [version for version in VERSIONS if not build_plan("fp16", version).strongly_typed]
TYPED = [version for version in VERSIONS if version not in FLAGS]
ENDS = ["8.6.0", "11.4.0.106"]
MONITORED = [version for version in VERSIONS if not version.startswith("8.")]


@pytest.mark.parametrize("precision", ["fp32", "tf32", "fp16", "int8"])
@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_builds_what_was_asked(machine: Play, tmp_path: Path, version: str, precision: Any) -> None:
    played = machine(version)
    graph = graph_for(tmp_path, version, precision)
    built, plan = in_process(played, graph)
    proof = prove_precision(built.layers, graph.convolutions, precision)
    assert proof.share == 1 and built.tensorrt == version and built.gpu.startswith("Orin")
    how = header(played, plan)
    wanted = build_plan(precision, version)
    assert how["typed"] is (version in TYPED) and how["detailed"]
    assert set(how["flags"]) == {*wanted.flags, *(["TF32"] if precision == "tf32" else [])}
    assert played.clean()


def test_flags_and_types_are_both_tried() -> None:
    assert FLAGS == ["8.6.0", "10.0.1", "10.3.0", "10.7.0"]
    assert TYPED == ["10.13.0.35", "10.16.1.11", "11.0.0.114", "11.4.0.106"]


@pytest.mark.parametrize("version", ["10.0.1", "10.7.0", "10.16.1.11"])
def test_bf16_is_built_where_there_is_a_flag(machine: Play, tmp_path: Path, version: str) -> None:
    played = machine(version)
    graph = graph_for(tmp_path, version, "bf16")
    built, _ = in_process(played, graph)
    assert prove_precision(built.layers, graph.convolutions, "bf16").share == 1


@pytest.mark.parametrize("version", VERSIONS)
def test_several_sizes_become_profiles(machine: Play, tmp_path: Path, version: str) -> None:
    played = machine(version)
    graph = graph_for(tmp_path, version, "fp16", RANGE)
    built, plan = in_process(played, graph)
    assert header(played, plan)["profiles"][1] == [[1, 48, 64, 3], [1, 96, 128, 3], [1, 96, 128, 3]]
    assert prove_precision(built.layers, graph.convolutions, "fp16").share == 1


@pytest.mark.parametrize("version", VERSIONS)
def test_progress_is_told_where_tensorrt_tells_it(machine: Play, tmp_path: Path, version: str) -> None:
    told: list[dict[str, Any]] = []
    in_process(machine(version, steps=2), graph_for(tmp_path, version), told=told)
    if version not in MONITORED:
        assert told == []
        return
    assert told[:2] == [
        {"phase": "Building Engine", "parent": None, "steps": 2},
        {"phase": "Tactic Selection", "parent": "Building Engine", "steps": 2},
    ]
    assert [event["step"] for event in told if "step" in event] == [0, 1, 0, 1]
    assert told[-1] == {"phase": "Building Engine", "done": True}


@pytest.mark.parametrize("version", VERSIONS)
def test_nodes_that_stay_fp32_are_pinned_where_flags_choose(machine: Play, tmp_path: Path, version: str) -> None:
    played = machine(version)
    graph = graph_for(tmp_path, version)
    built, plan = in_process(played, graph, fp32_layers=("second", "gone"))
    how = header(played, plan)
    if version in TYPED:  # there the graph's types say it, and a pin would be an error
        assert (built.pinned, how["pinned"]) == ((), [])
        return
    assert built.pinned == ("second",) and how["pinned"] == ["second"] and how["obeys"]
    assert any("gone" in note for note in built.notes)
    with pytest.raises(PrecisionNotMet, match="second"):
        prove_precision(built.layers, graph.convolutions, "fp16")
    exempt = [replace(entry, exempt="asked" if entry.name == "second" else "") for entry in graph.convolutions]
    assert prove_precision(built.layers, exempt, "fp16").share == 1


@pytest.mark.parametrize("version", VERSIONS)
def test_settings_reach_tensorrt(machine: Play, tmp_path: Path, version: str) -> None:
    played = machine(version)
    settings = BuildSettings(level=5, workspace_bytes=1 << 26, tactic_bytes=1 << 27)
    built, plan = in_process(played, graph_for(tmp_path, version), settings=settings)
    how = header(played, plan)
    assert how["level"] == 5 and how["pools"] == {"WORKSPACE": 1 << 26, "TACTIC_DRAM": 1 << 27}
    assert built.workspace_bytes == 1 << 26
    sources = played.trt.TacticSource
    assert how["sources"] == (1 << int(sources.EDGE_MASK_CONVOLUTIONS)) | (1 << int(sources.JIT_CONVOLUTIONS))


@pytest.mark.parametrize("version", VERSIONS)
def test_precision_that_is_not_used_is_found_out(machine: Play, tmp_path: Path, version: str) -> None:
    graph = graph_for(tmp_path, version)
    built, _ = in_process(machine(version, fp32_anyway=True), graph)
    with pytest.raises(PrecisionNotMet, match=r"0\.0% of the convolutions"):
        prove_precision(built.layers, graph.convolutions, "fp16")


FACTORIES = [
    ("Builder", "create_network", "network"),
    ("Builder", "create_builder_config", "configuration"),
    ("Builder", "build_serialized_network", "engine"),
    ("Runtime", "deserialize_cuda_engine", "engine of .* plan"),
    ("ICudaEngine", "create_engine_inspector", "inspector"),
]


@pytest.mark.parametrize("version", ENDS)
@pytest.mark.parametrize(("owner", "name", "what"), FACTORIES)
def test_whatever_is_not_made_ends_the_build(
    machine: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, owner: str, name: str, what: str
) -> None:
    played = machine(version)
    monkeypatch.setattr(getattr(played.trt, owner), name, lambda *_: None)
    with pytest.raises(BuildFailed, match=f"TensorRT made no {what}: "):
        in_process(played, graph_for(tmp_path, version))


def test_a_profile_that_is_not_made_ends_the_build(
    machine: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    played = machine()
    monkeypatch.setattr(played.trt.Builder, "create_optimization_profile", lambda *_: None)
    with pytest.raises(BuildFailed, match="TensorRT made no "):
        in_process(played, graph_for(tmp_path, played.version, "fp16", RANGE))


@pytest.mark.parametrize(("owner", "name"), [("IBuilderConfig", "get_timing_cache"), ("ITimingCache", "serialize")])
def test_a_timing_cache_that_is_not_given_costs_no_engine(
    machine: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: str, name: str
) -> None:
    played = machine()
    monkeypatch.setattr(getattr(played.trt, owner), name, lambda *_: None)
    built, _ = in_process(played, graph_for(tmp_path, played.version), timing_cache=str(tmp_path / "cache"))
    assert any("timing cache was not kept" in note for note in built.notes)


@pytest.mark.parametrize("version", ENDS)
@pytest.mark.parametrize(
    ("knobs", "reason"),
    [
        (
            {"build_fails": "Error Code 10: Could not find any implementation for node second"},
            "any implementation for node",
        ),
        ({"out_of_memory": "build"}, "OutOfMemory"),
    ],
)
def test_a_failed_build_says_why(machine: Play, tmp_path: Path, version: str, knobs: Any, reason: str) -> None:
    played = machine(version, **knobs)
    with pytest.raises(BuildFailed, match=reason):
        in_process(played, graph_for(tmp_path, version))


@pytest.mark.parametrize("version", VERSIONS)
def test_an_unsupported_operator_is_named_with_its_layer(machine: Play, tmp_path: Path, version: str) -> None:
    with pytest.raises(
        InputError, match=rf"TensorRT {version} does not take this graph: layer relu \(Relu\): .*op: Relu"
    ):
        in_process(machine(version, unsupported="Relu"), graph_for(tmp_path, version))


def test_a_damaged_graph_is_an_input_error(machine: Play, tmp_path: Path) -> None:
    played = machine()
    graph = replace(graph_for(tmp_path, played.version), onnx=b"rubbish")
    with pytest.raises(InputError, match="does not take this graph"):
        in_process(played, graph)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_timing_cache_is_kept_and_found_again(machine: Play, tmp_path: Path, version: str) -> None:
    played, file = machine(version), str(tmp_path / "caches" / "cache")
    graph = graph_for(tmp_path, version)
    found = [in_process(played, graph, timing_cache=file) for _ in range(2)]
    assert [built.cache for built, _ in found] == ["new", "hit"]
    assert [header(played, plan)["cache_hits"] > 0 for _, plan in found] == [False, True]


def test_a_timing_cache_that_tensorrt_refuses_is_begun_anew(machine: Play, tmp_path: Path) -> None:
    file = tmp_path / "cache"
    played = machine("10.3.0")
    in_process(played, graph_for(tmp_path, "10.3.0"), timing_cache=str(file))
    played = machine("10.7.0")
    graph = graph_for(tmp_path, "10.7.0")
    states = [in_process(played, graph, timing_cache=str(file))[0].cache for _ in range(2)]
    assert states[0].startswith("new: TensorRT does not take") and states[1] == "hit"
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    assert "damaged" in in_process(played, graph, timing_cache=str(file))[0].cache


def test_a_timing_cache_that_cannot_be_kept_costs_no_engine(machine: Play, tmp_path: Path) -> None:
    played = machine()
    (tmp_path / "file").write_text("in the way")
    built, _ = in_process(played, graph_for(tmp_path, played.version), timing_cache=str(tmp_path / "file" / "cache"))
    assert any("timing cache was not kept" in note for note in built.notes)


# In a process of its own


def in_child(played: FakeMachine, folder: Path, **options: Any) -> Any:
    graph = graph_for(folder, played.version)
    return build_in_process(graph.onnx, job_for(graph, played.version), folder / "made.plan", **options)


@pytest.mark.parametrize("version", ["8.6.0", "10.3.0", "11.4.0.106"])
def test_a_child_process_builds(machine: Play, tmp_path: Path, version: str) -> None:
    played, told = machine(version), []
    built = in_child(played, tmp_path, tell=told.append)
    assert built.tensorrt == version and built.cuda_driver == "12.6"
    assert bool(told) is (version in MONITORED)
    assert header(played, (tmp_path / "made.plan").read_bytes())["tensorrt"] == version
    assert left_over(tmp_path) == ["made.plan"] and played.clean()


@pytest.mark.parametrize(
    ("knobs", "error", "said"),
    [
        ({"crash": "segfault"}, BuildFailed, r"crashed \(signal 11\)"),
        ({"crash": "kill"}, BuildFailed, "memory ran out: add swap"),
        ({"build_fails": "Error Code 10"}, BuildFailed, "Error Code 10"),
        ({"unsupported": "Relu"}, InputError, r"layer relu \(Relu\)"),
        ({"integrated": False, "free": 100 << 20}, BuildTooLarge, "GPU memory"),
        ({"driver": False}, NoDevice, "no NVIDIA driver"),
        ({"devices": 0}, NoDevice, "finds no GPU"),
        ({"init": 999}, NoDevice, "error 999"),
        ({"tensorrt": False}, MissingDependency, "python3-libnvinfer"),
        ({"pycuda": False}, MissingDependency, "PyCUDA is missing"),
    ],
)
def test_a_child_that_fails_leaves_an_error_and_nothing_else(
    machine: Play, tmp_path: Path, knobs: Any, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        in_child(machine("10.3.0", **knobs), tmp_path)
    assert left_over(tmp_path) == []


def test_an_interrupt_ends_the_child_and_leaves_nothing(
    machine: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    children: list[Any] = []
    popen = subprocess.Popen

    def noted(*arguments: Any, **options: Any) -> Any:
        children.append(popen(*arguments, **options))
        return children[-1]

    def interrupt(event: dict[str, Any]) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(process.subprocess, "Popen", noted)
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        in_child(machine("10.3.0", step_seconds=30), tmp_path, tell=interrupt)
    assert time.monotonic() - start < 20
    assert children[0].poll() == -signal.SIGKILL and left_over(tmp_path) == []


def test_a_child_ends_with_its_caller(machine: Play, tmp_path: Path) -> None:
    """The caller is killed in the middle: nobody is left to end the build."""
    played = machine("10.3.0", step_seconds=30)
    graph = graph_for(tmp_path, played.version)
    (tmp_path / "graph").write_bytes(graph.onnx)
    (tmp_path / "job").write_text(job_for(graph, played.version).to_json())
    code = f"""
import os
from pathlib import Path
from edgesr.export.builder.job import BuildJob
from edgesr.export.builder import process
popen = process.subprocess.Popen
def noted(*arguments, **options):
    child = popen(*arguments, **options)
    print(child.pid, flush=True)
    return child
process.subprocess.Popen = noted
folder = Path({str(tmp_path)!r})
job = BuildJob.from_json((folder / "job").read_text())
process.build_in_process((folder / "graph").read_bytes(), job, folder / "plan", tell=lambda event: os.kill(os.getpid(), 9))
"""
    caller = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert caller.returncode == -9, caller.stderr
    child, deadline = int(caller.stdout), time.monotonic() + 10
    while is_running(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_running(child)


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
