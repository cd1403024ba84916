"""What inspect says of a file: the card, every verdict of this machine, the rules of TensorRT."""

import io
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console
from tests.runtime.cards import CARD, PLAN, engine

from edgesr.export import inspect
from edgesr.export.inspect import EngineReport, inspect_engine, inspect_file, report_table
from edgesr.runtime.card import card_path, file_sha256
from edgesr.runtime.cuda import DeviceFacts
from edgesr.runtime.errors import BackendFailed, ForeignModel, InputError, MissingDependency, MissingFile, NoDevice

ORIN = DeviceFacts("Orin", "8.7", True, "12.6", 8 << 30, 5 << 30)
LAYERS = '{"Layers": [{"Name": "conv\x1f[b]", "LayerType": "CaskConvolution", "TacticName": "sm87_\\u001b[2J"}]}'


class FakeTensorRT:
    """Opens one plan and no other."""

    __version__ = "10.3.0"
    LayerInformationFormat = SimpleNamespace(JSON=1)
    ILogger = type("ILogger", (), {"INTERNAL_ERROR": 0, "ERROR": 1, "WARNING": 2})

    @staticmethod
    def Runtime(logger: Any) -> Any:
        def deserialize(plan: bytes) -> Any:
            if plan != PLAN:
                logger.log(1, "magic tag does not match")
                return None
            return SimpleNamespace(
                create_engine_inspector=lambda: SimpleNamespace(get_engine_information=lambda kind: LAYERS),
                device_memory_size=0,
            )

        return SimpleNamespace(deserialize_cuda_engine=deserialize)


