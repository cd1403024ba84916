"""Bundles made with a stand-in for `pip download`, and installed by the real script with the real pip, without a network."""

import platform
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import edgesr.jetson.__main__ as command
from edgesr.jetson import bundle
from edgesr.jetson.bundle import FOLDER, TARGETS, BundleSettings, Target, install_bundle, make_bundle, unpack_bundle
from edgesr.jetson.errors import ProgramFailed, WrongRequest

DOWNLOAD = """import pathlib, shutil, sys
open({log!r}, "a").write(" ".join(sys.argv[1:]) + "\\n")
if pathlib.Path({broken!r}).exists():
    sys.exit("Looking for it\\nERROR: Could not find a version that satisfies the requirement onnx\\nERROR: No matching")
for wheel in pathlib.Path({wheels!r}).glob("*.whl"):
    shutil.copy(wheel, sys.argv[sys.argv.index("--dest") + 1])
"""
PYTHON = """#!/bin/sh
case "$*" in
"-c import platform"*) exec {real} "$@" ;;
"-m venv "*) mkdir -p "$4/bin"; cp "$0" "$4/bin/python" ;;
esac
echo "$*" >> {log}
"""
HERE = Target(platform.machine(), f"{sys.version_info.major}.{sys.version_info.minor}", 35)


def wheel(folder: Path, name: str, version: str, requires: str = "") -> Path:
    """The smallest that pip installs."""
    folder.mkdir(exist_ok=True)
    file, facts = folder / f"{name}-{version}-py3-none-any.whl", f"{name}-{version}.dist-info"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(f"{name}.py", f"version = '{version}'\n")
        archive.writestr(f"{facts}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{requires}")
        archive.writestr(
            f"{facts}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{facts}/RECORD", f"{name}.py,,\n{facts}/METADATA,,\n{facts}/WHEEL,,\n{facts}/RECORD,,\n")
    return file


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BundleSettings:
    monkeypatch.setitem(TARGETS, "6", HERE)
    wheels = tmp_path / "wheels"
    own = wheel(wheels, "edgesr", "0.1.0", "Requires-Dist: numpy\n")
    wheel(wheels, "numpy", "1.26.4")
    wheel(wheels, "onnx", "1.17.0")
    wheel(wheels, "pycuda", "2026.1")  # so that nothing is compiled where the tests run
    names = {"log": str(tmp_path / "log"), "broken": str(tmp_path / "broken"), "wheels": str(wheels)}
    (tmp_path / "pip.py").write_text(DOWNLOAD.format(**names))
    (tmp_path / "net_x2.onnx").write_bytes(b"model")
    return BundleSettings(own, [tmp_path / "net_x2.onnx"], pip=(sys.executable, str(tmp_path / "pip.py")))


def made(settings: BundleSettings, file: Path) -> Path:
    make_bundle(settings, file, lambda line: None)
    return file


def rewritten(file: Path, change: Callable[[tarfile.TarInfo], bool]) -> Path:
    """A copy of the archive with other entries: those for which `change` says yes."""
    copy = file.with_name("changed.tar")
    with tarfile.open(file) as old, tarfile.open(copy, "w") as new:
        for member in old.getmembers():
            data = old.extractfile(member)
            if change(member):
                new.addfile(member, data)
    return copy


def test_what_is_in_it(settings: BundleSettings, tmp_path: Path) -> None:
    with tarfile.open(made(settings, tmp_path / "b.tar")) as archive:
        names = {name.removeprefix(f"{FOLDER}/") for name in archive.getnames()}
    wheels = {f"wheels/{file.name}" for file in settings.wheel.parent.iterdir()}
    assert len(wheels) == 4
    assert names == {"SHA256SUMS", "bundle.json", "install.sh", "models/net_x2.onnx", *wheels}
    wanted, source = (tmp_path / "log").read_text().splitlines()
    assert f"--python-version {HERE.python}" in wanted and f"manylinux_2_17_{HERE.machine}" in wanted
    assert "--only-binary=:all:" in wanted and "numpy<2" in wanted and "pycuda" not in wanted
    assert source.endswith("--no-deps --no-binary=pycuda pycuda>=2024.1")


