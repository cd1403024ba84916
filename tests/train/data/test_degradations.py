"""Degradations: what they do to an image, what they depend on, and what they refuse."""

import hashlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("cv2", reason="blurs and codecs need OpenCV")

from edgesr.runtime.backends.bicubic import BicubicBackend
from edgesr.runtime.errors import InputError, MissingFile
from edgesr.runtime.images import write_image
from edgesr.runtime.quality import RULER, psnr
from edgesr.runtime.resize import downscale, upscale
from edgesr.train.__main__ import run
from edgesr.train.data.degradations import KINDS, PRESETS, chain_from, parse_chain, x264
from edgesr.train.data.degradations.h264 import PRESETS as SPEEDS
from edgesr.train.data.degradations.noise import linear_light
from edgesr.train.evaluate import PROTOCOLS, evaluate

EXAMPLES = {
    "blur": "blur:0.5..2:ratio=0.3..1",
    "defocus": "defocus:1.5",
    "motion": "motion:5",
    "bicubic": "bicubic:rounded=false",
    "resize": "resize:0.7",
    "noise": "noise:25",
    "camera_noise": "camera_noise:1000",
    "jpeg": "jpeg:30..50",
    "h264": "h264:20..36",
    "identity": "identity",
}


def picture(height: int = 96, width: int = 128) -> np.ndarray:
    """Waves of all directions and lengths, in three different colours."""
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x * 0.30 + y * 0.05), np.cos(x * 0.11 - y * 0.23), np.sin((x * y) * 0.004)]
    return (127.5 + 120 * np.stack(waves, axis=2)).astype(np.uint8)


def degraded(text: str, high: np.ndarray, scale: int = 4, seed: int = 0) -> np.ndarray:
    return parse_chain(text)(high, scale, np.random.default_rng(seed))


def flat(value: int, side: int = 256) -> np.ndarray:
    return np.full((side, side, 3), value, np.uint8)


def error_of(text: str) -> float:
    """In luma: most of the colour in `picture` does not survive 4:2:0."""
    high = picture()
    return float(np.abs(RULER.luma(degraded(text, high)) - RULER.luma(downscale(high, 4))).mean())


def test_every_kind_has_an_example() -> None:
    assert EXAMPLES.keys() == KINDS.keys()


@pytest.mark.parametrize("text", [*EXAMPLES.values(), *PRESETS])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_low_resolution_is_bytes_of_its_size_and_a_function_of_the_generators_state(text: str, scale: int) -> None:
    high = picture(10 * scale, 15 * scale)
    before = high.copy()
    low, again = (degraded(text, high, scale) for _ in range(2))
    assert low.dtype == np.uint8 and low.shape == (10, 15, 3) and np.array_equal(low, again)
    assert np.array_equal(high, before)
    assert degraded(text, high[:scale, :scale], scale).shape == (1, 1, 3)


@pytest.mark.parametrize(
    "text", ["blur:0.2..3", "motion:2..9", "resize:0.3..0.9", "noise:25", "camera_noise:99", "camera"]
)
def test_another_seed_gives_another_image(text: str) -> None:
    assert not np.array_equal(degraded(text, picture()), degraded(text, picture(), seed=1))


