"""Video files: what is refused, where they are written, and real ones."""

import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from tests.runtime.videos import (
    SHARED,
    TAGS,
    colour_bars,
    copy,
    grey_frames,
    noisy_video,
    numbered_video,
    planes_by_formula,
    sound_of,
    write_tone,
    write_video,
    yuv_frame,
)

from edgesr.runtime.errors import InputError, MissingFile, OutputExists, OutputFailed, SourceFailed, UnreadableVideo
from edgesr.runtime.frame import Frame
from edgesr.runtime.sinks import open_sink
from edgesr.runtime.sources import StreamInfo, open_source
from edgesr.runtime.sources.truncation import missing_bytes


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
def test_hdr_is_refused_by_name_with_the_way_out(transfer: int, name: str, tmp_path: Path) -> None:
    tags = {"colorspace": 9, "color_range": 1, "color_primaries": 9, "color_trc": transfer}
    frame = yuv_frame(planes_by_formula(colour_bars(), 9, False, bits=10), "yuv420p10le")
    # H.264 in 10 bits: tags are tags, and this FFmpeg's HEVC in .mp4 fails now and then when it is muxed.
    write_video(tmp_path / "a clip.mp4", [frame], tags=tags)
    with pytest.raises(UnreadableVideo, match=rf"HDR \({name}.*ffmpeg -i 'a clip.mp4' .*tonemap"):
        open_source(str(tmp_path / "a clip.mp4"))


@pytest.mark.parametrize(
    ("codec", "options"),
    [
        ("libx264", {"preset": "ultrafast", "flags": "+ildct+ilme", "x264-params": "tff=1"}),
        ("mpeg2video", {"flags": "+ildct+ilme"}),
    ],
)
def test_interlaced_video_is_refused_by_name_with_the_way_out(
    codec: str, options: dict[str, str], tmp_path: Path
) -> None:
    frames = [frame.reformat(format="yuv420p") for frame in grey_frames(4)]
    write_video(tmp_path / "a.mkv", frames, codec=codec, options=options)
    with pytest.raises(UnreadableVideo, match=r"interlaced.*ffmpeg -i a.mkv -vf bwdif a-converted.mp4"):
        open_source(str(tmp_path / "a.mkv"))


def test_a_colour_matrix_that_cannot_be_converted_is_refused(tmp_path: Path) -> None:
    frame = yuv_frame(planes_by_formula(colour_bars(), 9, False), "yuv420p")
    write_video(tmp_path / "a.mkv", [frame], tags=TAGS | {"colorspace": 10})
    with pytest.raises(UnreadableVideo, match="colour matrix 10"):
        open_source(str(tmp_path / "a.mkv"))


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mp4"), "w") as output:
        write_tone(output, output.add_stream("aac", rate=16000), Fraction(1))
    with pytest.raises(UnreadableVideo, match="sound only"):
        open_source(str(tmp_path / "a.mp4"))


def test_an_mp4_without_its_end_is_refused_when_it_is_opened(tmp_path: Path) -> None:
    file = noisy_video(tmp_path / "a.mp4")
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(UnreadableVideo) as caught:
        open_source(str(file))
    assert "a.mp4 is no video or a damaged one" in str(caught.value) and "\n" not in str(caught.value)


CUT = [
    (".mkv", {}),
    (".mp4", {"movflags": "+faststart"}),
    (".ts", {}),
    (".avi", {}),
    (".mov", {"movflags": "+faststart"}),
]


@pytest.mark.parametrize(("suffix", "options"), CUT)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_video_that_breaks_off_gives_its_frames_and_then_an_error(
    suffix: str, options: dict[str, str], share: float, tmp_path: Path
) -> None:
    file = noisy_video(tmp_path / f"a{suffix}", container_options=options)
    whole = read_all(file)
    assert whole == 60
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * share)])
    given = []
    with open_source(str(file)) as source, pytest.raises(SourceFailed) as caught:
        for frame in source:
            given.append(frame.index)
    assert 60 * share - 9 < len(given) < 60 and given == list(range(len(given)))
    assert f"a{suffix}" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".ts"])
def test_a_video_with_a_damaged_middle_gives_its_frames_and_then_an_error(suffix: str, tmp_path: Path) -> None:
    file = noisy_video(tmp_path / f"a{suffix}")
    data = bytearray(file.read_bytes())
    middle = len(data) // 2 + 1000
    data[middle : middle + 400] = np.random.default_rng(1).integers(0, 256, 400, dtype=np.uint8).tobytes()
    file.write_bytes(data)
    given = 0
    with open_source(str(file)) as source, pytest.raises(SourceFailed, match="damaged after"):
        while source.read() is not None:
            given += 1
    assert 20 < given < 40


