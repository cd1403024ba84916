import shutil
import subprocess
from pathlib import Path

import pytest

from edgesr.jetson.errors import WrongRequest
from edgesr.jetson.unit import ServiceSettings, quoted, unit_text

PROGRAM = shutil.which("true") or "/bin/true"  # systemd-analyze wants one that exists

WAYS: dict[str, ServiceSettings] = {
    "usb to http": ServiceSettings(PROGRAM, ["camera:0?width=640&height=360", "http://:8080"]),
    "csi to rtsp": ServiceSettings(
        PROGRAM, ["csi://0", "rtsp://:8554/sr", "--model", "/opt/a b.engine"], name="edgesr-front"
    ),
    "rtsp to file": ServiceSettings(
        PROGRAM,
        ["rtsp://me:secret@camera/stream", "out.mp4", "--force"],
        groups=(),
        writable=("/srv/films",),
        memory="2G",
    ),
    "usb to file": ServiceSettings(
        PROGRAM, ["camera:0", "out.mp4", "--force"], groups=("video", "render"), devices=("/dev/nvidia0",), watchdog_s=5
    ),
}


def lines(settings: ServiceSettings) -> list[str]:
    return unit_text(settings).splitlines()


@pytest.fixture
def analyze() -> str:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed: units are not checked by systemd here")
    return program


