"""Time in video files: parts, rates, and sound beside the pictures."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from tests.runtime.videos import copy, grey_frames, number_of, numbered_video, sound_of, write_tone

from edgesr.runtime.errors import InputError
from edgesr.runtime.frame import Frame
from edgesr.runtime.sinks import open_sink
from edgesr.runtime.sources import StreamInfo, open_source


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
@pytest.mark.parametrize("start", [0, 1, 19, 20, 21, 38, 49])
def test_a_start_is_exact(suffix: str, start: int, tmp_path: Path) -> None:
    numbered_video(tmp_path / f"a{suffix}")
    with open_source(str(tmp_path / f"a{suffix}"), start_s=start / 25) as source:
        frames = [(number_of(frame.pixels), frame.index, round((frame.time_s or 0) * 25)) for frame in source]
    assert frames == [(number, number - start, number) for number in range(start, 50)]


def test_start_end_and_frames_choose_a_part(tmp_path: Path) -> None:
    file = str(numbered_video(tmp_path / "a.mp4"))
    with open_source(file, start_s=0.41, end_s=0.8) as source:
        assert [number_of(frame.pixels) for frame in source] == list(range(11, 20))
        assert source.info.frame_count == 9
    with open_source(file, start_s=0.4, end_s=1.6, frames=3) as source:
        assert [number_of(frame.pixels) for frame in source] == [10, 11, 12]
        assert source.info.frame_count == 3
    with open_source(file) as source:
        assert source.info.frame_count == len(list(source)) == 50


def test_a_start_behind_the_end_is_refused(tmp_path: Path) -> None:
    file = str(numbered_video(tmp_path / "a.mp4", 10))
    with pytest.raises(InputError, match=r"the last frame of a.mp4 is at 0.360 s"):
        open_source(file, start_s=5.0)
    with pytest.raises(InputError, match=r"no frame of a.mp4 lies between"):
        open_source(file, start_s=0.21, end_s=0.22)


def test_a_bare_stream_without_times_is_counted(tmp_path: Path) -> None:
    numbered_video(tmp_path / "a.h264", 12)
    with open_source(str(tmp_path / "a.h264"), start_s=0.2) as source:
        frames = [(number_of(frame.pixels), frame.time_s) for frame in source]
    assert frames[0] == (5, pytest.approx(0.2)) and frames[-1] == (11, pytest.approx(0.44))


def test_a_bare_stream_can_be_copied(tmp_path: Path) -> None:
    numbered_video(tmp_path / "a.h264", 12)
    copy(tmp_path / "a.h264", tmp_path / "out.mp4", start_s=0.2, frames=5)
    with open_source(str(tmp_path / "out.mp4")) as source:
        assert [number_of(frame.pixels) for frame in source] == [5, 6, 7, 8, 9]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_a_variable_rate_stays_as_it_is(suffix: str, tmp_path: Path) -> None:
    times = [Fraction(n, 1000) for n in (0, 40, 80, 200, 240, 500, 540, 580)]
    numbered_video(tmp_path / "vfr.mkv", len(times), times=times)
    info, _ = copy(tmp_path / "vfr.mkv", tmp_path / f"out{suffix}")
    assert "variable frame rate: every frame keeps its own time" in info.notes
    with open_source(str(tmp_path / f"out{suffix}")) as source:
        assert [frame.time_s for frame in source] == pytest.approx([float(time) for time in times], abs=0.001)


def test_a_constant_rate_is_not_called_variable(tmp_path: Path) -> None:
    numbered_video(tmp_path / "a.mkv", 20, rate=Fraction(24000, 1001))  # Matroska's clock ticks in milliseconds
    info, _ = copy(tmp_path / "a.mkv", tmp_path / "out.mp4")
    assert info.notes == []
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert abs(container.streams.video[0].average_rate - Fraction(24000, 1001)) < Fraction(1, 10)


def test_frames_without_times_follow_at_25_and_that_is_said(tmp_path: Path) -> None:
    info = StreamInfo(title="folder")
    with open_sink(str(tmp_path / "out.mp4"), info) as sink:
        for index in range(5):
            sink.write(Frame(np.zeros((16, 16, 3), np.uint8), index, 0))
    assert sink.notes == ["folder has no frame rate: 25 frames a second taken"]
    with open_source(str(tmp_path / "out.mp4")) as source:
        assert [frame.time_s for frame in source] == pytest.approx([0, 0.04, 0.08, 0.12, 0.16])


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_sound_is_copied_packet_by_packet(suffix: str, tmp_path: Path) -> None:
    file = numbered_video(tmp_path / "a.mp4", 30, sound="aac")
    _, notes = copy(file, tmp_path / f"out{suffix}")
    before, after = sound_of(file), sound_of(tmp_path / f"out{suffix}")
    assert [data for _, data in after] == [data for _, data in before]
    shift = after[0][0] - before[0][0]
    assert abs(shift) < 0.07  # Matroska has no negative times: AAC's priming moves everything by a packet
    assert [time - shift for time, _ in after] == pytest.approx([time for time, _ in before], abs=0.002)
    assert notes == []


def test_sound_is_cut_to_the_part_and_starts_with_its_first_frame(tmp_path: Path) -> None:
    file = numbered_video(tmp_path / "a.mp4", 75, sound="aac")
    copy(file, tmp_path / "out.mp4", start_s=1.6, end_s=2.4)
    before, after = sound_of(file), sound_of(tmp_path / "out.mp4")
    expected = [(time - 1.6, data) for time, data in before if 1.6 <= time < 2.4]
    assert [data for _, data in after] == [data for _, data in expected]
    assert [time for time, _ in after] == pytest.approx([time for time, _ in expected], abs=0.002)
    with open_source(str(tmp_path / "out.mp4")) as source:
        frames = [(number_of(frame.pixels), frame.time_s) for frame in source]
    assert frames[0] == (40, 0.0) and len(frames) == 20


def test_sound_ends_with_the_last_frame_where_only_some_are_read(tmp_path: Path) -> None:
    file = numbered_video(tmp_path / "a.mp4", 50, sound="aac")
    copy(file, tmp_path / "out.mp4", frames=10)
    assert 0.3 < sound_of(tmp_path / "out.mp4")[-1][0] < 0.4


def test_sound_that_is_longer_than_the_pictures_is_kept_whole(tmp_path: Path) -> None:
    file = tmp_path / "a.mp4"
    with av.open(str(file), "w") as output:
        stream = output.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 16, "yuv420p"
        tones = output.add_stream("aac", rate=16000)
        for frame in grey_frames(5):
            output.mux(stream.encode(frame.reformat(format="yuv420p")))
        output.mux(stream.encode(None))
        write_tone(output, tones, Fraction(2))
    copy(file, tmp_path / "out.mp4")
    assert len(sound_of(tmp_path / "out.mp4")) == len(sound_of(file)) > 30


def test_sound_that_the_file_cannot_hold_is_refused_at_once(tmp_path: Path) -> None:
    file = numbered_video(tmp_path / "a.avi", 5, sound="pcm_mulaw")
    with open_source(str(file)) as source, pytest.raises(InputError, match=r"\(pcm_mulaw\): write a .mov"):
        open_sink(str(tmp_path / "out.mp4"), source.info)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.avi"]
    copy(file, tmp_path / "out.mov")
    assert b"".join(data for _, data in sound_of(tmp_path / "out.mov")) == b"".join(data for _, data in sound_of(file))


def test_what_else_the_input_holds_is_said_to_stay_behind(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mkv"), "w") as output:
        stream: Any = output.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 16, "yuv420p"
        output.add_attachment("font.ttf", "application/x-truetype-font", b"font")
        for frame in grey_frames(3):
            output.mux(stream.encode(frame.reformat(format="yuv420p")))
        output.mux(stream.encode(None))
    _, notes = copy(tmp_path / "a.mkv", tmp_path / "out.mkv")
    assert notes == ["not carried over: attachments"]
