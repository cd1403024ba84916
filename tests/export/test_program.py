"""A network as a program of PyTorch: the same picture, from a file that needs none of the training code."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="a program is PyTorch's")

from tests.small import SMALL, picturing

from edgesr.export.onnx import export_onnx, weights_digest
from edgesr.export.parity import frames_for_checks
from edgesr.export.program import export_program
from edgesr.export.program_file import ABOUT, ProgramCard, load_program
from edgesr.runtime.backends import open_backend
from edgesr.runtime.errors import ForeignModel, InputError, MissingFile, ParityFailed
from edgesr.train.checkpoint import load_checkpoint
from edgesr.train.networks import NETWORKS, Network, seeded_network

ROOT = Path(__file__).parent.parent.parent
SIZE = (41, 29)
TINY = SMALL | {"rdsrn": {"features": 32, "recursions": 1}}


def small(name: str, scale: int | None = None) -> Network:
    """At x4 where no scale is said and there is that one."""
    scales = NETWORKS[name].scales
    return seeded_network(name, scale or (4 if 4 in scales else max(scales)), TINY.get(name))


def ecbsr(path: Path) -> Path:
    return export_program(small("ecbsr", 2), path, size=(12, 8), trained=False).path


@pytest.mark.parametrize(
    ("precision", "name"), [*(("fp16", name) for name in NETWORKS), *(("fp32", name) for name in ("rdsrn", "ecbsr"))]
)
def test_every_network_can_be_had_as_a_program(tmp_path: Path, precision: str, name: str) -> None:
    network = picturing(small(name))
    size = (network.fixed_size, network.fixed_size) if network.fixed_size else SIZE
    done = export_program(network, tmp_path / "a.pt2", size=size, precision=precision, trained=False)
    difference, decibels = (1, 60) if precision == "fp32" else (2, 55)
    (parity,) = done.parity
    assert (parity.width, parity.height) == size
    assert parity.difference <= difference and parity.psnr_db >= decibels
    program = load_program(done.path)
    assert program.card == done.card
    assert program.card.spec == network.spec(trained=False) and program.card.size == size
    assert program.card.precision == precision and program.card.weights_sha256 == weights_digest(network)
    floats = {tensor.dtype for tensor in program.module.state_dict().values() if tensor.is_floating_point()}
    assert floats == {torch.float16 if precision == "fp16" else torch.float32}


@pytest.mark.parametrize("scale", [2, 3])
def test_a_program_equals_the_deployed_graph(tmp_path: Path, scale: int) -> None:
    network, (frame,) = small("ecbsr", scale), frames_for_checks([SIZE], seed=5)
    program = load_program(export_program(network, tmp_path / "a.pt2", size=SIZE, trained=False).path)
    with torch.no_grad():
        ours = program.module(torch.from_numpy(frame)[None])
    assert ours.dtype == torch.uint8 and ours.is_contiguous()
    with open_backend(export_onnx(network, tmp_path / "a.onnx", trained=False).path) as backend:
        assert np.abs(backend.infer(frame).astype(int) - ours[0].numpy()).max() <= 1


@pytest.mark.parametrize("name", ["ecbsr", "rdsrn"])
def test_a_program_moves_to_another_device_and_compiles_whole(tmp_path: Path, name: str) -> None:
    path = export_program(small(name, 2), tmp_path / "a.pt2", size=(12, 8), precision="fp16", trained=False).path
    frame = torch.zeros(1, 8, 12, 3, dtype=torch.uint8)
    elsewhere = load_program(path, "meta").module  # whatever was left on the CPU would be refused
    assert elsewhere(frame.to("meta")).shape == (1, 16, 24, 3)
    module = load_program(path).module
    kernels = [weight for weight in module.parameters() if weight.ndim == 4]
    assert kernels and all(weight.is_contiguous(memory_format=torch.channels_last) for weight in kernels)
    with torch.no_grad():
        compiled = torch.compile(module, backend="eager", fullgraph=True)
        assert torch.equal(compiled(frame), module(frame))


def test_the_shipped_network_keeps_its_quality_in_fp16(tmp_path: Path) -> None:
    network, _ = load_checkpoint(ROOT / "train" / "weights" / "ecbsr_x4.safetensors")
    (parity,) = export_program(network, tmp_path / "a.pt2", size=(96, 64), precision="fp16").parity
    assert parity.difference <= 2 and parity.psnr_db >= 55


def test_published_rdsrn_keeps_its_quality_in_fp16(shared: Path, tmp_path: Path) -> None:
    from edgesr.train.published import network_from_published

    network = network_from_published(shared / "weights" / "rdsrn" / "x4.pth", "rdsrn", 4)
    frames = shared / "data" / "Set5"
    (parity,) = export_program(
        network, tmp_path / "a.pt2", size=(64, 48), precision="fp16", trained=True, frames=frames
    ).parity
    assert parity.difference <= 2 and parity.psnr_db >= 58, "statistics in half precision cost nothing that shows"


def test_reading_needs_torch_and_no_training_code(tmp_path: Path) -> None:
    path = ecbsr(tmp_path / "a.pt2")
    code = (
        "import sys\n"
        "for name in ('edgesr.train', 'onnx', 'onnxruntime', 'onnxslim', 'cv2', 'rich'): sys.modules[name] = None\n"
        "from pathlib import Path\n"
        "import torch\n"
        "from edgesr.export.program_file import load_program\n"
        "program = load_program(Path(sys.argv[1]))\n"
        "width, height = program.card.size\n"
        "print(tuple(program.module(torch.zeros(1, height, width, 3, dtype=torch.uint8)).shape))\n"
    )
    command = [sys.executable, "-c", code, str(path)]
    done = subprocess.run(
        command, env={"PYTHONPATH": str(ROOT / ".links")}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "(1, 16, 24, 3)"


def test_nothing_is_written_when_parity_fails(tmp_path: Path) -> None:
    class Wavering(Network):
        name, scales, colour = "ecbsr", (2,), "rgb"

        def __init__(self, scale: int) -> None:
            super().__init__(scale)
            self.weight = torch.nn.Parameter(torch.ones(1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            bias = 0.02 if torch.compiler.is_exporting() else 0.0
            return (x * self.weight + bias).repeat_interleave(2, 2).repeat_interleave(2, 3)

    with pytest.raises(ParityFailed, match="as a program in FP32 at 12x8 differs from PyTorch"):
        export_program(Wavering(2), tmp_path / "a.pt2", size=(12, 8))
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_file_is_refused_before_pytorch_reads_it(tmp_path: Path) -> None:
    path = ecbsr(tmp_path / "a.pt2")
    whole = path.read_bytes()
    for broken in (b"", b"\xff" * 99, whole[: len(whole) // 2], whole[:4000] + b"\xff" + whole[4001:]):
        path.write_bytes(broken)
        with pytest.raises(ForeignModel, match=r"a.pt2 is no program, or a damaged one \(.*\); export it again"):
            load_program(path)
    with pytest.raises(MissingFile, match=r"none\.pt2 does not exist"):
        load_program(tmp_path / "none.pt2")


@pytest.mark.parametrize("about", [None, "", "[]", "{}", '{"size": [1], "spec": "x"}'])
def test_another_program_is_refused(tmp_path: Path, about: str | None) -> None:
    path = tmp_path / "a.pt2"
    program = torch.export.export(torch.nn.Identity(), (torch.zeros(2),))
    torch.export.save(program, path, extra_files={} if about is None else {ABOUT: about})
    with pytest.raises(ForeignModel, match=r"a\.pt2 was not written by edgesr-export"):
        load_program(path)


def test_a_card_with_unknown_entries_is_refused(tmp_path: Path) -> None:
    card = load_program(ecbsr(tmp_path / "a.pt2")).card
    assert ProgramCard.from_json(card.to_json()) == card
    with pytest.raises(InputError, match=ABOUT):
        ProgramCard.from_json(json.dumps(json.loads(card.to_json()) | {"newer": 1}))


def test_a_size_that_the_network_cannot_take_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = small("ecbsr", 2)
    monkeypatch.setattr(type(network), "size_multiple", 8)
    with pytest.raises(InputError, match=r"12x9; .* needs multiples of 8"):
        export_program(network, tmp_path / "a.pt2", size=(12, 9))
