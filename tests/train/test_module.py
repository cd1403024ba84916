"""The loop end to end on two photographs: precision, averages, clipping, curves, and a run that goes wrong."""

import csv
import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("lightning", reason="training needs Lightning")

import lightning.pytorch.callbacks
import torch
from safetensors.torch import load_file
from tests.small import SMALL
from torch import Tensor, nn

from edgesr.runtime.command import command
from edgesr.runtime.errors import InputError
from edgesr.runtime.images import read_image
from edgesr.train.__main__ import run
from edgesr.train.checkpoint import load_checkpoint
from edgesr.train.fit import RecipeCLI, quiet_lightning, read_recipe
from edgesr.train.module import SuperResolution
from edgesr.train.networks import folded


def fit(*arguments: object) -> int:
    return command(run, ["fit", *map(str, arguments)])


def curve(run: Path, name: str) -> dict[int, float]:
    with (run / "csv" / "version_0" / "metrics.csv").open() as file:
        return {int(row["step"]): float(row[name]) for row in csv.DictReader(file) if row.get(name)}


def trained(recipe: Path, output: Path, *settings: object, watch: Any = None) -> RecipeCLI:
    with quiet_lightning():
        cli = read_recipe(recipe, output, list(map(str, settings)))
        if watch is not None:
            cli.trainer.callbacks.insert(len(cli.trainer.callbacks) - 1, watch)  # before checkpoints are written
        cli.trainer.fit(cli.model, cli.datamodule)
    return cli


def test_curves_and_samples_are_written(tmp_path: Path, recipe: Path) -> None:
    assert fit(recipe, "--output", tmp_path / "run", "--trainer.log_every_n_steps", 5) == 0
    assert curve(tmp_path / "run", "loss").keys() == {4, 9}
    assert curve(tmp_path / "run", "lr-Adam").keys() == {4, 9}
    assert curve(tmp_path / "run", "psnr").keys() == {3, 7, 11}
    drawn = sorted((tmp_path / "run" / "samples").iterdir())
    assert [path.name for path in drawn] == ["step_0000004.png", "step_0000008.png", "step_0000012.png"]
    pixels, _ = read_image(drawn[-1])
    assert pixels.shape == (2 * 64 + 4, 3 * 80 + 2 * 4, 3), "two photographs: bicubic, network and truth"
    assert not fit(recipe, "--output", tmp_path / "none", "--model.samples", 0)
    assert not (tmp_path / "none" / "samples").exists()


@pytest.mark.parametrize("channels_last", [True, False])
def test_bf16_learns_about_as_float32_does(tmp_path: Path, recipe: Path, channels_last: bool) -> None:
    last = {}
    for precision in ("32-true", "bf16-mixed"):
        settings = ["--trainer.precision", precision, "--model.channels_last", channels_last, "--trainer.max_steps", 60]
        assert fit(recipe, "--output", tmp_path / precision, *settings, "--data.samples_per_epoch", 120) == 0
        losses = list(curve(tmp_path / precision, "loss").values())
        assert sum(losses[-10:]) < 0.8 * sum(losses[:10])
        last[precision] = sum(losses[-10:])
    assert last["bf16-mixed"] == pytest.approx(last["32-true"], rel=0.1) and len(set(last.values())) == 2


@pytest.mark.parametrize("scale", [1 / 255, 1.0])
def test_batch_is_made_in_float32_under_autocast(scale: float) -> None:
    module = SuperResolution("espcn", 2)
    low, high = (torch.rand(1, 3, side, side) * 255 * scale for side in (8, 16))
    with torch.autocast("cpu", torch.bfloat16):
        there = module.prepared((low, high))
    assert all(torch.equal(*parts) for parts in zip(there, module.prepared((low, high)), strict=True))


class Averaging(lightning.pytorch.callbacks.Callback):
    """The average worked out beside, and whether validation sees it."""

    def __init__(self, decay: float) -> None:
        self.decay, self.looks = decay, 0
        self.average, self.last = list[Tensor](), list[Tensor]()

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        self.last = now = [parameter.detach().double().clone() for parameter in pl_module.network.parameters()]
        pairs = zip(self.average or now, now, strict=True)
        self.average = [self.decay * before + (1 - self.decay) * value for before, value in pairs]

    def on_validation_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        if not trainer.sanity_checking:
            self.looks += 1
            self.check(pl_module.network)

    def check(self, network: nn.Module) -> None:
        for parameter, average in zip(network.parameters(), self.average, strict=True):
            assert torch.allclose(parameter.double(), average, rtol=1e-5, atol=1e-7)