def test_another_process_gives_the_same_bytes() -> None:
    code = (
        "import hashlib, numpy as np; from edgesr.train.data.degradations import parse_chain;"
        "high = (np.arange(64 * 96 * 3) % 251).astype(np.uint8).reshape(64, 96, 3);"
        "print(hashlib.sha256(parse_chain('camera')(high, 4, np.random.default_rng((1, 2))).tobytes()).hexdigest())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    high = (np.arange(64 * 96 * 3) % 251).astype(np.uint8).reshape(64, 96, 3)
    here = parse_chain("camera")(high, 4, np.random.default_rng((1, 2)))
    assert done.stdout.strip() == hashlib.sha256(here.tobytes()).hexdigest()


@pytest.mark.parametrize("text", ["identity", "bicubic"])
def test_without_a_degradation_it_is_the_rulers_low_resolution(text: str) -> None:
    assert np.array_equal(degraded(text, picture()), downscale(picture(), 4))
    assert np.abs(degraded("bicubic:rounded=false", picture()).astype(int) - downscale(picture(), 4)).max() <= 1


@pytest.mark.parametrize(
    "text",
    ["bicubic", "bicubic:rounded=false", "blur:1.3", "blur:0.6:unit=low", "blur:2:ratio=0.3:angle=30", "defocus:2.5"],
)
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_a_degraded_crop_is_the_crop_of_the_degraded_image(text: str, scale: int) -> None:
    chain = parse_chain(text)
    margin = chain.margin(scale)
    assert margin % scale == 0
    high = picture(2 * margin + 16 * scale, 2 * margin + 20 * scale)
    around = margin // scale
    crop = high[3 * scale : 2 * margin + 9 * scale, 5 * scale : 2 * margin + 12 * scale]
    inside = degraded(text, crop, scale)[around:-around, around:-around]
    whole = degraded(text, high, scale)[around + 3 : -around - 7, around + 5 : -around - 8]
    assert np.array_equal(inside, whole)


def test_blur_is_gaussian_elongated_along_its_angle() -> None:
    point = np.zeros((65, 65, 3), np.uint8)
    point[32, 32] = 255
    y, x = np.mgrid[-32:33, -32:33]

    def spread(text: str) -> list[float]:
        chain = chain_from([*parse_chain(text).as_recipe()[:1], {"kind": "bicubic"}])
        (frame,) = chain.steps[0].apply([point], 1, np.random.default_rng(0))
        weight = frame[..., 0] / frame[..., 0].sum()
        assert frame[..., 0].sum() == pytest.approx(255, rel=1e-4)
        return [float(np.sqrt((weight * axis**2).sum())) for axis in (x, y)]

    assert spread("blur:2") == pytest.approx([2, 2], rel=0.03)
    assert spread("blur:3:ratio=0.5:angle=0") == pytest.approx([3, 1.5], rel=0.03)
    assert spread("blur:3:ratio=0.5:angle=90") == pytest.approx([1.5, 3], rel=0.03)
    assert spread("defocus:4") == pytest.approx([2, 2], rel=0.03)  # a disc's deviation is half its radius
    along, across = spread("motion:12:angle=0")
    assert along == pytest.approx(12 / 12**0.5, rel=0.05) and across < 0.5


def test_noise_has_its_sigma_and_can_be_grey() -> None:
    noise = degraded("noise:25", flat(128, 512)).astype(float) - 128
    assert noise.std() == pytest.approx(25, rel=0.02) and abs(noise.mean()) < 0.5
    assert abs(np.corrcoef(noise[..., 0].ravel(), noise[..., 1].ravel())[0, 1]) < 0.03
    grey = degraded("noise:25:grey=true", flat(128))
    assert np.array_equal(grey[..., 0], grey[..., 2]) and grey.std() > 20


def test_nothing_is_clipped_between_steps() -> None:
    assert degraded("noise:40,blur:4", flat(0)).mean() < 3  # early clipping would leave 16 behind


def test_shot_noise_has_a_variance_in_proportion_to_the_light() -> None:
    for value in (60, 120, 180):
        light = linear_light(degraded("camera_noise:500:read=0:mosaic=false", flat(value, 512)))
        mean = float(linear_light(np.array(value, np.uint8)))
        assert light.var() == pytest.approx(mean / 500, rel=0.06)


def test_a_mosaic_smears_noise_and_dark_pixels_have_the_sensors() -> None:
    def neighbours(text: str) -> float:
        noise = degraded(text, flat(120)).astype(float)[..., 2]
        return float(np.corrcoef(noise[:, 1:].ravel(), noise[:, :-1].ravel())[0, 1])

    assert neighbours("camera_noise:500") > 0.3 and abs(neighbours("camera_noise:500:mosaic=false")) < 0.05
    assert degraded("camera_noise:500:read=0", flat(0)).max() == 0
    assert degraded("camera_noise:500:read=10", flat(0)).std() > 5


@pytest.mark.parametrize("kind", ["jpeg", "h264", "h264:crf"])
def test_coarser_coding_errs_more(kind: str) -> None:
    worse = [90, 60, 30, 10] if kind == "jpeg" else [10, 20, 30, 40, 50]
    errors = [error_of(f"{kind}={value}" if "crf" in kind else f"{kind}:{value}") for value in worse]
    assert errors == sorted(errors) and errors[-1] > 2 * errors[0] > 0


@pytest.mark.parametrize("matrix", [601, 709])
@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 255, 0), (0, 0, 255), (30, 200, 100)])
def test_a_flat_colour_comes_through_video_coding(colour: tuple[int, int, int], matrix: int) -> None:
    high = np.broadcast_to(np.array(colour, np.uint8), (96, 128, 3))
    low = degraded(f"h264:20:matrix={matrix}", np.ascontiguousarray(high))
    assert np.abs(low.astype(int) - colour).max() <= 2


