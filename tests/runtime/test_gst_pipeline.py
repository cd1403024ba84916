"""GStreamer by its library: frames out, frames in, and every way in which that can fail."""

import time
from fractions import Fraction
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from edgesr.runtime.errors import EdgeSRError, InputError, MissingDependency, OutputFailed, SourceFailed
from edgesr.runtime.gst_pipeline import Pipeline
from edgesr.runtime.gstreamer import encoder, sink_pipeline, source_pipeline
from edgesr.runtime.libgstreamer import has_element, is_installed

pytestmark = pytest.mark.skipif(not is_installed(), reason="no GStreamer: apt install gstreamer1.0-plugins-good")

LIVE = "videotestsrc is-live=true pattern=solid-color foreground-color=0xff285078"
RAW = "video/x-raw,format=BGR"


def opened(text: str) -> Pipeline:
    pipeline = Pipeline(source_pipeline(text).text, "gst:test")
    pipeline.play()
    return pipeline


@pytest.mark.parametrize("width", [320, 321, 322, 323])
def test_rows_of_any_width_come_out_whole(width: int) -> None:
    pipeline = opened(f"{LIVE} ! {RAW},width={width},height=18,framerate=60/1")
    sample = pipeline.pull(20)
    assert sample is not None and sample.pixels.shape == (18, width, 3)
    assert (sample.pixels == (0x78, 0x50, 0x28)).all()
    pipeline.close()


def test_the_age_of_a_frame_counts_from_its_own_stamp() -> None:
    pipeline = opened(f"{LIVE} ! {RAW},width=64,height=48,framerate=20/1 ! identity sleep-time=30000")
    ages_ms = []
    for _ in range(8):
        sample = pipeline.pull(20)
        assert sample is not None
        ages_ms.append((sample.decoded_ns - sample.captured_ns) / 1e6)
    pipeline.close()
    assert min(ages_ms) >= 29  # the pipeline's own delay, which arrival would hide


def test_a_pipeline_that_is_not_live_has_no_ages() -> None:
    pipeline = opened("videotestsrc num-buffers=5 ! video/x-raw,width=64,height=48")
    sample = pipeline.pull(20)
    assert sample is not None and not pipeline.is_live
    assert 0 <= time.perf_counter_ns() - sample.captured_ns < 20e9
    pipeline.close()


def test_memory_is_used_again() -> None:
    pipeline = opened(f"{LIVE} ! {RAW},width=64,height=48,framerate=60/1")
    first, second = pipeline.pull(20), pipeline.pull(20)
    assert first is not None and second is not None and np.shares_memory(first.pixels, second.pixels)
    pipeline.close()


def test_the_end_is_told() -> None:
    pipeline = opened("videotestsrc num-buffers=3 ! appsink drop=false")
    taken = [pipeline.pull(20) for _ in range(4)]
    assert [sample is None for sample in taken] == [False, False, False, True]
    assert pipeline.ended
    pipeline.close()


def test_close_ends_a_pull_that_waits() -> None:
    pipeline = opened(f"{LIVE} ! valve drop=true")
    results: list[object] = []
    waiting = Thread(target=lambda: results.append(pipeline.pull(60)))
    waiting.start()
    time.sleep(0.2)
    pipeline.close()
    waiting.join(20)
    assert results == [None]
    assert pipeline.pull(60) is None
    pipeline.close()


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("videotestsrc ! nosuchelement", MissingDependency, "nosuchelement, which is not here: apt install"),
        ("videotestsrc foo=1", InputError, 'no property "foo"'),
        ("videotestsrc ! video/x-raw,width=", InputError, "could not parse caps"),
        ("videotestsrc ! avdec_h264", InputError, "could not link"),
        ("filesrc location=/nowhere/at.all ! decodebin", SourceFailed, 'No such file "/nowhere/at.all"'),
    ],
)
def test_what_fails_is_told_in_one_line(text: str, error: type[Exception], says: str) -> None:
    with pytest.raises(error) as caught:
        pipeline = opened(text)
        try:
            assert pipeline.pull(20) is not None
        finally:
            pipeline.close()
    assert says in str(caught.value) and "\n" not in str(caught.value)


