"""Pipeline descriptions: what is chosen where, and that GStreamer takes them. A board's own elements are swapped."""

import re
from fractions import Fraction
from pathlib import Path

import pytest

from edgesr.runtime.errors import InputError
from edgesr.runtime.gst_pipeline import Pipeline
from edgesr.runtime.gstreamer import (
    csi_pipeline,
    decoder,
    encoder,
    has_hardware_encoder,
    quoted,
    rtsp_pipeline,
    sink_pipeline,
    source_pipeline,
)
from edgesr.runtime.libgstreamer import is_installed, package_of

needs_gstreamer = pytest.mark.skipif(
    not is_installed(), reason="no GStreamer: apt install gstreamer1.0-plugins-{base,good,bad,ugly} gstreamer1.0-libav"
)

STAND_INS = {
    r"nvarguscamerasrc sensor-id=\d": "videotestsrc is-live=true",
    r"\(memory:NVMM\)": "",
    r"nvvidconv( flip-method=\d)?": "videoconvert",
    r"h264parse ! nvv4l2decoder [^!]*": "h264parse ! avdec_h264 ",
    r"h265parse ! nvv4l2decoder [^!]*": "h265parse ! avdec_h265 ",
    r"jpegparse ! nvv4l2decoder [^!]*": "jpegparse ! jpegdec ",
    r"nvv4l2h264enc [^!]*": "x264enc ",
    r"nvv4l2h265enc [^!]*": "x265enc ",
}


def on_a_board(name: str) -> bool:
    return True


def on_a_pc(name: str) -> bool:
    return not name.startswith("nv")


def rehearsed(text: str) -> str:
    for board, here in STAND_INS.items():
        text = re.sub(board, here, text)
    assert "nv" not in re.sub("convert|environ", "", text), text
    return text


@needs_gstreamer
@pytest.mark.parametrize(
    "text",
    [
        csi_pipeline(1, 640, 360, Fraction(30000, 1001), 2).text,
        source_pipeline("v4l2src device=/dev/video0 ! image/jpeg,width=1280,height=720 ! mjpeg", on_a_board).text,
        source_pipeline("rtspsrc location=rtsp://127.0.0.1/x ! rtph264depay ! h264", on_a_board).text,
        source_pipeline("filesrc location=x ! qtdemux ! h265", on_a_board).text,
        sink_pipeline(320, 180, Fraction(30), f"{encoder(has=on_a_board).text} ! mp4mux ! filesink location=x").text,
        sink_pipeline(320, 180, None, f"{encoder(has=on_a_pc).text} ! rtph264pay ! udpsink").text,
        rtsp_pipeline("rtsp://127.0.0.1/x").text,
    ],
)
def test_gstreamer_takes_every_description(text: str) -> None:
    Pipeline(rehearsed(text), "rehearsal").close()


@needs_gstreamer
def test_the_csi_pipeline_runs_when_its_board_elements_are_swapped() -> None:
    pipeline = Pipeline(rehearsed(csi_pipeline(0, 322, 180, Fraction(25)).text), "csi://0")
    pipeline.play()
    sample = pipeline.pull(20)
    pipeline.close()
    assert sample is not None and sample.pixels.shape == (180, 322, 3)
    assert pipeline.frame_rate == 25


def test_hardware_decodes_where_it_is_and_colours_are_made_in_one_place() -> None:
    board, pc = decoder("h264", on_a_board), decoder("h264", on_a_pc)
    assert "nvv4l2decoder" in board.text and board.text.endswith("format=NV12") and "hardware" in board.notes[0]
    assert pc.text == "h264parse ! avdec_h264" and "software" in pc.notes[0]


def test_an_orin_nano_has_the_element_and_no_encoder(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.write_text("NVIDIA Jetson AGX Orin Developer Kit\0")
    assert has_hardware_encoder("h264", on_a_board, model)
    model.write_text("NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super\0")
    assert not has_hardware_encoder("h264", on_a_board, model)
    chosen = encoder(has=on_a_board, model=model)
    assert "x264enc" in chosen.text and "software" in chosen.notes[0]


def test_bitrates_are_said_in_each_encoder_s_own_unit(tmp_path: Path) -> None:
    assert "bitrate=3000000 " in encoder(bitrate_kbps=3000, has=on_a_board, model=tmp_path / "none").text
    assert "bitrate=3000 " in encoder(bitrate_kbps=3000, has=on_a_pc).text


@pytest.mark.parametrize(
    ("given", "ends"),
    [
        ("videotestsrc", "appsink name=out drop=true max-buffers=1 sync=false"),
        ("videotestsrc !", "appsink name=out drop=true max-buffers=1 sync=false"),
        ("videotestsrc ! appsink", "appsink name=out drop=true max-buffers=1 sync=false"),
        ("videotestsrc ! appsink drop=false", "appsink name=out max-buffers=1 sync=false drop=false"),
        ("videotestsrc ! appsink name=out sync=true", "appsink drop=true max-buffers=1 name=out sync=true"),
        ("filesrc location=appsink.mp4 ! decodebin", "appsink name=out drop=true max-buffers=1 sync=false"),
    ],
)
def test_the_appsink_is_completed_and_what_the_user_set_stays(given: str, ends: str) -> None:
    description = source_pipeline(given)
    assert description.text.endswith(
        f"! videoconvert n-threads=4 ! video/x-raw,format={{I420,NV12,Y42B,Y444,YUY2,BGR}} ! {ends}"
    )
    assert len(re.findall(r"! *appsink", description.text)) == 1
    assert "added" in description.notes[-1]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("", "empty"),
        ("tee name=t ! appsink t. ! appsink", "two appsinks"),
        ("videotestsrc ! appsink name=mine", "call it out"),
    ],
)
def test_a_pipeline_that_cannot_be_completed_is_refused(given: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        source_pipeline(given)


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(InputError, match="flip is 8"):
        csi_pipeline(flip=8)
    with pytest.raises(InputError, match="vp9 cannot be encoded"):
        encoder("vp9")
    with pytest.raises(InputError, match="vp9 cannot be decoded"):
        decoder("vp9")


def test_an_address_cannot_add_elements_to_a_pipeline() -> None:
    assert quoted('a" ! filesink location="b') == '"a\\" ! filesink location=\\"b"'


@needs_gstreamer
def test_a_quoted_value_reaches_the_element_as_it_was() -> None:
    with pytest.raises(InputError, match="could not set property"):
        Pipeline(f"fakesrc num-buffers={quoted('1 ! fakesink')} ! appsink name=out", "gst:")


def test_packages_are_named_for_elements_that_are_missing() -> None:
    assert package_of("nvarguscamerasrc") == "nvidia-l4t-gstreamer"
    assert package_of("x264enc") == "gstreamer1.0-plugins-ugly"
    assert package_of("avdec_h264") == "gstreamer1.0-libav"
    assert package_of("rtspsrc") == "gstreamer1.0-plugins-good"