def test_average_is_the_one_worked_out_by_hand_and_is_validated_and_kept(tmp_path: Path, recipe: Path) -> None:
    watch = Averaging(0.8)
    cli = trained(recipe, tmp_path, "--model.average", 0.8, watch=watch)
    assert watch.looks == 6
    watch.check(cli.model.network)
    assert fit(recipe, "--output", tmp_path / "run", "--model.average", 0.8) == 0
    watch.check(load_checkpoint(tmp_path / "run" / "ecbsr_x2.safetensors")[0])
    assert not all(torch.allclose(*pair) for pair in zip(watch.average, watch.last, strict=True))


def test_average_of_constant_weights_is_these_weights() -> None:
    from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

    layer = nn.Conv2d(3, 8, 3)
    average = AveragedModel(layer, multi_avg_fn=get_ema_multi_avg_fn(0.9999))
    for _ in range(2000):
        average.update_parameters(layer)
    assert torch.equal(average.module.weight, layer.weight)


class Gradients(lightning.pytorch.callbacks.Callback):
    def __init__(self) -> None:
        self.seen: list[tuple[float, float]] = []
        self.norms: list[float] = []

    def on_before_zero_grad(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        largest = max((float(p.grad.abs().max()) for p in pl_module.parameters() if p.grad is not None), default=0.0)
        if largest:
            self.seen.append((optimizer.param_groups[0]["lr"], largest))
            self.norms.append(float(nn.utils.clip_grad_norm_(pl_module.parameters(), float("inf"))))


def test_adjustable_clipping_cuts_the_gradients_norm_to_a_share_of_one_over_the_rate(
    tmp_path: Path, recipe: Path
) -> None:
    sgd = ["--model.optimizer.kind", "sgd", "--model.learning_rate", 0.1, "--model.samples", 0]
    sgd += ["--model.schedule.kind", "constant", "--model.schedule.warmup_steps", 0]
    clipped, free = Gradients(), Gradients()
    trained(recipe, tmp_path / "a", *sgd, "--model.adjustable_clip", 1e-4, watch=clipped)
    trained(recipe, tmp_path / "b", *sgd, watch=free)
    assert [norm * 0.1 for norm in clipped.norms] == pytest.approx([1e-4] * len(clipped.norms), rel=1e-3)
    assert min(free.norms) * 0.1 > 1e-3


def test_gradients_are_clipped_by_norm(tmp_path: Path, recipe: Path) -> None:
    watch = Gradients()
    trained(recipe, tmp_path, "--trainer.gradient_clip_val", 1e-3, watch=watch)
    assert 0 < max(largest for _, largest in watch.seen) < 1e-3


def test_run_that_diverges_stops_with_its_batch_and_leaves_a_sound_checkpoint(
    tmp_path: Path,
    recipe: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = tmp_path / "run"
    wild = ["--model.optimizer.kind", "sgd", "--model.learning_rate", 1e4, "--model.schedule.warmup_steps", 8]
    assert fit(recipe, "--output", output, *wild, "--trainer.max_steps", 400) == 1
    told = capsys.readouterr().err
    (line,) = [line for line in told.splitlines() if line.startswith("error:")]
    assert "Traceback" not in told and re.search(r"training stopped at step \d+: the loss is (nan|inf)", line)
    (saved,) = output.glob("stopped_at_step_*.safetensors")
    tensors = load_file(saved)
    assert tensors["low"].shape == (2, 3, 8, 8) and tensors["high"].shape == (2, 3, 16, 16)
    assert not tensors["loss"].isfinite() and f"stopped_at_step_{int(tensors['step'])}.safetensors" == saved.name
    assert saved.with_suffix(".png").is_file() and not list(output.glob("*_x2.safetensors"))
    for path in output.glob("*.ckpt"):
        state = torch.load(path, weights_only=False)["state_dict"]
        assert all(value.isfinite().all() for value in state.values()), path


def test_weights_that_are_no_numbers_are_never_written(
    tmp_path: Path,
    recipe: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A finite loss whose gradient is none, in the last step before a checkpoint."""
    usual = SuperResolution.loss_of

    def loss_of(self: SuperResolution, batch: tuple[Tensor, Tensor]) -> Tensor:
        broken = self.global_step == 3 and torch.is_grad_enabled()
        return usual(self, batch) + (next(self.parameters()).sum() * 0).sqrt() if broken else usual(self, batch)

    monkeypatch.setattr(SuperResolution, "loss_of", loss_of)
    assert fit(recipe, "--output", tmp_path / "run") == 1
    assert "training stopped at step 4" in (told := capsys.readouterr().err) and "is no longer finite" in told
    assert not list((tmp_path / "run").glob("*.ckpt"))


def test_worst_sample_is_named_by_its_place(
    tmp_path: Path,
    recipe: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One crop of the fourth batch of the second epoch, (1, 7), has lost its truth."""
    from edgesr.train.data.crops import Crops

    usual = Crops.__getitems__

    def broken(self: Crops, places: Any) -> Any:
        low, high = usual(self, places)
        high = high.float()
        high[[place == (1, 7) for place in places]] = float("inf")
        return low, high

    monkeypatch.setattr(Crops, "__getitems__", broken)
    assert fit(recipe, "--output", tmp_path / "run") == 1
    told = capsys.readouterr().err
    assert (
        "training stopped at step 8: the loss is inf; sample 1 of the batch is the worst, (epoch, index) (1, 7)" in told
    )
    assert torch.load(tmp_path / "run" / "last.ckpt", weights_only=False)["global_step"] == 4


@pytest.mark.parametrize(
    ("setting", "side", "smaller"),
    [("patch", 8, 6), ("high_patch", 17, 12)],
)
def test_step_that_does_not_fit_ends_with_what_would(
    tmp_path: Path,
    recipe: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    setting: str,
    side: int,
    smaller: int,
) -> None:
    usual = SuperResolution.loss_of

    def loss_of(self: SuperResolution, batch: tuple[Tensor, Tensor]) -> Tensor:
        if batch[0].numel() > 3 * 10 * 8**2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        return usual(self, batch)

    monkeypatch.setattr(SuperResolution, "loss_of", loss_of)
    settings = ["--data.batch_size", 16, "--data.samples_per_epoch", 16, "--model.average", 0.9]
    assert fit(recipe, "--output", tmp_path / "run", *settings, f"--data.{setting}", side) == 1
    told = capsys.readouterr().err
    assert (
        "Traceback" not in told
        and (
            f"error: out of memory with batch 16 of {setting} {side}; batch 8 of {setting} {side} fits, or {setting} {smaller} "
            "with batch 16: add --data.batch_size 8"
        )
        in told
    )


@pytest.mark.parametrize("name", ["rdsrn", "wdsr", "ecbsr", "plainusr", "fmen", "span", "bsrn"])
def test_training_form_is_what_learns(name: str) -> None:
    """Weight-normalised and branched layers: every parameter of theirs has a gradient, and there are more than are deployed."""
    torch.manual_seed(1)
    module = SuperResolution(name, 4, SMALL.get(name, {})).train()
    side = 16
    low, high = (torch.randint(256, (2, 3, n, n), dtype=torch.uint8) for n in (side, 4 * side))
    module.loss_of((low, high)).backward()
    idle = [key for key, value in module.network.named_parameters() if value.grad is None]
    assert all(name == "ecbsr" and re.fullmatch(r"body\.\d+\.edges\.\d\.bias", key) for key in idle), (
        idle
    )  # vanish, see there
    count = [sum(p.numel() for p in network.parameters()) for network in (module.network, folded(module.network))]
    if name != "bsrn":  # has nothing to fold
        assert count[0] > count[1]


@pytest.mark.slow
def test_compiled_network_learns_the_same(tmp_path: Path, recipe: Path) -> None:
    plain = trained(recipe, tmp_path / "plain").model.network
    compiled = trained(recipe, tmp_path / "compiled", "--model.compile", True, "--model.average", 0.5)
    assert compiled.model.compiled
    for a, b in zip(plain.parameters(), compiled.model.network.parameters(), strict=True):
        assert a.shape == b.shape
    assert curve(tmp_path / "compiled", "loss")[11] == pytest.approx(curve(tmp_path / "plain", "loss")[11], rel=1e-3)


@pytest.mark.parametrize("setting", ["learning_rate", "adjustable_clip", "explosion", "samples"])
def test_setting_below_its_range_is_refused(setting: str) -> None:
    with pytest.raises(InputError, match=setting):
        SuperResolution("espcn", 2, **{setting: -1})
