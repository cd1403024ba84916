import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="checkpoints hold PyTorch weights")

from safetensors.torch import save_file

from edgesr.runtime.errors import CheckpointMismatch, InputError, MissingFile, UnsafeCheckpoint
from edgesr.train.checkpoint import load_checkpoint, load_weights, read_metadata, save_checkpoint
from edgesr.train.networks import seeded_network
from edgesr.train.published import load_published, network_from_published


def test_checkpoint_brings_back_network_options_and_scores(tmp_path: Path) -> None:
    network = seeded_network("ecbsr", 3, {"blocks": 2, "activation": "prelu"})
    save_checkpoint(tmp_path / "a.safetensors", network, {"Set5 PSNR": 30.5}, origin="a test")
    again, scores = load_checkpoint(tmp_path / "a.safetensors")
    assert scores == {"Set5 PSNR": 30.5} and again.options == network.options and again.scale == 3
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), again.parameters(), strict=True))
    assert read_metadata(tmp_path / "a.safetensors")["origin"] == "a test"
    assert [file.name for file in tmp_path.iterdir()] == ["a.safetensors"]


def test_missing_surplus_and_misshapen_keys_are_named() -> None:
    network = seeded_network("ecbsr", 4)
    state = dict(network.state_dict())
    first, second = list(state)[:2]
    state["extra"] = state.pop(first)
    state[second] = torch.zeros(1)
    with pytest.raises(CheckpointMismatch) as caught:
        load_weights(network, state, "a.safetensors")
    assert (
        f"missing {first}" in str(caught.value) and "surplus extra" in str(caught.value) and second in str(caught.value)
    )


def test_foreign_and_damaged_files_are_refused(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "foreign.safetensors")
    (tmp_path / "damaged.safetensors").write_bytes(b"\xff" * 100)
    for name, message in (("foreign", "was not written by edgesr-train"), ("damaged", "cannot be read")):
        with pytest.raises(InputError, match=message):
            load_checkpoint(tmp_path / f"{name}.safetensors")
    with pytest.raises(MissingFile):
        load_checkpoint(tmp_path / "nowhere.safetensors")


class Trap:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (Path("trap-was-sprung"),)


@pytest.mark.parametrize("wrapper", [None, "state_dict", "params"])
def test_published_weights_are_found_in_their_wrappers(tmp_path: Path, wrapper: str | None) -> None:
    state = {"module.a.weight": torch.ones(2), "b.weight_g": torch.ones(1), "b.weight_v": torch.ones(3)}
    torch.save({wrapper: state} if wrapper else state, tmp_path / "w.pth")
    assert set(load_published(tmp_path / "w.pth")) == {
        "a.weight",
        "b.parametrizations.weight.original0",
        "b.parametrizations.weight.original1",
    }


def test_a_pickle_that_would_run_code_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"a": Trap()}, tmp_path / "trap.pth")
    (tmp_path / "noise.pth").write_bytes(b"no pickle at all")
    for name in ("trap", "noise"):
        with pytest.raises(UnsafeCheckpoint, match="plain tensors"):
            load_published(tmp_path / f"{name}.pth")
    assert not (tmp_path / "trap-was-sprung").exists()


def test_a_file_without_tensors_is_refused(tmp_path: Path) -> None:
    torch.save({"epoch": 3}, tmp_path / "w.pth")
    with pytest.raises(CheckpointMismatch, match="no dictionary of tensors"):
        load_published(tmp_path / "w.pth")


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    torch.save(seeded_network("ecbsr", 4).state_dict(), tmp_path / "w.pth")
    with pytest.raises(CheckpointMismatch, match="does not fit carn x4"):
        network_from_published(tmp_path / "w.pth", "carn", 4)


def test_a_full_disk_is_an_output_error_and_leaves_nothing(tmp_path: Path) -> None:
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "from pathlib import Path\n"
        "from edgesr.runtime.errors import OutputFailed\n"
        "from edgesr.train.checkpoint import save_checkpoint\n"
        "from edgesr.train.networks import seeded_network\n"
        "try: save_checkpoint(Path('a.safetensors'), seeded_network('ecbsr', 4))\n"
        "except OutputFailed as error: sys.exit(str(error).replace('a.safetensors', 'told of'))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stderr.startswith("told of cannot be written"), done.stderr
    assert list(tmp_path.iterdir()) == []