class FakeDevice:
    def __enter__(self) -> "FakeDevice":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    current = __enter__


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> FakeTensorRT:
    """This machine becomes the one that the card was written on."""
    trt = FakeTensorRT()
    monkeypatch.setattr(inspect, "import_tensorrt", lambda: trt)
    monkeypatch.setattr(inspect, "load_tensorrt", lambda: trt)
    monkeypatch.setattr(inspect, "device_facts", lambda: ORIN)
    monkeypatch.setattr(inspect, "CudaDevice", FakeDevice)
    return trt


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine has neither TensorRT nor a GPU."""

    def no_tensorrt() -> None:
        raise MissingDependency("TensorRT's Python module is missing")

    def no_gpu() -> None:
        raise NoDevice("no NVIDIA driver was found")

    monkeypatch.setattr(inspect, "import_tensorrt", no_tensorrt)
    monkeypatch.setattr(inspect, "device_facts", no_gpu)


def results(report: EngineReport) -> dict[str, str]:
    return {verdict.question: verdict.result for verdict in report.verdicts}


def said(report: EngineReport, question: str) -> str:
    return next(verdict.said for verdict in report.verdicts if verdict.question == question)


def printed(report: Any) -> str:
    console = Console(width=200, file=io.StringIO())
    console.print(report_table(report))
    return console.file.getvalue()


OK = dict.fromkeys(["card", "bytes", "TensorRT", "GPU", "plan"], "ok") | {"signature": "not asked"}


@pytest.mark.usefixtures("board")
def test_the_machine_that_built_it_would_run_it(tmp_path: Path) -> None:
    report = inspect_engine(engine(tmp_path))
    assert results(report) == OK and report.runs_here
    assert [(layer.name, layer.kind, layer.tactic) for layer in report.layers] == [
        (r"conv\x1f[b]", "CaskConvolution", r"sm87_\x1b[2J")
    ]
    assert r"conv\x1f[b]" in printed(report) and "this machine would run it" in printed(report)
    assert (report.card, report.identity, report.plan_bytes) == (CARD, CARD.identity, len(PLAN))
    assert said(report, "GPU").startswith("Orin (compute capability 8.7), driver for CUDA 12.6, 5,120 of 8,192 MiB")
    assert json.loads(json.dumps(asdict(report), allow_nan=False))["card"]["gpu"] == "Orin"


def test_every_check_is_told_not_only_the_first_that_fails(tmp_path: Path, board: FakeTensorRT) -> None:
    path = engine(tmp_path, tensorrt="8.6.2", gpu="NVIDIA H200", compute_capability="9.0")
    path.write_bytes(b"other")
    report = inspect_engine(path)
    assert results(report) == OK | {"bytes": "refused", "TensorRT": "refused", "GPU": "refused", "plan": "not asked"}
    assert not report.runs_here and report.layers == []
    assert "TensorRT 8.6.2, this machine has 10.3.0" in said(report, "TensorRT")
    assert "NVIDIA H200 (compute capability 9.0), this machine has Orin (8.7)" in said(report, "GPU")


@pytest.mark.usefixtures("bare")
def test_without_tensorrt_and_gpu_the_card_is_read_all_the_same(tmp_path: Path) -> None:
    report = inspect_engine(engine(tmp_path))
    assert results(report) == OK | {"TensorRT": "refused", "GPU": "refused", "plan": "not asked"}
    text = printed(report)
    assert "TensorRT's Python module is missing" in text and "no NVIDIA driver was found" in text
    for fact in (
        "made x4",
        "160x90 to 640x360",
        "fp16: 97.0%",
        "96.0% fp16, 4.0% fp32",
        "tail: fp32",
        "mean: statistic",
        "96x64 with ONNX Runtime: every byte equal",
        "10.3.0",
        "42 s",
        "3.0 MiB",
        CARD.plan_sha256,
        CARD.command,
    ):
        assert fact in text


@pytest.mark.usefixtures("board")
def test_without_a_card_the_machine_is_told_and_no_plan_is_opened(tmp_path: Path) -> None:
    path = engine(tmp_path)
    card_path(path).write_text('{"schema": 99}')
    report = inspect_engine(path)
    assert results(report) == {"card": "refused", "TensorRT": "ok", "GPU": "ok", "plan": "not asked"}
    assert "schema 99" in printed(report) and report.card is None and not report.runs_here


def test_a_plan_that_tensorrt_does_not_open_is_refused_with_its_reason(
    tmp_path: Path, board: FakeTensorRT, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.export.test_inspect.PLAN", b"another")
    report = inspect_engine(engine(tmp_path))
    assert results(report) == OK | {"plan": "refused"} and not report.runs_here
    assert "magic tag does not match" in said(report, "plan")


@pytest.mark.parametrize("answer", ["", "{", '{"Layers": 5}', "[" * 9999])
def test_an_engine_whose_layers_cannot_be_read_runs_all_the_same(
    tmp_path: Path, board: FakeTensorRT, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    monkeypatch.setattr("tests.export.test_inspect.LAYERS", answer)
    report = inspect_engine(engine(tmp_path))
    assert report.runs_here and report.layers == []


def test_a_gpu_that_fails_is_a_verdict_too(
    tmp_path: Path, board: FakeTensorRT, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing() -> DeviceFacts:
        raise BackendFailed("CUDA failed:\n\x1b[31mcuMemGetInfo")

    monkeypatch.setattr(inspect, "device_facts", failing)
    assert said(inspect_engine(engine(tmp_path)), "GPU") == r"CUDA failed: \x1b[31mcuMemGetInfo"


@pytest.mark.usefixtures("board")
def test_signatures_are_asked_where_a_key_is_given(tmp_path: Path) -> None:
    pytest.importorskip("cryptography", reason="signatures need cryptography: pip install 'edgesr[trust]'")
    from edgesr.export.sign import make_key_pair, sign_card

    private, public = make_key_pair(tmp_path / "robot")
    signed = sign_card(CARD, private)
    report = inspect_engine(engine(tmp_path, signed), trust=public)
    assert results(report) == OK | {"signature": "ok"} and said(report, "signature") == f"by {signed.signer}"
    assert f"by {signed.signer}" in printed(report)
    report = inspect_engine(engine(tmp_path), trust=public)
    assert results(report) == OK | {"signature": "refused", "plan": "not asked"} and not report.runs_here
    with pytest.raises(InputError, match="is a private key"):
        inspect_engine(engine(tmp_path), trust=private)


@pytest.mark.usefixtures("bare")
def test_hostile_text_reaches_no_terminal_and_no_markup(tmp_path: Path) -> None:
    odd = "\x1b[2J[bold red]x[/bold red]"
    card = replace(CARD, gpu=odd, proof={odd: [odd]}, parity=[{odd: odd}], settings={odd: odd})
    text = printed(inspect_engine(engine(tmp_path, card)))
    assert "\x1b" not in text and text.count(r"\x1b[2J[bold red]x[/bold red]") == 7
    with pytest.raises(MissingFile):
        inspect_engine(tmp_path / "none.engine")


@pytest.mark.usefixtures("bare")
def test_a_file_is_inspected_by_its_suffix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(inspect_file(engine(tmp_path)), EngineReport)
    with pytest.raises(InputError, match=r"expected one ending in \.engine or \.onnx"):
        inspect_file(tmp_path / "a.pt")
    with pytest.raises(InputError, match="carries no signature"):
        inspect_file(tmp_path / "a.onnx", trust=tmp_path / "robot.pub")
    monkeypatch.setitem(sys.modules, "edgesr.export.inspect_onnx", None)
    with pytest.raises(MissingDependency, match=r"pip install .*\[engine\]'"):
        inspect_file(tmp_path / "a.onnx")


onnx = pytest.importorskip("onnx", reason="reading .onnx files needs onnx")

from tests.export.made import SPEC, deployed, identity, node, saved


def made() -> Any:
    return deployed([node("Conv", "low w", "high", kernel_shape=[1, 1])], {"w": identity()})


def test_an_onnx_file_is_told_by_its_metadata_and_its_graph(tmp_path: Path) -> None:
    path = saved(made(), tmp_path / "a.onnx", precision="fp16", fp32_nodes='["a", "b"]', weights_sha256="ab" * 32)
    report = inspect_file(path)
    assert (report.spec, report.form, report.precision, report.fp32_nodes) == (SPEC, "portable", "fp16", 2)
    assert report.ends == dict.fromkeys(["frame", "upscaled"], "uint8 (1, height, width, 3)")
    assert (report.opsets, report.ir_version, report.broken_rules) == ({"": 17}, 8, [])
    assert (report.sha256, report.weights_sha256) == (file_sha256(path), "ab" * 32)
    text = printed(report)
    assert "made x1, rgb" in text and "fp16, 2 nodes in FP32" in text and "breaks no rule" in text
    json.dumps(asdict(report))


def test_what_tensorrt_would_not_take_is_listed(tmp_path: Path) -> None:
    model = made()
    clip = next(one for one in model.graph.node if one.op_type == "Clip")
    clip.op_type, clip.name = "Identity", "[bold]\x1b"
    del clip.input[1:]
    model.graph.node[-1].name = "[bold]\x1b"
    report = inspect_file(saved(model, tmp_path / "a.onnx"))
    assert report.broken_rules == [r"[bold]\x1b: is undefined outside 0–255: a Clip must stand before it"]
    assert report.broken_rules[0] in printed(report)


def test_a_foreign_onnx_is_told_as_one(tmp_path: Path) -> None:
    model = made()
    del model.metadata_props[:]
    (tmp_path / "a.onnx").write_bytes(model.SerializeToString())
    report = inspect_file(tmp_path / "a.onnx")
    assert (report.spec, report.form, report.precision) == (None, "not said", "not said")
    assert "not written by edgesr-export" in printed(report)


def unknown_type(model: Any) -> None:
    model.graph.initializer[0].data_type = 67


def no_nodes(model: Any) -> None:
    del model.graph.node[:]


def values_in_a_missing_file(model: Any) -> None:
    constant = model.graph.initializer[0]
    constant.external_data.add(key="location", value="nowhere.bin")
    constant.data_location = onnx.TensorProto.EXTERNAL


@pytest.mark.parametrize("plant", [unknown_type, no_nodes, values_in_a_missing_file])
def test_an_onnx_that_holds_nonsense_is_one_line(tmp_path: Path, plant: Any) -> None:
    model = made()
    plant(model)
    (tmp_path / "a.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(InputError) as caught:
        inspect_file(tmp_path / "a.onnx")
    assert str(caught.value).isprintable() and str(tmp_path / "a.onnx") in str(caught.value)


def test_text_that_is_none_is_damage(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(made().SerializeToString().replace(b"upscaled", b"upsc\xffled"))
    with pytest.raises(ForeignModel, match="or a damaged one"):
        inspect_file(tmp_path / "a.onnx")


def test_a_damaged_onnx_is_one_line(tmp_path: Path) -> None:
    path, data = tmp_path / "a.onnx", made().SerializeToString()
    for damaged in (b"", b"\0" * 99, b"not a model", data[: len(data) // 2], data[:-7]):
        path.write_bytes(damaged)
        with pytest.raises(ForeignModel) as caught:
            inspect_file(path)
        assert str(caught.value).isprintable()
    for spec in ("{", '{"name": 5}', "[" * 9999, SPEC.to_json().replace('"made"', "5")):
        with pytest.raises(InputError) as caught:
            inspect_file(saved(made(), path, spec=spec))
        assert str(caught.value).isprintable()
    with pytest.raises(MissingFile):
        inspect_file(tmp_path / "none.onnx")
