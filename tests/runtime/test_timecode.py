"""A time drawn into a picture comes back after what happens to pictures on their way."""

import io
import subprocess
import time
from fractions import Fraction

import av
import numpy as np
import pytest

from edgesr.runtime.backends import DEFAULT_MODELS, open_backend
from edgesr.runtime.errors import InputError
from edgesr.runtime.frame import Pixels
from edgesr.runtime.resize import imresize, upscale
from edgesr.runtime.sources.natural import natural_picture
from edgesr.runtime.timecode import draw, read

TIMES_NS = [0, 1_000, 123_456_789_012_000, 2**47 * 1000, (2**48 - 1) * 1000, 0x5555_5555_5555 * 1000]
SIZES = [(128, 96), (320, 180), (640, 360)]


def picture(width: int, height: int, value_ns: int) -> Pixels:
    pixels = natural_picture(width, height, 2).copy()
    draw(pixels, value_ns)
    return pixels


def h264(frames: list[Pixels], crf: int) -> list[Pixels]:
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as out:
        stream = out.add_stream("libx264", rate=30, options={"crf": str(crf), "preset": "veryfast"})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt, stream.time_base = "yuv420p", Fraction(1, 30)
        for pixels in frames:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="bgr24")))
        out.mux(stream.encode(None))
    file.seek(0)
    with av.open(file) as back:
        return [frame.to_ndarray(format="bgr24") for frame in back.decode(video=0)]


def jpeg(pixels: Pixels, quality: int) -> Pixels:
    cv2 = pytest.importorskip("cv2", reason="JPEG is written by OpenCV")
    back: Pixels = cv2.imdecode(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)
    return back


@pytest.mark.parametrize("value_ns", TIMES_NS)
@pytest.mark.parametrize("size", SIZES)
def test_a_time_comes_back_to_the_microsecond(size: tuple[int, int], value_ns: int) -> None:
    assert read(picture(*size, value_ns + 999)) == value_ns


def test_a_time_beyond_nine_years_begins_anew() -> None:
    assert read(picture(320, 180, (2**48 + 7) * 1000)) == 7000


@pytest.mark.parametrize("scale", DEFAULT_MODELS)
def test_it_survives_the_shipped_network(scale: int) -> None:
    with open_backend(DEFAULT_MODELS[scale], threads=1) as backend:
        for value_ns in TIMES_NS:
            assert read(backend.infer(picture(128, 96, value_ns)), scale) == value_ns


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_it_survives_bicubic(scale: int) -> None:
    assert read(upscale(picture(128, 96, TIMES_NS[2]), scale), scale) == TIMES_NS[2]


@pytest.mark.parametrize("scale", [0.6, 0.75, 1.3, 1.5, 2.7])
def test_it_survives_a_display_that_scales(scale: float) -> None:
    width, height = round(320 * scale), round(180 * scale)
    assert read(imresize(picture(320, 180, TIMES_NS[2]), width, height, scale), scale) == TIMES_NS[2]


@pytest.mark.parametrize("size", SIZES)
def test_it_survives_h264(size: tuple[int, int]) -> None:
    times = [TIMES_NS[2] + number * 33_333_000 for number in range(12)]
    assert [read(back) for back in h264([picture(*size, value_ns) for value_ns in times], crf=23)] == times


@pytest.mark.parametrize("size", SIZES)
def test_it_survives_jpeg(size: tuple[int, int]) -> None:
    assert all(read(jpeg(picture(*size, value_ns), 75)) == value_ns for value_ns in TIMES_NS)


def test_it_survives_all_of_it_at_once() -> None:
    """Sent as H.264, super-resolved, shown as JPEG."""
    with open_backend(DEFAULT_MODELS[4], threads=1) as backend:
        (low,) = h264([picture(128, 96, TIMES_NS[2])], crf=28)
        assert read(jpeg(backend.infer(low), 60), 4) == TIMES_NS[2]


@pytest.mark.parametrize("value", [0, 128, 255])
def test_a_plain_picture_holds_no_time(value: int) -> None:
    assert read(np.full((180, 320, 3), value, np.uint8)) is None


def test_a_picture_without_code_or_with_a_damaged_one_holds_no_time() -> None:
    assert all(read(natural_picture(320, 180, seed)) is None for seed in range(4))
    damaged = picture(320, 180, TIMES_NS[2])
    damaged[4:8, 4:8] = 255 - damaged[4:8, 4:8]
    assert read(damaged) is None
    noise = np.random.default_rng(1).integers(0, 256, (20, 180, 320, 3), np.uint8)
    assert sum(read(pixels) is not None for pixels in noise) == 0


@pytest.mark.parametrize("shape", [(23, 72), (24, 71), (1, 1), (0, 0)])
def test_a_picture_too_small_is_refused_and_holds_no_time(shape: tuple[int, int]) -> None:
    pixels = np.zeros((*shape, 3), np.uint8)
    with pytest.raises(InputError, match="a time code needs 72x24 pixels"):
        draw(pixels, 0)
    assert read(pixels) is None


def test_only_the_corner_is_drawn_upon() -> None:
    pixels = picture(320, 180, 1)
    np.testing.assert_array_equal(pixels[24:], natural_picture(320, 180, 2)[24:])
    np.testing.assert_array_equal(pixels[:, 72:], natural_picture(320, 180, 2)[:, 72:])


def test_it_is_drawn_and_read_fast_enough_for_every_frame() -> None:
    pixels = picture(320, 180, 1)
    begin = time.perf_counter()
    for number in range(50):
        draw(pixels, number)
        read(pixels)
    assert time.perf_counter() - begin < 1.0


PAGE = """
const [w, h, scale] = [Number(process.argv[1]), Number(process.argv[2]), Number(process.argv[3])];
const data = require('fs').readFileSync(0);
const cell = Math.max(4, Math.floor(Math.round(w / scale) / 80)) * scale;
const means = [];
for (let row = 0; row < 4; row++) for (let column = 0; column < 16; column++) {
  let sum = 0, count = 0;
  for (let y = Math.floor((row + 1.25) * cell); y < (row + 1.75) * cell - 0.5; y++)
    for (let x = Math.floor((column + 1.25) * cell); x < (column + 1.75) * cell - 0.5; x++)
      for (let c = 0; c < 3; c++) { sum += data[(y * w + x) * 3 + c]; count++; }
  means.push(sum / count);
}
const middle = (Math.min(...means) + Math.max(...means)) / 2;
const bits = means.map(mean => mean > middle ? 1 : 0);
let crc = 0xFFFF, time = 0;
for (const bit of bits.slice(0, 48)) {
  time = time * 2 + bit;
  crc = ((crc >> 15) ^ bit) & 1 ? ((crc << 1) ^ 0x1021) & 0xFFFF : (crc << 1) & 0xFFFF;
}
const said = bits.slice(48).reduce((sum, bit) => sum * 2 + bit, 0);
console.log(crc === said ? time : 'none');
"""


def test_a_page_can_read_it_by_the_description() -> None:
    """Written from the module's docstring alone, in JavaScript."""
    try:
        subprocess.run(["node", "--version"], check=True, capture_output=True)
    except OSError:
        pytest.skip("no node: apt-get install nodejs")
    pixels = upscale(picture(320, 180, TIMES_NS[2]), 2)
    done = subprocess.run(
        ["node", "-e", PAGE, "640", "360", "2"], input=pixels.tobytes(), capture_output=True, check=True
    )
    assert int(done.stdout) * 1000 == TIMES_NS[2]
