import pickle
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest

from edgesr.benchmarks.contenders import BackendContender, labels_of, open_contender, weights_of
from edgesr.benchmarks.latency import LatencySettings, measure_latency
from edgesr.benchmarks.rivals.pytorch import PyTorch, _OnGpu
from edgesr.runtime.errors import ForeignModel, InputError, MissingFile, NoDevice
from edgesr.runtime.program_card import ABOUT, ProgramCard
from edgesr.runtime.spec import ModelSpec

torch = pytest.importorskip("torch")
from torch import nn

FRAME = np.random.default_rng(0).integers(0, 256, (16, 32, 3)).astype(np.uint8)
SPEC = ModelSpec(
    name="bytes", scale=2, colour="rgb", parameters=0, multiply_adds_per_pixel=1.0, receptive_field=1, trained=True
)
CARD = ProgramCard(spec=SPEC, size=(32, 16), precision="fp32", weights_sha256="ab" * 32, torch=torch.__version__)


class Repeats(nn.Module):
    """Like the models of `make_model`, with a weight so that there is one to read."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Parameter(torch.ones(1), requires_grad=False)

    def forward(self, frame: Any) -> Any:
        return (frame * self.one).to(torch.uint8).repeat_interleave(2, 1).repeat_interleave(2, 2)


@pytest.fixture(scope="module")
def exported() -> Any:
    with torch.no_grad():
        return torch.export.export(Repeats(), (torch.zeros(1, 16, 32, 3, dtype=torch.uint8),), strict=False)


@pytest.fixture
def program(exported: Any, tmp_path: Path) -> Callable[..., Path]:
    def write(card: ProgramCard = CARD) -> Path:
        path = tmp_path / "bytes.pt2"
        with path.open("wb") as file:
            torch.export.save(exported, file, extra_files={ABOUT: card.to_json()})
        return path

    return write


@pytest.fixture(autouse=True)
def usual_threads() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_a_program_is_a_contender_with_whole_frames(
    program: Callable[..., Path], make_model: Callable[..., Path], hasty: Callable[..., LatencySettings]
) -> None:
    ours, theirs = make_model("bytes"), program()
    result = measure_latency(hasty(ours, f"pytorch:{theirs}", f"bicubic:{2}", references=(str(theirs),)))
    model = result.models[1]
    assert model.label == "pytorch:bytes" and model.form == "program" and "whole frame" in model.samples_ns
    told = {"backend": "PyTorch", "torch": torch.__version__, "precision": "fp32", "threads": 1, "device": "cpu"}
    assert told.items() <= model.settings.items()
    for parity in (result.models[0].parity, model.parity):
        assert parity is not None and parity.difference == 0 and parity.psnr_db == float("inf") and parity.frames == 1
    assert result.models[2].parity is None


def test_bytes(program: Callable[..., Path]) -> None:
    path = program()
    contender = open_contender(f"pytorch:{path}", 1)
    assert isinstance(contender, BackendContender) and not contender.on_gpu
    for pixels in (FRAME, FRAME[::-1]):
        assert np.array_equal(contender.backend.infer(pixels), pixels.repeat(2, axis=0).repeat(2, axis=1))
        assert contender.network_ns > 0
    assert torch.get_num_threads() == 1
    with pytest.raises(InputError, match=r"the frame is 32x8; .*bytes\.pt2 takes 32x16 alone: .* --size 32x8"):
        contender.check(FRAME[:8])
    contender.close()
    contender.close()


def test_what_a_card_says_of_weights(program: Callable[..., Path], make_model: Callable[..., Path]) -> None:
    assert weights_of(f"pytorch:{program()}") == "ab" * 32
    assert weights_of(str(make_model("bytes"))) is None and weights_of("bicubic:2") is None
    assert weights_of("default:2") is not None
    assert labels_of(["pytorch:a/x.pt2"]) == ["pytorch:x"]


def test_fp16_is_for_a_gpu(program: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(NoDevice, match=r"bytes\.pt2 is FP16, which is for a GPU.* --precision fp32"):
        open_contender(f"pytorch:{program(replace(CARD, precision='fp16'))}", 1)
    assert PyTorch.lacks("fp16") == "at fp16 needs a GPU, and PyTorch finds none"
    assert PyTorch.lacks("fp32") is None
    assert PyTorch.lacks("int8") == "at int8, in which it does not compute"


def rewritten(path: Path, change: Callable[[str, bytes], bytes | None], **more: bytes) -> Path:
    """The same archive with entries changed, left out, or added."""
    with ZipFile(path) as archive:
        entries = {name: change(name, archive.read(name)) for name in archive.namelist()}
        top = archive.namelist()[0].partition("/")[0]
    with ZipFile(path, "w") as archive:
        for name, data in (entries | {f"{top}/{name.replace('__', '.')}": data for name, data in more.items()}).items():
            if data is not None:
                archive.writestr(name, data)
    return path


class Touch:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_pickled_code_is_not_run(program: Callable[..., Path], tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    torch.save(((Touch(canary),), {}), tmp_path / "bad.pt")
    bad = (tmp_path / "bad.pt").read_bytes()
    pickle.loads(pickle.dumps(Touch(canary)))
    assert canary.exists()  # the trap works
    canary.unlink()
    with_config = b'{"config": {"one": {"path_name": "weight_0", "use_pickle" : true}}}'
    for change, more in (
        (lambda name, data: bad if name.endswith("sample_inputs/model.pt") else data, {}),
        (lambda name, data: with_config if name.endswith("weights_config.json") else data, {}),
        (lambda _, data: data, {"model__so": b"\x7fELF"}),
        (lambda _, data: data, {"weights__pt": bad}),
    ):
        path = rewritten(program(), change, **more)
        with pytest.raises(
            ForeignModel, match=r"holds code or pickled objects beside its tensors .*: it was not opened"
        ):
            open_contender(f"pytorch:{path}", 1)
        assert not canary.exists()


def test_what_cannot_be_opened(program: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match=r"expected a \.pt2 file of edgesr-export after the colon"):
        open_contender(f"pytorch:{tmp_path / 'none.pt2'}", None)
    with pytest.raises(MissingFile, match=r"expected a \.pt2 file"):
        open_contender("pytorch:x.onnx", None)
    (tmp_path / "junk.pt2").write_bytes(b"junk")
    with pytest.raises(ForeignModel, match="no program, or a damaged one"):
        open_contender(f"pytorch:{tmp_path / 'junk.pt2'}", None)
    path = rewritten(program(), lambda name, data: b"{}" if name.endswith("models/model.json") else data)
    with pytest.raises(ForeignModel, match=r"was written by PyTorch .*; .* cannot read it"):
        open_contender(f"pytorch:{path}", None)


class PlayedCuda:
    """What `_OnGpu` asks of torch.cuda, on the CPU: the order of its calls can be seen, its times cannot."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def Event(self, enable_timing: bool) -> Any:
        assert enable_timing
        return SimpleNamespace(record=lambda: self.calls.append("event"), elapsed_time=lambda _end: 1.5)

    def CUDAGraph(self) -> Any:
        return SimpleNamespace(replay=lambda: (self.calls.append("replay"), self._redo()))

    def graph(self, _graph: Any) -> Any:
        return self

    stream = graph

    def Stream(self) -> Any:
        return SimpleNamespace(wait_stream=lambda _other: None)

    current_stream = Stream

    def synchronize(self) -> None:
        self.calls.append("synchronise")

    def __enter__(self) -> None: ...

    def __exit__(self, *_error: object) -> None: ...

    def network(self, frame: Any) -> Any:
        made = frame.repeat_interleave(2, 1).repeat_interleave(2, 2)
        self._redo = lambda: made.copy_(frame.repeat_interleave(2, 1).repeat_interleave(2, 2))
        return made


