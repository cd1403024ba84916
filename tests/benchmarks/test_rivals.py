import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgesr.benchmarks.contenders import BackendContender, BareContender, digest_of, labels_of, open_contender
from edgesr.benchmarks.latency import LatencySettings, measure_latency
from edgesr.benchmarks.peers import BareGraph
from edgesr.benchmarks.rivals import RIVALS, Graph, RivalBackend, open_rival, split_rival
from edgesr.benchmarks.rivals.base import calm_module
from edgesr.runtime.errors import BackendFailed, ForeignModel, InputError, MissingDependency, MissingFile

MakeModel = Callable[..., Path]
FRAME = np.random.default_rng(0).integers(0, 256, (16, 32, 3)).astype(np.uint8)


class Played(Graph):
    """Repeats pixels, like the models of `make_model`; counts what it was prepared for."""

    title, module = "Played", "numpy"
    prepared: tuple[tuple[str, tuple[int, ...]], ...] = ()

    def prepare(self, name: str, shape: tuple[int, ...]) -> None:
        self.prepared = (*self.prepared, (name, shape))

    def run(self, array: Any) -> Any:
        down, right = (1, 2) if array.dtype == np.uint8 else (2, 3)
        return array.repeat(2, axis=down).repeat(2, axis=right)


@pytest.fixture(autouse=True)
def played(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RIVALS, "openvino", Played)


def test_a_file_with_bytes_runs_whole_frames_and_a_bare_one_does_not(
    make_model: MakeModel, hasty: Callable[..., LatencySettings], photos: Path
) -> None:
    ours, bare = make_model("bytes"), make_model("floats", "bare")
    found = measure_latency(hasty(ours, f"openvino:{ours}", f"openvino:{bare}", data=(str(photos),)))
    mine, theirs, floats = found.models
    assert "whole frame" in theirs.samples_ns and set(floats.samples_ns) == {"network"}
    assert theirs.quality == mine.quality  # the same bytes
    assert theirs.settings["backend"] == "Played" and theirs.settings["numpy"] == np.__version__
    assert [model.label for model in found.models] == ["bytes", "openvino:bytes", "openvino:floats"]
    assert theirs.sha256 == mine.sha256 is not None


def test_a_size_is_prepared_once(make_model: MakeModel) -> None:
    opened = open_rival("openvino", make_model("bytes"), threads=1)
    assert isinstance(opened, RivalBackend)
    for pixels in (FRAME, FRAME, FRAME[:8]):
        assert np.array_equal(opened.infer(pixels), pixels.repeat(2, axis=0).repeat(2, axis=1))
    assert opened._graph.prepared == (("frame", (1, 16, 32, 3)), ("frame", (1, 8, 32, 3)))
    opened.close()
    opened.close()


def test_bare_floats_are_planes_of_red_green_blue(make_model: MakeModel) -> None:
    path = make_model("floats", "bare")
    reference = BareGraph(path, threads=1)
    reference.infer(FRAME)
    made = open_rival("openvino", path, threads=1).infer(FRAME)
    assert np.allclose(made, reference._high)


def test_opencv_gives_what_onnx_runtime_gives(make_model: MakeModel) -> None:
    pytest.importorskip("cv2")
    path = make_model("floats", "bare")
    reference = BareGraph(path, threads=1)
    reference.infer(FRAME)
    opened = open_rival("opencv", path, threads=2)
    assert np.allclose(opened.infer(FRAME), reference._high, atol=1e-5)
    assert opened.network_ns > 0 and opened.settings["threads"] == 2


def test_what_a_runtime_does_wrong_is_one_line(make_model: MakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_model("bytes")

    def fail(_self: Played, _array: Any) -> Any:
        raise ValueError("OpenCV(5.0.0) /a/b.cpp:385: error: (-5:Bad argument) no\n such layer")

    monkeypatch.setattr(Played, "run", fail)
    with pytest.raises(BackendFailed, match=r"Played failed on 32x16: \(-5:Bad argument\) no such layer; a bare graph"):
        open_rival("openvino", path, None).infer(FRAME)
    monkeypatch.setattr(Played, "run", lambda _self, array: array)
    with pytest.raises(BackendFailed, match=r"gave uint8 \(1, 16, 32, 3\); expected uint8 \(1, 32, 64, 3\)"):
        open_rival("openvino", path, None).infer(FRAME)


def test_what_cannot_be_opened(make_model: MakeModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Played, "module", "no_such_module")
    with pytest.raises(MissingDependency, match=r"openvino:bytes.onnx needs openvino .* pip install .*\[peers\]"):
        open_contender(f"openvino:{make_model('bytes')}", None)
    with pytest.raises(MissingFile, match=r"expected an \.onnx file of edgesr-export after the colon"):
        open_contender(f"opencv:{tmp_path}", None)
    with pytest.raises(ForeignModel, match=r"lacks edgesr\.form"):
        open_contender(f"opencv:{make_model('foreign', metadata=False)}", None)
    with pytest.raises(InputError, match="no model that can be run"):
        open_contender("onnx:x", None)


@pytest.mark.parametrize("kind", RIVALS)
def test_every_runtime_says_what_it_is(kind: str) -> None:
    rival = RIVALS[kind]
    assert rival.title and rival.module and rival.suffix in (".onnx", ".pt2") and "fp32" in rival.precisions
    assert rival.lacks("bf16")
    with pytest.raises(MissingFile, match=rf"{kind}:none: expected an? \{rival.suffix} file"):
        open_contender(f"{kind}:none", None)


def test_idle_threads_sleep_unless_the_user_has_said_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    for said, found in (("ACTIVE", "ACTIVE"), (None, "PASSIVE")):
        monkeypatch.setenv("OMP_WAIT_POLICY", said or "")
        if said is None:
            monkeypatch.delenv("OMP_WAIT_POLICY")
        assert calm_module("json").__name__ == "json" and os.environ["OMP_WAIT_POLICY"] == found


def test_names() -> None:
    assert split_rival("ncnn:a/b.onnx") == ("ncnn", "a/b.onnx")
    assert split_rival("default:2") == ("", "default:2")
    assert labels_of(["opencv:a/x4.onnx", "x4.onnx", "opencv:b/x4.onnx"]) == ["opencv:x4 (1)", "x4", "opencv:x4 (2)"]
    assert digest_of("default:2") is not None and digest_of("bicubic:2") is None


def test_contenders_are_of_the_usual_kinds(make_model: MakeModel) -> None:
    bytes_, floats = (open_contender(f"openvino:{make_model(*kind)}", 1) for kind in (("b",), ("f", "bare")))
    assert isinstance(bytes_, BackendContender) and isinstance(floats, BareContender)
