from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgesr.benchmarks.contenders import BackendContender, BareContender, labels_of, open_contender
from edgesr.benchmarks.peers import BareGraph, form_of
from edgesr.runtime.errors import ForeignModel, FrameTooLarge, InputError, MissingFile

MakeModel = Callable[..., Path]
FRAME = np.arange(16 * 32 * 3, dtype=np.uint8).reshape(16, 32, 3)


def test_form(make_model: MakeModel) -> None:
    assert form_of(make_model("bytes")) == "cpu"
    assert form_of(make_model("floats", "bare")) == "bare"
    assert form_of(make_model("foreign", metadata=False)) is None


def test_the_form_decides_what_it_is_opened_as(make_model: MakeModel) -> None:
    kinds = {}
    for model in (str(make_model("bytes")), str(make_model("floats", "bare")), "bicubic:2"):
        contender = open_contender(model, threads=1)
        kinds[contender.form] = type(contender)
        assert contender.spec.scale == 2
        contender.close()
    assert kinds == {"cpu": BackendContender, "bare": BareContender, "": BackendContender}


def test_bare_graph_sees_the_frame_as_planes_of_red_green_blue(make_model: MakeModel) -> None:
    graph = BareGraph(make_model("floats", "bare"), threads=1)
    graph.infer(FRAME)
    assert graph.network_ns > 0
    blue = graph._high[0, 2] * 255  # what a nearest-neighbour graph gives is what it was given
    assert np.allclose(blue, FRAME[..., 0].repeat(2, axis=0).repeat(2, axis=1))
    graph.close()
    graph.close()


def test_bare_graph_of_a_fixed_size_refuses_another(make_model: MakeModel) -> None:
    graph = BareGraph(make_model("floats", "bare", size=(64, 16)))
    with pytest.raises(InputError, match=r"the frame is 32x16; .* exported for 64x16 only"):
        graph.infer(FRAME)


def test_bare_graph_refuses_what_does_not_fit_into_memory(
    make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgesr.runtime.memory.available_bytes", lambda: 1000)
    with pytest.raises(FrameTooLarge, match="32x16 through"):
        BareGraph(make_model("floats", "bare")).infer(FRAME)


def test_what_cannot_be_opened(make_model: MakeModel, tmp_path: Path) -> None:
    junk = tmp_path / "junk.onnx"
    junk.write_bytes(b"no graph")
    with pytest.raises(ForeignModel, match=r"junk.onnx cannot be loaded as ONNX"):
        open_contender(str(junk), None)
    with pytest.raises(MissingFile, match="does not exist"):
        open_contender(str(tmp_path / "none.onnx"), None)
    with pytest.raises(ForeignModel, match=r"not written by edgesr-export"):
        open_contender(str(make_model("foreign", metadata=False)), None)


def test_labels_are_short_and_tell_equals_apart() -> None:
    given = ["a/x4.cpu.onnx", "bicubic", "b/x4.cpu.onnx", "bicubic:2"]
    assert labels_of(given) == ["x4.cpu (1)", "bicubic", "x4.cpu (2)", "bicubic:2"]
