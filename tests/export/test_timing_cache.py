import threading
from pathlib import Path

import pytest

from edgesr.export.builder.timing_cache import MAGIC, cache_path, read_cache, write_cache
from edgesr.runtime.errors import OutputFailed

ORIN = ("Orin (nvgpu)", "8.7", "10.3.0")


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "not" / "yet" / "a.timing"
    assert read_cache(path) == (b"", "new")
    write_cache(path, b"timings\0" * 999)
    assert read_cache(path) == (b"timings\0" * 999, "hit")
    write_cache(path, b"newer")
    assert read_cache(path) == (b"newer", "hit") and list(path.parent.iterdir()) == [path]


def test_each_gpu_and_tensorrt_has_its_own_file_below_the_users_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    path = cache_path(*ORIN)
    assert path == tmp_path / "edgesr" / "timing" / "Orin-nvgpu_8.7_10.3.0.timing"
    others = [cache_path("NVIDIA H200", "9.0", "10.3.0"), cache_path("Orin (nvgpu)", "8.7", "10.13.3")]
    assert len({path, *others}) == 3
    assert cache_path(*ORIN, folder=tmp_path).parent == tmp_path


@pytest.mark.parametrize("cache_home", ["", "relative"])
def test_without_a_usable_cache_home_it_is_the_homes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache_home: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", cache_home)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_path(*ORIN).is_relative_to(tmp_path / ".cache" / "edgesr")


def test_no_home_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(OutputFailed, match="XDG_CACHE_HOME"):
        cache_path(*ORIN)


@pytest.mark.parametrize("gpu", ["../../etc/passwd", "..", "", "a\0b\nc", "名" * 300, "x" * 300])
def test_no_name_of_a_gpu_leaves_the_folder(tmp_path: Path, gpu: str) -> None:
    path = cache_path(gpu, "8.7", "10.3.0", folder=tmp_path)
    write_cache(path, b"x")
    assert path.resolve().parent == tmp_path.resolve() and read_cache(path)[1] == "hit"


def test_a_damaged_cache_is_never_handed_on(tmp_path: Path) -> None:
    path = tmp_path / "a.timing"
    write_cache(path, bytes(range(256)))
    good = path.read_bytes()
    for position in (len(MAGIC), len(MAGIC) + 40, len(good) - 1):
        path.write_bytes(good[:position] + bytes([good[position] ^ 1]) + good[position + 1 :])
        data, state = read_cache(path)
        assert data == b"" and "damaged" in state, position
    for length in range(len(good)):
        path.write_bytes(good[:length])
        assert read_cache(path)[0] == b"", length
        write_cache(path, b"again")
        assert read_cache(path) == (b"again", "hit"), length


def test_another_layout_is_not_read_but_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.timing"
    path.write_bytes(MAGIC.replace(b"1", b"2") + b"whatever comes")
    data, state = read_cache(path)
    assert data == b"" and state.startswith("new: ")
    write_cache(path, b"x")
    assert read_cache(path) == (b"x", "hit")


def test_a_file_that_is_no_cache_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"somebody's network")
    assert read_cache(path)[0] == b"" and "no timing cache" in read_cache(path)[1]
    with pytest.raises(OutputFailed, match="stays as it is"):
        write_cache(path, b"x")
    assert path.read_bytes() == b"somebody's network"


def test_a_place_that_cannot_be_written_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "a.timing", tmp_path):
        assert read_cache(path)[0] == b""
        with pytest.raises(OutputFailed):
            write_cache(path, b"x")


def test_parallel_builders_leave_one_whole_cache(tmp_path: Path) -> None:
    path = tmp_path / "a.timing"
    write_cache(path, b"0" * 100_000)
    states = set()

    def build(mark: bytes) -> None:
        for _ in range(20):
            write_cache(path, mark * 100_000)
            states.add(read_cache(path)[1])

    threads = [threading.Thread(target=build, args=(mark,)) for mark in (b"1", b"2", b"3")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert states == {"hit"} and list(tmp_path.iterdir()) == [path]