def test_a_recording_may_begin_between_two_keyframes(tmp_path: Path) -> None:
    file = noisy_video(tmp_path / "a.ts")
    data = file.read_bytes()
    (tmp_path / "b.ts").write_bytes(data[len(data) // 188 // 3 * 188 :])
    assert 20 < read_all(tmp_path / "b.ts") < 45


def read_all(file: Path) -> int:
    with open_source(str(file)) as source:
        return len(list(source))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi", ".mov", ".ts"])
def test_a_whole_file_lacks_no_bytes(suffix: str, tmp_path: Path) -> None:
    file = noisy_video(tmp_path / f"a{suffix}", 6)
    assert missing_bytes(file) == 0
    if suffix != ".ts":
        cut = file.stat().st_size * 2 // 3
        file.write_bytes(file.read_bytes()[:cut])
        assert missing_bytes(file) > 0


def test_an_existing_video_is_kept_unless_forced(tmp_path: Path) -> None:
    info = StreamInfo(title="x", frame_rate=Fraction(25))
    target = tmp_path / "out.mp4"
    target.write_bytes(b"precious")
    with pytest.raises(OutputExists, match="--force"):
        open_sink(str(target), info)
    with pytest.raises(KeyboardInterrupt), open_sink(str(target), info, force=True) as sink:
        sink.write(Frame(np.zeros((16, 16, 3), np.uint8), 0, 0))
        raise KeyboardInterrupt
    assert target.read_bytes() == b"precious" and list(tmp_path.iterdir()) == [target]


def test_the_input_is_no_output_even_with_force(tmp_path: Path) -> None:
    file = numbered_video(tmp_path / "a.mp4", 3)
    (tmp_path / "link.mp4").symlink_to(file)
    with open_source(str(file)) as source:
        for name in ("a.mp4", "link.mp4"):
            with pytest.raises(InputError, match="is the input"):
                open_sink(str(tmp_path / name), source.info, force=True)


def test_a_video_without_a_frame_leaves_no_file(tmp_path: Path) -> None:
    with open_sink(str(tmp_path / "out.mp4"), StreamInfo(title="x")):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_video_sink_may_be_closed_and_discarded_twice(tmp_path: Path) -> None:
    sink = open_sink(str(tmp_path / "out.mp4"), StreamInfo(title="x", frame_rate=Fraction(25)))
    sink.write(Frame(np.zeros((16, 16, 3), np.uint8), 0, 0))
    for end in (sink.close, sink.close, sink.discard, sink.discard):
        end()
    assert read_all(tmp_path / "out.mp4") == 1


FULL_DISK = """
import resource, sys
import numpy as np
from fractions import Fraction
from edgesr.runtime.errors import OutputFailed
from edgesr.runtime.frame import Frame
from edgesr.runtime.sinks import open_sink
from edgesr.runtime.sources import StreamInfo
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
rng = np.random.default_rng(0)
try:
    with open_sink(sys.argv[1], StreamInfo(title="x", frame_rate=Fraction(25))) as sink:
        for index in range(int(sys.argv[3])):
            sink.write(Frame(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8), index, 0, index / 25))
except OutputFailed as error:
    sys.exit(str(error))
"""


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
@pytest.mark.parametrize(("limit", "frames"), [(100_000, 150), (20_000, 20), (50, 1)])
def test_a_full_disk_is_one_line_and_leaves_nothing(suffix: str, limit: int, frames: int, tmp_path: Path) -> None:
    """A file size limit, underway and only at the end, stands for a full disk."""
    target = tmp_path / f"out{suffix}"
    command = [sys.executable, "-c", FULL_DISK, str(target), str(limit), str(frames)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    ended = subprocess.run(command, env=environment, check=False, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"{target} cannot be written: ") and ended.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_missing_is_said_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(OutputFailed, match="is no folder; make it first"):
        open_sink(str(tmp_path / "nowhere" / "out.mp4"), StreamInfo(title="x"))


def test_a_video_that_is_missing_is_said_to_be_missing() -> None:
    with pytest.raises(MissingFile, match=r"nowhere.mp4 does not exist"):
        open_source("nowhere.mp4")


@pytest.mark.parametrize(("name", "count", "sound"), [("carphone_pristine", 120, 0), ("cockatoo", 280, 388)])
def test_a_real_video_is_read_and_copied(name: str, count: int, sound: int, tmp_path: Path) -> None:
    file = SHARED / f"{name}.mp4"
    if not file.exists():
        pytest.skip(f"{file} is not here")
    frames = min(count, 40)
    info, _ = copy(file, tmp_path / "out.mkv", frames=frames)
    assert info.frame_count == frames
    assert read_all(tmp_path / "out.mkv") == frames
    if sound:
        assert len(sound_of(file)) == sound and 0 < len(sound_of(tmp_path / "out.mkv")) < sound