def test_the_order_of_the_gpu_s_half() -> None:
    cuda = PlayedCuda()
    played = SimpleNamespace(
        cuda=cuda,
        uint8=torch.uint8,
        zeros=torch.zeros,
        backends=SimpleNamespace(cudnn=SimpleNamespace()),
        empty=lambda shape, dtype, pin_memory: torch.empty(shape, dtype=dtype),
    )
    runner = _OnGpu(played, cuda.network, (1, 16, 32, 3), "cpu")
    assert runner.settings == {"cuda_graph": "on"}
    assert played.backends.cudnn.benchmark and not played.backends.cudnn.allow_tf32
    for pixels in (FRAME, FRAME[::-1]):
        cuda.calls.clear()
        made, elapsed_ns = runner.run(pixels[None])
        assert np.array_equal(made[0], pixels.repeat(2, axis=0).repeat(2, axis=1)) and elapsed_ns == 1_500_000
        assert cuda.calls == ["event", "replay", "event", "synchronise"]


def test_it_reads_what_edgesr_export_writes() -> None:
    export = pytest.importorskip("edgesr.export.program_file")
    values = {"spec": SPEC, "size": (32, 16), "precision": "fp16", "weights_sha256": "ab", "torch": "2.13.0"}
    assert ProgramCard.from_json(export.ProgramCard(**values).to_json()) == ProgramCard(**values)
    assert export.ABOUT == ABOUT