def test_video_is_coded_from_a_drifting_clip_with_fresh_noise() -> None:
    noise, video = chain_from(
        [{"kind": "noise", "sigma": 9}, {"kind": "h264", "qp": 30, "frames": 3, "drift": 2}]
    ).steps[1:]
    high, rng = picture(), np.random.default_rng(3)
    clip = video.clip([high], 4, rng)
    assert len(clip) == 3 and clip[2] is high and all(frame.shape == high.shape for frame in clip)
    offsets = [
        (down, right)
        for down in range(-8, 9)
        for right in range(-8, 9)
        if np.array_equal(clip[1][8:-8, 8:-8], high[8 + down : 88 + down, 8 + right : 120 + right])
    ]
    assert len(offsets) == 1 and offsets != [(0, 0)]
    residues = [noisy - frame for noisy, frame in zip(noise.apply(clip, 1, rng), clip, strict=True)]
    assert abs(np.corrcoef(residues[0].ravel(), residues[1].ravel())[0, 1]) < 0.05
    assert len(video.apply(clip, 1, rng)) == 1


@pytest.mark.parametrize("quantiser", ["qp=30", "crf=30"])
def test_what_was_coded_before_leaves_no_trace(quantiser: str) -> None:
    text, others = f"noise:9,h264:{quantiser}:frames=1..4", [picture()[::-1], picture()[:, ::-1], flat(0)[:96, :128]]
    x264._idle.clear()
    fresh = degraded(text, picture())
    for seed, other in enumerate(others):
        degraded(text, np.ascontiguousarray(other), seed=seed)
        assert np.array_equal(degraded(text, picture()), fresh)
    assert len(x264._idle) == (1 if "qp" in quantiser else 0)


def test_few_and_small_encoders_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(x264, "KEPT", 3)
    x264._idle.clear()
    for side in (16, 24, 32, 40, 48, 520):  # the last one has more than 128x128 pixels at low resolution
        degraded("h264:51:frames=1", flat(9, side))
    assert [key[0] for key in x264._idle] == [8, 10, 12]


@pytest.mark.parametrize("preset", SPEEDS)
def test_every_preset_of_x264_works(preset: str) -> None:
    assert 0 < error_of(f"h264:30:preset={preset}") < 20