@pytest.mark.parametrize("way", WAYS)
def test_systemd_takes_it(way: str, analyze: str, tmp_path: Path) -> None:
    """Unknown and misspelled settings are told on standard error, with exit code 0."""
    file = tmp_path / WAYS[way].unit
    file.write_text(unit_text(WAYS[way]))
    done = subprocess.run([analyze, "verify", str(file)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_systemd_would_tell_of_a_fault(analyze: str, tmp_path: Path) -> None:
    file = tmp_path / "edgesr.service"
    file.write_text(unit_text(WAYS["usb to http"]).replace("ProtectClock", "ProtectClocks"))
    done = subprocess.run([analyze, "verify", str(file)], capture_output=True, text=True, check=False)
    assert "ProtectClocks" in done.stderr


@pytest.mark.parametrize("way", WAYS)
def test_exposure_is_small(way: str, analyze: str, tmp_path: Path) -> None:
    """systemd's own measure, from 0 to 10; without any setting 9.6. Ours is 1.8 with a network, 1.1 without."""
    file = tmp_path / WAYS[way].unit
    file.write_text(unit_text(WAYS[way]))
    command = [analyze, "security", "--offline=yes", "--no-pager", "--threshold=20", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "--offline" in done.stderr:
        pytest.skip("this systemd cannot examine a unit that is not loaded (it came with 250)")
    assert done.returncode == 0, done.stdout


def test_network_only_where_it_is_used() -> None:
    assert "PrivateNetwork=yes" not in lines(WAYS["usb to http"])
    assert "After=network-online.target" in lines(WAYS["usb to http"])
    assert {"PrivateNetwork=yes", "RestrictAddressFamilies=AF_UNIX"} <= set(lines(WAYS["usb to file"]))


@pytest.mark.parametrize(
    ("source", "network", "argus"),
    [
        ("camera:0", False, False),
        ("csi://0", False, True),
        ("/dev/video0", False, False),
        ("pattern:", False, False),
        ("udp://:5000", True, False),
        ("http://camera/mjpeg", True, False),
        ("gst:nvarguscamerasrc ! appsink", True, True),
    ],
)
def test_what_a_source_needs(source: str, network: bool, argus: bool) -> None:
    settings = ServiceSettings(PROGRAM, [source, "null:"])
    assert (settings.uses_network, settings.uses_argus) == (network, argus)


def test_argus_is_reached_through_its_socket() -> None:
    told = lines(WAYS["csi to rtsp"])
    assert "BindPaths=-/tmp/argus_socket" in told
    assert "After=network-online.target nvargus-daemon.service" in told
    assert not [line for line in lines(WAYS["usb to http"]) if "argus" in line]


def test_own_user_groups_devices_and_folders() -> None:
    told = lines(WAYS["usb to file"])
    assert {"DynamicUser=yes", "User=edgesr", "StateDirectory=edgesr", "SupplementaryGroups=video render"} <= set(told)
    assert "DeviceAllow=/dev/nvidia0 rw" in told
    assert "WatchdogSec=5" in told
    other = lines(WAYS["rtsp to file"])
    assert "ReadWritePaths=/srv/films" in other
    assert "MemoryMax=2G" in other
    assert not [line for line in other if line.startswith("SupplementaryGroups")]


@pytest.mark.parametrize(
    ("program", "home"), [("/opt/edgesr/bin/edgesr-run", "yes"), ("/home/me/v/edgesr-run", "read-only")]
)
def test_homes_are_hidden_unless_the_program_lies_in_one(program: str, home: str) -> None:
    assert f"ProtectHome={home}" in lines(ServiceSettings(program, ["camera:0", "null:"]))


def test_films_may_be_written_where_it_was_allowed() -> None:
    way = ["camera:0", "/srv/films/a.mp4", "/var/lib/edgesr/b.mp4", "c.mp4", "--force"]
    assert "ReadWritePaths=/srv/films" in lines(ServiceSettings(PROGRAM, way, writable=("/srv/films",)))


def test_secrets_are_noticed() -> None:
    assert WAYS["rtsp to file"].holds_secrets
    assert not WAYS["usb to http"].holds_secrets


@pytest.mark.parametrize(
    ("argument", "word"),
    [
        ("camera:0?width=640&height=360", "camera:0?width=640&height=360"),
        ("a b", '"a b"'),
        ('say "x"', '"say \\"x\\""'),
        ("back\\slash", '"back\\\\slash"'),
        ("100%", "100%%"),
        ("$HOME", "$$HOME"),
        (";", '";"'),
        ("it's", '"it\'s"'),
    ],
)
def test_quoting(argument: str, word: str) -> None:
    assert quoted(argument) == word


@pytest.mark.parametrize("argument", ["", "two\nlines", "bell\a"])
def test_what_cannot_be_quoted(argument: str) -> None:
    with pytest.raises(WrongRequest, match="printable"):
        quoted(argument)


def test_a_newline_in_an_argument_adds_no_setting() -> None:
    with pytest.raises(WrongRequest, match="printable"):
        unit_text(ServiceSettings(PROGRAM, ["camera:0", "null:", "--model", "x\nExecStartPre=/bin/evil"]))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["camera:0"], "needs a source and a sink"),
        (["--model", "x"], "needs a source and a sink"),
        (["camera:0", "window:"], "needs a desktop"),
        (["camera:0", "null:", "--also", "camera:1", "window:"], "needs a desktop"),
        (["camera:0", "/srv/film.mp4", "--force"], "--writable /srv"),
        (["camera:0", "http://:8080", "film.mp4"], "film.mp4 exists when the service starts for the second time"),
    ],
)
def test_ways_that_cannot_be_a_service(arguments: list[str], said: str) -> None:
    with pytest.raises(WrongRequest, match=said):
        ServiceSettings(PROGRAM, arguments)


@pytest.mark.parametrize(
    "settings",
    [
        {"name": "../evil"},
        {"name": "Edgesr"},
        {"name": "x" * 32},
        {"memory": "lots"},
        {"memory": "0"},
        {"memory": "101%"},
        {"watchdog_s": 0},
        {"writable": ("relative",)},
        {"writable": ("/a b",)},
        {"writable": ("/a\nExecStart=/bin/evil",)},
        {"program": "edgesr-run"},
    ],
)
def test_settings_that_cannot_be(settings: dict[str, object]) -> None:
    with pytest.raises(WrongRequest, match="expected"):
        ServiceSettings(**{"program": PROGRAM, "arguments": ["camera:0", "null:"], **settings})
