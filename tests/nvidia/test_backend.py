"""The TensorRT backend, over every version that we claim and on both kinds of GPU: what it computes, and what it gives back."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx", reason="the fake TensorRT reads ONNX")

from tests.nvidia.engines import RANGE, SIZE, expected, install
from tests.nvidia.machine import FakeMachine
from tests.nvidia.surface import VERSIONS

from edgesr.runtime.backends import open_backend
from edgesr.runtime.backends.tensorrt import TensorRTBackend
from edgesr.runtime.card import card_path
from edgesr.runtime.errors import (
    BackendFailed,
    EngineRefused,
    InputError,
    MissingDependency,
    MissingFile,
    NoDevice,
    UntrustedEngine,
)

Play = Callable[..., FakeMachine]
WIDTH, HEIGHT = SIZE
FRAME = np.random.default_rng(2).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
INTEGRATED = pytest.mark.parametrize("integrated", [True, False], ids=["board", "card"])


def frames(width: int = WIDTH, height: int = HEIGHT, count: int = 1) -> "list[np.ndarray[Any, Any]]":
    return list(np.random.default_rng(3).integers(0, 256, (count, height, width, 3), dtype=np.uint8))


def since(played: FakeMachine, work: Callable[[], Any]) -> list[str]:
    """What the GPU was asked while `work` ran."""
    before = len(played.ops)
    work()
    return played.ops[before:]


@INTEGRATED
@pytest.mark.parametrize("version", VERSIONS)
def test_it_computes_what_onnx_runtime_does(machine: Play, tmp_path: Path, version: str, integrated: bool) -> None:
    played = machine(version, integrated=integrated)
    with open_backend(install(tmp_path, played)) as backend:
        for frame in frames(count=3):
            assert np.array_equal(backend.infer(frame), expected(tmp_path, frame))
        assert backend.settings["cuda_graph"] == "on" and backend.settings["tensorrt"] == version
        assert backend.network_ns >= 0 and set(backend.copies_ns) == (set() if integrated else {"upload", "download"})
    assert played.clean()


@INTEGRATED
@pytest.mark.parametrize("version", ["8.6.0", "11.4.0.106"])
def test_a_frame_allocates_nothing_and_waits_once(
    machine: Play, tmp_path: Path, version: str, integrated: bool
) -> None:
    played = machine(version, integrated=integrated)
    copy = [] if integrated else ["upload"]
    back = [] if integrated else ["download"]
    with TensorRTBackend(install(tmp_path, played)) as backend:
        backend.infer(FRAME)
        done = since(played, lambda: backend.infer(FRAME))
    assert done == ["mark", *copy, "mark", "replay", "launch", "mark", *back, "mark", "synchronize"]


def test_frames_travel_from_and_to_pinned_memory(machine: Play, tmp_path: Path) -> None:
    played = machine(integrated=False)
    with TensorRTBackend(install(tmp_path, played)) as backend:
        backend.infer(FRAME)
    assert {op[2] for op in played.gpu.ops if op[0] in ("upload", "download")} == {"pinned"}


def test_a_board_copies_nothing(machine: Play, tmp_path: Path) -> None:
    played = machine(integrated=True)
    with TensorRTBackend(install(tmp_path, played)) as backend:
        backend.infer(FRAME)
        assert backend.settings["memory"] == "mapped"
        assert {memory.kind for memory in played.gpu.memory.values()} == {"pinned"}
    assert not {"upload", "download"} & set(played.ops)


@INTEGRATED
@pytest.mark.parametrize("stage", ["begin", "enqueue", "end", "instantiate"])
def test_what_cannot_be_captured_is_launched(machine: Play, tmp_path: Path, stage: str, integrated: bool) -> None:
    played = machine(integrated=integrated, capture_fails=stage)
    with TensorRTBackend(install(tmp_path, played)) as backend:
        for frame in frames(count=2):
            assert np.array_equal(backend.infer(frame), expected(tmp_path, frame))
        assert str(backend.settings["cuda_graph"]).startswith("not captured: ")
        assert "replay" not in played.ops
    assert played.clean()


@pytest.mark.parametrize("missing", ["cuStreamBeginCapture_v2", "cuGraphInstantiateWithFlags"])
def test_an_old_driver_captures_nothing(machine: Play, tmp_path: Path, missing: str) -> None:
    played = machine(missing=[missing])
    with TensorRTBackend(install(tmp_path, played)) as backend:
        assert np.array_equal(backend.infer(FRAME), expected(tmp_path, FRAME))
        assert "too old" in str(backend.settings["cuda_graph"])
    assert played.clean()


def test_a_graph_that_does_not_launch_is_an_error(machine: Play, tmp_path: Path) -> None:
    played = machine(capture_fails="launch")
    with TensorRTBackend(install(tmp_path, played)) as backend, pytest.raises(BackendFailed, match="cuGraphLaunch"):
        backend.infer(FRAME)
    assert played.clean()


def test_capturing_can_be_switched_off(machine: Play, tmp_path: Path) -> None:
    played = machine()
    with TensorRTBackend(install(tmp_path, played), cuda_graph=False) as backend:
        assert np.array_equal(backend.infer(FRAME), expected(tmp_path, FRAME))
        assert backend.settings["cuda_graph"] == "off" and "replay" not in played.ops
    assert played.clean()


@INTEGRATED
@pytest.mark.parametrize("version", VERSIONS)
def test_sizes_change_underway(machine: Play, tmp_path: Path, version: str, integrated: bool) -> None:
    played = machine(version, integrated=integrated)
    with TensorRTBackend(install(tmp_path, played, "fp32", RANGE)) as backend:
        for width, height in (SIZE, (64, 48), (128, 96), (16, 16), SIZE):
            (frame,) = frames(width, height)
            for _ in range(2):
                assert np.array_equal(backend.infer(frame), expected(tmp_path, frame))
            assert played.gpu.left()["pinned memory"] == 2 and played.gpu.left()["executable graphs"] == 1
    assert {op[1] for op in played.gpu.ops if op[0] == "launch"} == {0, 1}
    assert played.clean()


@pytest.mark.parametrize("size", [(31, 24), (8, 8), (128, 24)])
def test_a_size_it_was_not_built_for_is_refused_and_costs_nothing(
    machine: Play, tmp_path: Path, size: tuple[int, int]
) -> None:
    played = machine()
    with TensorRTBackend(install(tmp_path, played)) as backend:
        backend.infer(FRAME)
        before = len(played.ops)
        with pytest.raises(InputError, match="was built for 32x24"):
            backend.infer(*frames(*size))
        assert len(played.ops) == before
        assert np.array_equal(backend.infer(FRAME), expected(tmp_path, FRAME))
    assert played.clean()


@pytest.mark.parametrize("frame", [FRAME[:, :, :1], FRAME.astype(np.float32), FRAME[0]])
def test_what_is_no_frame_is_refused(machine: Play, tmp_path: Path, frame: Any) -> None:
    played = machine()
    with TensorRTBackend(install(tmp_path, played)) as backend, pytest.raises(InputError, match="expected uint8"):
        backend.infer(frame)
    assert played.clean()


def test_a_frame_need_not_be_contiguous(machine: Play, tmp_path: Path) -> None:
    played = machine()
    flipped = FRAME[:, ::-1]
    with TensorRTBackend(install(tmp_path, played)) as backend:
        assert np.array_equal(backend.infer(flipped), expected(tmp_path, np.ascontiguousarray(flipped)))


@INTEGRATED
def test_an_engine_is_opened_again_and_twice_at_once(machine: Play, tmp_path: Path, integrated: bool) -> None:
    played = machine(integrated=integrated)
    path = install(tmp_path, played)
    for _ in range(3):
        with TensorRTBackend(path) as backend:
            assert np.array_equal(backend.infer(FRAME), expected(tmp_path, FRAME))
        assert played.clean()
    first, second = TensorRTBackend(path), TensorRTBackend(path)
    first.infer(FRAME)
    second.infer(FRAME)
    first.close()
    assert np.array_equal(second.infer(FRAME), expected(tmp_path, FRAME))
    second.close()
    second.close()
    assert played.clean()


def test_a_result_may_be_read_after_the_end(machine: Play, tmp_path: Path) -> None:
    with TensorRTBackend(install(tmp_path, machine())) as backend:
        result = backend.infer(FRAME)
    assert np.array_equal(result, expected(tmp_path, FRAME))


def test_it_belongs_to_its_thread(machine: Play, tmp_path: Path) -> None:
    played = machine()
    caught: list[Exception] = []

    def elsewhere() -> None:
        try:
            backend.infer(FRAME)
        except InputError as error:
            caught.append(error)

    with TensorRTBackend(install(tmp_path, played)) as backend:
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        assert "thread" in str(caught[0])
        assert np.array_equal(backend.infer(FRAME), expected(tmp_path, FRAME))
    assert played.clean()


def test_another_context_of_the_thread_is_left_alone(machine: Play, tmp_path: Path) -> None:
    """As where the caller uses PyCUDA too."""
    played = machine()
    import pycuda.driver as cuda

    cuda.init()
    context = cuda.Device(0).retain_primary_context()
    context.push()
    with TensorRTBackend(install(tmp_path, played)) as backend:
        backend.infer(FRAME)
        assert cuda.Context.get_current() is context
    assert cuda.Context.get_current() is context
    cuda.Context.pop()
    context.detach()
    assert played.clean()


@INTEGRATED
@pytest.mark.parametrize("version", VERSIONS)
def test_layers_are_timed_without_a_captured_graph(
    machine: Play, tmp_path: Path, version: str, integrated: bool
) -> None:
    played = machine(version, integrated=integrated)
    with TensorRTBackend(install(tmp_path, played)) as backend:
        backend.infer(FRAME)
        times = backend.layer_times(FRAME, 4)
        done = since(played, lambda: backend.infer(FRAME))
        assert np.array_equal(backend.infer(FRAME), expected(tmp_path, FRAME))
    assert "replay" not in done and len(times.network_ns) == 4
    assert [layer.samples_ns for layer in times.layers] == [(250_000 * n,) * 4 for n in range(1, len(times.layers) + 1)]
    assert sum("onv" in layer.kind for layer in times.layers) >= 3 and all(layer.name for layer in times.layers)
    assert played.clean()


@pytest.mark.parametrize("said", ["{", "[]", '{"Layers": ["names alone"]}'])
def test_layers_are_timed_where_the_inspector_tells_no_kinds(
    machine: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    played = machine()
    with TensorRTBackend(install(tmp_path, played)) as backend:
        monkeypatch.setattr(played.trt.EngineInspector, "get_engine_information", lambda *_: said)
        times = backend.layer_times(FRAME, 2)
    assert times.layers and {layer.kind for layer in times.layers} == {""}
    assert played.clean()


# What does not fit is refused before TensorRT sees it


def refused(played: FakeMachine, path: Path, error: type[Exception], said: str) -> None:
    runtimes: list[Any] = []
    made = played.trt.Runtime.deserialize_cuda_engine
    played.trt.Runtime.deserialize_cuda_engine = lambda self, plan: runtimes.append(plan) or made(self, plan)
    try:
        with pytest.raises(error, match=said):
            TensorRTBackend(path)
    finally:
        played.trt.Runtime.deserialize_cuda_engine = made
    assert runtimes == [] and played.clean()


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ({"tensorrt": "10.3.1"}, "built by TensorRT 10.3.1, this machine has 10.3.0"),
        ({"gpu": "Thor"}, "built on Thor"),
        ({"compute_capability": "7.2"}, "compute capability 7.2"),
        ({"plan_sha256": "0" * 64}, "is not the plan of its card"),
    ],
)
def test_a_card_that_does_not_fit_is_refused_unread(machine: Play, tmp_path: Path, entries: Any, said: str) -> None:
    played = machine()
    refused(played, install(tmp_path, played, **entries), EngineRefused, said)


def test_no_engine_no_card_and_other_bytes_are_refused(machine: Play, tmp_path: Path) -> None:
    played = machine()
    path = install(tmp_path, played)
    path.write_bytes(path.read_bytes() + b"?")
    refused(played, path, EngineRefused, "is not the plan of its card")
    card_path(path).unlink()
    refused(played, path, EngineRefused, "has no card")
    path.unlink()
    refused(played, path, MissingFile, "does not exist")


def test_a_plan_that_tensorrt_refuses_is_refused_with_its_reason(machine: Play, tmp_path: Path) -> None:
    played = machine()
    path = install(tmp_path, played, plan=b"rubbish, but its card knows it")
    with pytest.raises(EngineRefused, match="kMAGIC_TAG"):
        TensorRTBackend(path)
    assert played.clean()


def test_an_unsigned_card_is_not_trusted(machine: Play, tmp_path: Path) -> None:
    pytest.importorskip("cryptography", reason="signatures need cryptography")
    played = machine()
    path = install(tmp_path, played)
    key = tmp_path / "public.pem"
    key.write_text(
        "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n"
    )
    with pytest.raises(UntrustedEngine):
        TensorRTBackend(path, trust=key)
    assert played.clean()


def test_an_engine_that_makes_another_size_than_its_card_says_is_caught(
    machine: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    played = machine()
    monkeypatch.setattr(played.trt.IExecutionContext, "get_tensor_shape", lambda *_: (1, 48, 64, 3))
    with TensorRTBackend(install(tmp_path, played)) as backend, pytest.raises(BackendFailed, match="expected"):
        backend.infer(FRAME)
    assert played.clean()


@pytest.mark.parametrize(
    ("knobs", "error", "said"),
    [
        ({"driver": False}, NoDevice, "no NVIDIA driver"),
        ({"devices": 0}, NoDevice, "finds no GPU"),
        ({"init": 100}, NoDevice, "finds no GPU"),
        ({"init": 999}, NoDevice, "does not start"),
        ({"tensorrt": False}, MissingDependency, "TensorRT's Python module"),
        ({"pycuda": False}, MissingDependency, "PyCUDA is missing"),
    ],
)
@pytest.mark.parametrize("version", ["8.6.0", "10.3.0"])
def test_a_machine_that_cannot_run_it(
    machine: Play, tmp_path: Path, version: str, knobs: Any, error: type[Exception], said: str
) -> None:
    path = install(tmp_path, machine(version))
    played = machine(version, **knobs)
    with pytest.raises(error, match=said):
        TensorRTBackend(path)
    assert played.clean()


# What gives way underway


@INTEGRATED
@pytest.mark.parametrize("version", ["8.6.0", "10.3.0", "11.4.0.106"])
@pytest.mark.parametrize(
    ("where", "said"), [("context", "GPU memory"), ("alloc", "out of memory"), ("enqueue", "OutOfMemory")]
)
def test_memory_that_runs_out(
    machine: Play, tmp_path: Path, version: str, where: str, said: str, integrated: bool
) -> None:
    played = machine(version, integrated=integrated)
    path = install(tmp_path, played)
    played.gpu.change(out_of_memory=where)
    with pytest.raises(BackendFailed, match=said), TensorRTBackend(path) as backend:
        backend.infer(FRAME)
    assert played.clean()


def test_device_memory_that_runs_out_gives_the_pinned_back(machine: Play, tmp_path: Path) -> None:
    played = machine(integrated=False)
    path = install(tmp_path, played)
    with pytest.raises(BackendFailed, match="cuMemAlloc failed: out of memory"), TensorRTBackend(path) as backend:
        played.gpu.change(free=played.gpu.knobs.free - played.gpu.free_bytes() + FRAME.nbytes)
        backend.infer(FRAME)
    assert played.clean()


@INTEGRATED
def test_memory_that_runs_out_for_one_size_leaves_the_backend_usable(
    machine: Play, tmp_path: Path, integrated: bool
) -> None:
    played = machine(integrated=integrated)
    with TensorRTBackend(install(tmp_path, played, "fp32", RANGE)) as backend:
        backend.infer(FRAME)
        played.gpu.change(out_of_memory="enqueue")
        with pytest.raises(BackendFailed):
            backend.infer(*frames(64, 48))
        played.gpu.change(out_of_memory="")
        assert np.array_equal(backend.infer(FRAME), expected(tmp_path, FRAME))
    assert played.clean()


@INTEGRATED
@pytest.mark.parametrize("graph", [True, False])
def test_a_fault_of_the_gpu_is_told_once_and_the_end_is_calm(
    machine: Play, tmp_path: Path, integrated: bool, graph: bool
) -> None:
    played = machine(integrated=integrated)
    backend = TensorRTBackend(install(tmp_path, played), cuda_graph=graph)
    backend.infer(FRAME)
    played.gpu.change(fault_after=played.gpu.launches + 1)
    with pytest.raises(BackendFailed, match="illegal memory access"):
        backend.infer(FRAME)
    backend.close()
    backend.close()
    assert played.gpu.left() == {}


@pytest.mark.parametrize("name", ["set_tensor_address", "set_input_shape", "execute_async_v3"])
def test_every_false_is_an_error(machine: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    played = machine()
    monkeypatch.setattr(played.trt.IExecutionContext, name, lambda *_: False)
    with TensorRTBackend(install(tmp_path, played)) as backend, pytest.raises(BackendFailed):
        backend.infer(FRAME)
    assert played.clean()


def test_a_profile_that_cannot_be_chosen_is_an_error(
    machine: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    played = machine()
    monkeypatch.setattr(played.trt.IExecutionContext, "set_optimization_profile_async", lambda *_: False)
    with TensorRTBackend(install(tmp_path, played, "fp32", RANGE)) as backend:
        with pytest.raises(BackendFailed, match="profile 1"):
            backend.infer(*frames(128, 96))
        assert np.array_equal(backend.infer(FRAME), expected(tmp_path, FRAME))
    assert played.clean()


def test_an_error_in_the_block_still_gives_all_back(machine: Play, tmp_path: Path) -> None:
    played = machine(integrated=False)
    with pytest.raises(ZeroDivisionError), TensorRTBackend(install(tmp_path, played)) as backend:
        backend.infer(FRAME)
        raise ZeroDivisionError
    assert played.clean()