def test_steps_are_done_in_order_and_the_reduction_has_its_place() -> None:
    def kinds(text: str) -> list[str]:
        return [step.kind for step in parse_chain(text).steps]

    assert kinds("noise:25") == ["bicubic", "noise"]
    assert kinds("blur:1,motion:3,noise:25,blur:1") == ["blur", "motion", "bicubic", "noise", "blur"]
    assert kinds("blur:1") == ["blur", "bicubic"] and kinds("identity") == ["bicubic", "identity"]
    assert kinds("noise:25,bicubic") == ["noise", "bicubic"]
    assert kinds("camera,jpeg:40") == [*kinds("camera"), "jpeg"]
    high = flat(128)
    assert degraded("noise:25,bicubic", high).std() < degraded("bicubic,noise:25", high).std() / 2
    assert degraded("blur:2,noise:25", high).std() > 20
    assert degraded("noise:25,blur:2", high).std() < 5


def test_probability_is_of_the_image() -> None:
    chain = parse_chain("noise:25:probability=0.3")
    rng = np.random.default_rng(0)
    done = [chain(flat(128, 8), 4, rng).std() > 0 for _ in range(400)]
    assert np.mean(done) == pytest.approx(0.3, abs=0.07)
    assert not degraded("noise:25:probability=0", flat(128)).std()


def test_a_number_is_fixed_and_a_range_is_drawn_within_it() -> None:
    rng = np.random.default_rng(0)
    chain = parse_chain("noise:10..40")
    deviations = [float(chain(flat(128), 4, rng).std()) for _ in range(40)]
    assert 9.5 < min(deviations) < 15 and 35 < max(deviations) < 41


def test_a_chain_can_be_written_down_and_read_again(tmp_path: Path) -> None:
    yaml = pytest.importorskip("yaml")
    chain = parse_chain("blur:0.5..1.5:ratio=0.4,noise:5,jpeg:40:chroma=444:probability=0.5,h264:crf=30")
    assert chain_from(chain.as_recipe()) == chain
    file = tmp_path / "chain.yaml"
    file.write_text(yaml.safe_dump([{"kind": "noise", "sigma": [5, 15]}, {"kind": "jpeg", "quality": 40}]))
    assert parse_chain(str(file)) == parse_chain("noise:5..15,jpeg:40")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("noize:25", "there is no degradation 'noize'; did you mean noise?"),
        ("whirl", "there is no degradation 'whirl'; expected one of blur, "),
        ("", "is no step of a degradation; expected a step such as noise:25, one of camera, or a YAML file"),
        ("noise:25,,jpeg:40", "'' is no step"),
        ("noise", "degradation noise needs sigma"),
        ("noise:25:colour=1", "degradation noise has no colour; it has probability, sigma, grey"),
        ("noise:25:sigma=3", "sigma is given twice"),
        ("identity:3", "identity has no value of its own"),
        ("noise:-1", "degradation noise: sigma is -1; expected a number from 0 to 255, or two of them: [low, high]"),
        ("noise:20..10", "degradation noise: sigma is [20, 10]; expected the lower end first"),
        ("noise:nan", "sigma is nan"),
        ("noise:much", "sigma is 'much'"),
        ("noise:25:grey=1", "degradation noise: grey is 1; expected true or false"),
        ("noise:25:probability=1.5", "degradation noise: probability is 1.5; expected a number from 0 to 1"),
        ("blur:1:unit=mm", "degradation blur: unit is 'mm'; expected pixel or low"),
        ("blur:-1", "sigma is -1;"),
        ("jpeg:101", "quality is 101; expected a whole number from 0 to 100"),
        ("jpeg:40.5", "quality is 40.5; expected a whole number"),
        ("jpeg:40:chroma=411", "chroma is 411; expected 420 or 422 or 444"),
        ("h264", "degradation h264: expected qp or crf; neither is given"),
        ("h264:30:crf=30", "degradation h264: expected qp or crf; both are given"),
        ("h264:52", "qp is 52; expected a whole number from 0 to 51"),
        ("h264:30:frames=0", "frames is 0; expected a whole number from 1 to 8"),
        ("h264:30:preset=ultrafast", "preset is 'ultrafast'; expected superfast"),
        ("bicubic,bicubic", "a degradation reduces once; this one does it by bicubic and bicubic"),
        ("bicubic:probability=0.5", "the reduction is done always"),
    ],
)
def test_mistakes_are_named_in_a_line(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_chain(text)
    assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([], "expected a list of steps"),
        ("noise", "expected a list of steps"),
        ({"kind": "noise", "sigma": 25}, "expected a list of steps"),
        (["noise"], "expected settings with a kind"),
        ([{"sigma": 25}], "expected settings with a kind"),
        ([{"kind": ["noise"]}], "there is no degradation"),
        ([{"kind": "noise", "sigma": [1, 2, 3]}], "sigma is [1, 2, 3]; expected"),
        ([{"kind": "noise", "sigma": True}], "sigma is True; expected"),
        ([{"kind": "noise", "sigma": None}], "sigma is None; expected"),
        ([{"kind": "noise", "sigma": 25, 3: 4}], "has no 3"),
    ],
)
def test_mistakes_in_a_recipe_are_named(steps: object, message: str) -> None:
    with pytest.raises(InputError) as caught:
        chain_from(steps)
    assert message in str(caught.value)


