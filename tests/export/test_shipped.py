"""The default network's files belong together: both ONNX forms were made from the checkpoint beside its scores."""

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the checkpoint holds PyTorch weights")

import onnx

from edgesr.export.onnx import weights_digest
from edgesr.runtime.backends import DEFAULT_MODEL
from edgesr.train.checkpoint import load_checkpoint

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize("form", ["portable", "cpu"])
def test_shipped_onnx_is_made_from_the_shipped_checkpoint(form: str) -> None:
    network, scores = load_checkpoint(ROOT / "train" / "weights" / "ecbsr_x4.safetensors")
    path = DEFAULT_MODEL if form == "cpu" else DEFAULT_MODEL.with_name("ecbsr_x4.onnx")
    entries = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    assert entries["edgesr.weights_sha256"] == weights_digest(network) and entries["edgesr.form"] == form
    assert scores["Set5 PSNR"] >= 30.7


def test_shipped_checkpoint_has_the_score_that_it_states(shared: Path) -> None:
    from edgesr.train.evaluate import PROTOCOLS, evaluate, mean_score

    network, scores = load_checkpoint(ROOT / "train" / "weights" / "ecbsr_x4.safetensors")
    mean = mean_score(list(evaluate(network, shared / "data" / "Set5", PROTOCOLS["matlab"])))
    assert mean.psnr_db == pytest.approx(scores["Set5 PSNR"], abs=0.005)
