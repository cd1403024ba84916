import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgesr.benchmarks.contenders import BackendContender, open_contender
from edgesr.benchmarks.latency import LatencySettings, measure_latency
from edgesr.benchmarks.peers import BareGraph
from edgesr.benchmarks.rivals import RIVALS, open_rival
from edgesr.benchmarks.rivals.providers import CudaProvider, TensorRTProvider, nodes_by_provider
from edgesr.runtime.errors import BackendFailed, NoDevice

MakeModel = Callable[..., Path]
FRAME = np.random.default_rng(0).integers(0, 256, (16, 32, 3)).astype(np.uint8)


class Played(CudaProvider):
    """The same road on the provider that every machine has; nothing of it ran on a GPU."""

    title, provider, device = "Played", "CPUExecutionProvider", "cpu"

    def _providers(self) -> list[Any]:
        return [self.provider]


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RIVALS, "onnxruntime-cuda", Played)


def test_the_bytes_are_those_of_our_own_backend(
    make_model: MakeModel, hasty: Callable[..., LatencySettings], played: None, photos: Path
) -> None:
    path = make_model("bytes", "portable")
    result = measure_latency(hasty(path, f"onnxruntime-cuda:{path}", data=(str(photos),)))
    ours, theirs = result.models
    assert theirs.quality == ours.quality and "whole frame" in theirs.samples_ns
    assert theirs.settings["nodes"] == "1 CPU" and theirs.settings["nodes_on_cpu"] == "1 (1 Resize)"
    assert "onnxruntime-cuda:bytes: ONNX Runtime ran some of its nodes on the CPU: 1 (1 Resize)" in result.notes
    assert "threads" not in theirs.settings


def test_whole_frame_holds_the_copies_and_network_does_not(make_model: MakeModel, played: None) -> None:
    contender = open_contender(f"onnxruntime-cuda:{make_model('bytes', 'portable')}", 1)
    assert isinstance(contender, BackendContender) and contender.on_gpu
    for pixels in (FRAME, FRAME[::-1], FRAME[:8], FRAME):
        made = contender.backend.infer(pixels)
        assert np.array_equal(made, pixels.repeat(2, axis=0).repeat(2, axis=1))
        assert contender.network_ns > 0
    contender.close()
    contender.close()


def test_bare_floats(make_model: MakeModel, played: None) -> None:
    path = make_model("floats", "bare")
    reference = BareGraph(path, threads=1)
    reference.infer(FRAME)
    assert np.allclose(open_rival("onnxruntime-cuda", path, 1).infer(FRAME), reference._high)


@pytest.mark.parametrize("kind", ["onnxruntime-cuda", "onnxruntime-tensorrt"])
def test_a_provider_that_is_not_there_is_one_line(
    kind: str, make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(
        NoDevice, match=r"cannot run bytes\.onnx: onnxruntime .* here has only CPUEx.*pip install onnxruntime-gpu"
    ):
        open_contender(f"{kind}:{make_model('bytes', 'portable')}", None)
    assert "onnxruntime-gpu" in (RIVALS[kind].lacks("fp16") or "")


def test_a_provider_that_does_not_start_is_no_cpu_in_disguise(
    make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Disguised(Played):
        provider = "CUDAExecutionProvider"

        def _providers(self) -> list[Any]:
            return ["CPUExecutionProvider"]  # what is left where its libraries cannot be loaded

    monkeypatch.setattr(
        "onnxruntime.get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"]
    )
    monkeypatch.setitem(RIVALS, "onnxruntime-cuda", Disguised)
    with pytest.raises(NoDevice, match="could not start CUDAExecutionProvider and has CPUExecutionProvider"):
        open_rival("onnxruntime-cuda", make_model("bytes", "portable"), 1).infer(FRAME)


def test_a_provider_that_takes_no_node_is_refused(make_model: MakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Played, "provider", "AzureExecutionProvider")
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["AzureExecutionProvider"])
    monkeypatch.setattr("onnxruntime.InferenceSession.get_providers", lambda _: ["AzureExecutionProvider"])
    monkeypatch.setattr(Played, "_providers", lambda _: ["CPUExecutionProvider"])
    monkeypatch.setitem(RIVALS, "onnxruntime-cuda", Played)
    with pytest.raises(NoDevice, match=r"AzureExecutionProvider took none of the nodes of .*bytes\.onnx: 1 CPU"):
        open_rival("onnxruntime-cuda", make_model("bytes", "portable"), 1).infer(FRAME)


def test_what_a_provider_is_opened_with(make_model: MakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "onnxruntime.get_available_providers", lambda: ["CUDAExecutionProvider", "TensorrtExecutionProvider"]
    )
    path = make_model("bytes", "portable")
    assert CudaProvider(path, 1)._providers() == [("CUDAExecutionProvider", {"device_id": "0", "use_tf32": "0"})]
    tensorrt, cuda = TensorRTProvider(path, 1)._providers()
    assert tensorrt[1] == {"device_id": "0", "trt_fp16_enable": "False", "trt_int8_enable": "False"}
    assert cuda[0] == "CUDAExecutionProvider"
    assert CudaProvider.lacks("int8") == "at int8, in which it does not compute"
    assert CudaProvider.lacks("fp16") is None and TensorRTProvider.lacks("int8") is None


def test_nodes_are_counted_by_what_ran_them(tmp_path: Path) -> None:
    def node(name: str, kind: str, provider: str) -> dict[str, Any]:
        about = {"op_name": kind, "node_index": "0", "provider": provider}
        return {"cat": "Node", "name": name, "dur": 1, "args": about}

    events = [
        node("a_fence_before", "Conv", "CUDAExecutionProvider"),
        node("a_kernel_time", "Conv", "CUDAExecutionProvider"),
        node("b_kernel_time", "Shape", "CPUExecutionProvider"),
        node("c_kernel_time", "Shape", "CPUExecutionProvider"),
        {"cat": "Session", "name": "model_run"},
    ]
    (tmp_path / "p.json").write_text(json.dumps(events))
    assert nodes_by_provider(tmp_path / "p.json") == {
        "CUDAExecutionProvider": {"Conv": 1},
        "CPUExecutionProvider": {"Shape": 2},
    }
    for text in ("[{", "5", '[{"cat": "Node"}]', "[5]"):
        (tmp_path / "p.json").write_text(text)
        with pytest.raises(BackendFailed, match="profiler wrote cannot be read"):
            nodes_by_provider(tmp_path / "p.json")