def test_files_that_are_no_chain_are_named(tmp_path: Path) -> None:
    pytest.importorskip("yaml")
    with pytest.raises(MissingFile, match=r"none.yaml does not exist"):
        parse_chain(str(tmp_path / "none.yaml"))
    for content, message in (("[a: {", "cannot be read"), ("", "expected a list"), ("kind: noise", "expected a list")):
        (tmp_path / "bad.yaml").write_text(content)
        with pytest.raises(InputError, match=message) as caught:
            parse_chain(str(tmp_path / "bad.yaml"))
        assert "\n" not in str(caught.value)


def test_an_image_that_is_no_multiple_of_the_scale_is_refused() -> None:
    with pytest.raises(InputError, match="98x96 cannot be reduced to 1/4"):
        degraded("noise:25", picture(96, 98))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.png", "b.png"):
        write_image(tmp_path / name, picture())
    return tmp_path


def test_evaluation_makes_low_resolution_by_the_chain(folder: Path) -> None:
    def scores(**settings: Any) -> list[float | None]:
        protocol = replace(PROTOCOLS["matlab"], **settings)
        return [score.psnr_8bit_db for score in evaluate(BicubicBackend(4), folder, protocol)]

    noise = parse_chain("noise:25")
    plain, noisy = scores(), scores(degrade=noise, seed=3)
    low = noise(picture(), 4, np.random.default_rng((3, 1)))
    assert noisy[1] == pytest.approx(psnr(RULER.luma(upscale(low, 4)), RULER.luma(picture()), border=4))
    assert plain[0] == plain[1] and noisy[0] != noisy[1] and noisy != scores(degrade=noise, seed=4)
    assert scores(degrade=noise, seed=3) == noisy and scores(degrade=parse_chain("identity")) == plain
    with pytest.raises(InputError, match="the seed is -1; expected 0 or more"):
        scores(degrade=noise, seed=-1)


def test_the_command_line_says_what_degraded(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = folder / "report.json"
    call = ["evaluate", "bicubic:4", "--data", str(folder)]
    run([*call, "--degrade", "noise:5..15", "--seed", "7", "--json", str(report)])
    assert "degraded by noise:5..15, seed 7" in " ".join(capsys.readouterr().out.split())
    told = json.loads(report.read_text())
    assert chain_from(told["degrade"]) == parse_chain("noise:5..15") and told["seed"] == 7
    run([*call, "--json", str(report), "--force"])
    told = json.loads(report.read_text())
    assert told["degrade"] is None and told["seed"] is None
    with pytest.raises(InputError, match="--protocol rdsrn makes its own low resolution"):
        run([*call, "--degrade", "noise:25", "--protocol", "rdsrn"])
    with pytest.raises(InputError, match="is no step"):
        run([*call, "--degrade", ""])