def test_the_same_files_give_the_same_bundle(settings: BundleSettings, tmp_path: Path) -> None:
    assert made(settings, tmp_path / "one.tar").read_bytes() == made(settings, tmp_path / "two.tar").read_bytes()


def test_jetpack_six_and_seven_take_their_pythons() -> None:
    six, seven = (TARGETS[name].pip_options for name in "67")
    assert (six[six.index("--python-version") + 1], six[six.index("--abi") + 1]) == ("3.10", "cp310")
    assert (seven[seven.index("--python-version") + 1], seven[seven.index("--abi") + 1]) == ("3.12", "cp312")
    assert "manylinux_2_35_aarch64" in six and "manylinux_2_36_aarch64" not in six and "manylinux2014_aarch64" in six


def test_the_script_asks_pip_for_no_network(settings: BundleSettings, tmp_path: Path) -> None:
    python, environment = tmp_path / "python3", tmp_path / "environment"
    python.write_text(PYTHON.format(log=tmp_path / "calls", real=sys.executable))
    python.chmod(0o755)
    install_bundle(made(settings, tmp_path / "b.tar"), environment, str(python), lambda line: None)
    venv, *calls = (tmp_path / "calls").read_text().splitlines()
    assert venv == f"-m venv --system-site-packages {environment}"
    pips = [call for call in calls if call.startswith("-m pip")]
    assert len(pips) == 2 and all("--no-index --find-links " in call for call in pips)
    assert (environment / "models/net_x2.onnx").read_bytes() == b"model"


@pytest.mark.slow
def test_it_installs_without_a_network(
    settings: BundleSettings, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file, told, environment = made(settings, tmp_path / "b.tar"), [], tmp_path / "environment"
    install_bundle(file, environment, sys.executable, told.append)
    assert told[0].endswith("whole, every checksum is right")
    assert f"installed in {environment}" in capfd.readouterr().out
    assert list(environment.glob("lib/python*/site-packages/edgesr.py"))
    assert list(environment.glob("lib/python*/site-packages/onnx.py"))
    assert (environment / "models/net_x2.onnx").read_bytes() == b"model"
    assert "include-system-site-packages = true" in (environment / "pyvenv.cfg").read_text()


def test_another_machine_is_named(settings: BundleSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TARGETS, "6", Target("riscv64", "3.4", 35))
    file = made(settings, tmp_path / "b.tar")
    with pytest.raises(
        ProgramFailed, match=r"for JetPack 6 \(Python and machine: 3\.4 riscv64\); here they are 3\.\d+ "
    ):
        install_bundle(file, tmp_path / "environment", sys.executable, lambda line: None)
    assert not (tmp_path / "environment").exists()


def test_a_python_that_is_not_there(settings: BundleSettings, tmp_path: Path) -> None:
    with pytest.raises(ProgramFailed, match="python9 does not run"):
        install_bundle(made(settings, tmp_path / "b.tar"), tmp_path / "e", "/usr/bin/python9", lambda line: None)


def test_a_download_that_fails_leaves_nothing(settings: BundleSettings, tmp_path: Path) -> None:
    (tmp_path / "broken").touch()
    before = set(tmp_path.iterdir())
    with pytest.raises(ProgramFailed, match="pip download failed: Could not find a version"):
        make_bundle(settings, tmp_path / "b.tar", lambda line: None)
    assert set(tmp_path.iterdir()) - before == {tmp_path / "log"}


def test_a_flipped_byte_is_found(settings: BundleSettings, tmp_path: Path) -> None:
    file = made(settings, tmp_path / "b.tar")
    data = bytearray(file.read_bytes())
    data[data.index(b"version = '1.17.0'")] ^= 1
    file.write_bytes(data)
    with pytest.raises(WrongRequest, match=r"is damaged: wheels/\S+ has another checksum"):
        unpack_bundle(file, tmp_path)


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.97])
def test_a_bundle_cut_short_is_found(settings: BundleSettings, tmp_path: Path, share: float) -> None:
    file = made(settings, tmp_path / "b.tar")
    data = file.read_bytes().rstrip(b"\0")
    file.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(WrongRequest, match=r"is no bundle|damaged|cannot be read"):
        unpack_bundle(file, tmp_path)