def test_a_password_is_never_told() -> None:
    with pytest.raises(EdgeSRError) as caught:
        pipeline = opened('rtspsrc location="rtsp://me:hunter2@127.0.0.1:9/x" foo=rtsp://me:hunter2@host/')
        pipeline.pull(20)
    assert "hunter2" not in str(caught.value)


def test_frames_go_in_and_a_file_comes_out_whole(tmp_path: Path) -> None:
    if not has_element("x264enc"):
        pytest.skip("no x264enc: apt install gstreamer1.0-plugins-ugly")
    file = tmp_path / "out.mp4"
    tail = f"{encoder(has=lambda name: False).text} ! mp4mux ! filesink location={file}"
    pipeline = Pipeline(sink_pipeline(322, 180, Fraction(30), tail).text, "gst:")
    pipeline.play()
    for level in range(10, 110, 10):
        pipeline.push(np.full((180, 322, 3), level, np.uint8))
    pipeline.finish()
    pipeline.close()
    back = Pipeline(source_pipeline(f"filesrc location={file} ! decodebin ! appsink drop=false").text, "gst:")
    back.play()
    pictures = [sample.pixels.copy() for _ in range(10) if (sample := back.pull(20)) is not None]
    back.close()
    assert len(pictures) == 10
    for picture, level in zip(pictures, range(10, 110, 10), strict=True):
        assert np.abs(picture.astype(int) - level).max() <= 2


def test_an_output_that_fails_says_why(tmp_path: Path) -> None:
    tail = f"videoconvert ! filesink location={tmp_path}/missing/out.yuv"
    pipeline = Pipeline(sink_pipeline(64, 48, None, tail).text, "gst:")
    with pytest.raises((OutputFailed, SourceFailed), match=r"missing/out\.yuv"):
        pipeline.play()
        for _ in range(50):
            pipeline.push(np.zeros((48, 64, 3), np.uint8))
    pipeline.close()


def test_a_failure_in_the_middle_reaches_who_pushes() -> None:
    pipeline = Pipeline(sink_pipeline(64, 48, None, "identity error-after=3 ! fakesink").text, "gst:")
    pipeline.play()
    with pytest.raises(OutputFailed, match="gst:"):
        for _ in range(50):
            pipeline.push(np.zeros((48, 64, 3), np.uint8))
    pipeline.close()


def test_close_ends_a_push_that_waits() -> None:
    tail = "queue max-size-buffers=1 ! fakesink sync=true ts-offset=3600000000000"  # shows its first frame in an hour
    pipeline = Pipeline(sink_pipeline(64, 48, None, tail).text, "gst:")
    pipeline.play()
    ended: list[object] = []

    def push() -> None:
        try:
            for _ in range(30):
                pipeline.push(np.zeros((48, 64, 3), np.uint8))
        except OutputFailed as error:
            ended.append(error)

    pushing = Thread(target=push, daemon=True)
    pushing.start()
    time.sleep(0.3)
    assert pushing.is_alive() and not ended
    pipeline.close()
    pushing.join(20)
    assert not pushing.is_alive()


def test_frames_of_two_sizes_are_refused() -> None:
    pipeline = Pipeline(sink_pipeline(64, 48, None, "fakesink").text, "gst:")
    pipeline.play()
    pipeline.push(np.zeros((48, 64, 3), np.uint8))
    with pytest.raises(OutputFailed, match="expected one size"):
        pipeline.push(np.zeros((48, 66, 3), np.uint8))
    pipeline.finish()
    pipeline.close()
    with pytest.raises(OutputFailed, match="closed"):
        pipeline.push(np.zeros((48, 64, 3), np.uint8))


def test_interlaced_video_is_refused() -> None:
    pipeline = opened("videotestsrc ! video/x-raw,format=I420,width=64,height=48,interlace-mode=interleaved")
    with pytest.raises(SourceFailed, match="interlaced"):
        pipeline.pull(20)
    pipeline.close()


def test_an_unknown_element_is_not_there() -> None:
    assert has_element("videoconvert")
    assert not has_element("nosuchelement")