def test_a_missing_file_is_named(settings: BundleSettings, tmp_path: Path) -> None:
    file = rewritten(made(settings, tmp_path / "b.tar"), lambda member: not member.name.endswith(".onnx"))
    with pytest.raises(WrongRequest, match=r"models/net_x2\.onnx is missing; copy it again"):
        unpack_bundle(file, tmp_path)


def test_links_and_ways_out_are_not_followed(settings: BundleSettings, tmp_path: Path) -> None:
    def as_link(member: tarfile.TarInfo) -> bool:
        if member.name.endswith(".onnx"):
            member.type, member.linkname, member.size = tarfile.SYMTYPE, "/etc/passwd", 0
        return True

    with pytest.raises(WrongRequest, match="is missing"):
        unpack_bundle(rewritten(made(settings, tmp_path / "b.tar"), as_link), tmp_path)
    evil = tmp_path / "evil.tar"
    (tmp_path / "sums").write_text(f"{'0' * 64}  ../../escaped\n")
    with tarfile.open(evil, "w") as archive:
        archive.add(tmp_path / "sums", f"{FOLDER}/SHA256SUMS")
    with pytest.raises(WrongRequest, match="its list of checksums has the line"):
        unpack_bundle(evil, tmp_path)


@pytest.mark.parametrize("content", [b"", b"no archive", bytes(20_000)])
def test_files_that_are_no_bundle(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.tar").write_bytes(content)
    with pytest.raises(WrongRequest, match="is no bundle"):
        unpack_bundle(tmp_path / "x.tar", tmp_path)


def test_an_archive_without_script(tmp_path: Path) -> None:
    (tmp_path / "sums").touch()
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        archive.add(tmp_path / "sums", f"{FOLDER}/SHA256SUMS")
    with pytest.raises(WrongRequest, match="is not in its list"):
        unpack_bundle(tmp_path / "x.tar", tmp_path)


def test_wrong_settings(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for name in ("m.onnx", "a/m.onnx"):
        (tmp_path / name).touch()
    with pytest.raises(WrongRequest, match="two files have one name"):
        BundleSettings(tmp_path, [tmp_path / "m.onnx", tmp_path / "a/m.onnx"])
    with pytest.raises(WrongRequest, match="that is there"):
        BundleSettings(tmp_path, [tmp_path / "n.onnx"])
    with pytest.raises(WrongRequest, match="expected 6 or 7"):
        BundleSettings(tmp_path, [], jetpack="5")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "where to?"),
        (["-o", "b.tar", "--wheel", "x.whl"], "there is no such file"),
        (["-o", "b.tar", "install", "c.tar"], "bundle install takes only the file"),
        (["install", "/nowhere/b.tar"], "cannot be read or unpacked: No such file"),
    ],
)
def test_the_command_refuses_in_one_line(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["bundle", *words]) == 2
    told = capsys.readouterr().err
    assert said in told and told.count("\n") == 1


def test_the_command_makes_one(
    settings: BundleSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bundle, "_download", lambda words: None)
    words = [
        "bundle",
        "-o",
        str(tmp_path / "b.tar"),
        "--wheel",
        str(settings.wheel),
        "--model",
        str(settings.models[0]),
    ]
    assert command.main(words) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith(f"  {tmp_path / 'b.tar'}")
    assert (tmp_path / "b.tar").is_file()
