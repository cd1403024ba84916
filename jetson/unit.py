"""The systemd unit that keeps edgesr-run running: a user of its own, and no more of the machine than it needs."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile

from edgesr.jetson.errors import WrongRequest

__all__ = ["MARK", "ServiceSettings", "check_name", "quoted", "unit_text"]

MARK = "# Written by `edgesr-jetson service install`. Run that again to change it, `service uninstall` to remove it."

NETWORK = re.compile(r"(?!csi:)[a-z][a-z0-9+]*://|gst:")
"""Sources and sinks beyond this machine; what stands in a `gst:` nobody knows."""

DEVICES = ("char-video4linux", "char-nv*", "char-drm", "/dev/nvmap", "/dev/host1x-fence")
"""Groups of device nodes, by their names in /proc/devices, and single nodes of the group `misc`, which is too wide.
L4T's names; not tried on a board."""

START_S = 300
"""Until the first frame: TensorRT's libraries and an engine come from an SD card in the worst case."""


def check_name(name: str) -> None:
    """It becomes the unit's, the user's and the folders' name. Raises WrongRequest."""
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,30}", name):
        raise WrongRequest(
            f"--name {name!r}: expected up to 31 small letters, digits and '-', a letter first, such as front-door"
        )


@dataclass(frozen=True)
class ServiceSettings:
    """`arguments` are edgesr-run's. `groups` must exist: systemd starts no service in a group that does not."""

    program: str
    arguments: Sequence[str]
    name: str = "edgesr"
    groups: Sequence[str] = ("video",)
    devices: Sequence[str] = ()
    """More nodes, beside those that every board and PC may have."""
    writable: Sequence[str] = ()
    """Folders outside of /var/lib/<name>; the service's user must be allowed to write there."""
    memory: str = "75%"
    watchdog_s: int = 30
    """Without a frame for so long the service is started anew."""

    def __post_init__(self) -> None:
        check_name(self.name)
        if not re.fullmatch(r"[1-9]\d*[KMGT]?|[1-9]\d?%|100%", self.memory):
            raise WrongRequest(f"--memory {self.memory}: expected bytes such as 2G or 1500M, or a share such as 75%")
        if not 1 <= self.watchdog_s <= 86400:
            raise WrongRequest(f"--watchdog {self.watchdog_s}: expected seconds from 1 to 86400")
        for path in (self.program, *self.writable):
            if not path.startswith("/") or not path.isprintable() or re.search(r"[\s%:\"']", path):
                raise WrongRequest(
                    f"{path!r}: expected a whole path, such as /opt/edgesr, without blanks, colons, % and quotes"
                )
        self._check_way()

    def _check_way(self) -> None:
        _, *sinks = self.way or ("",)
        if not sinks:
            raise WrongRequest("a service needs a source and a sink, such as camera:0 http://:8080")
        if any(argument.startswith("window:") for argument in self.arguments):
            raise WrongRequest(
                "window: needs a desktop, which a service has not; give http://:8080 or rtsp://… instead"
            )
        files = [sink for sink in sinks if not re.match(r"[a-z]+:", sink)]
        if files and "--force" not in self.arguments:
            raise WrongRequest(
                f"{files[0]} exists when the service starts for the second time, and edgesr-run would refuse: "
                "add -- --force to overwrite it at each start, or give a stream"
            )
        for file in files:
            folders = (f"/var/lib/{self.name}", *self.writable)
            if file.startswith("/") and not any(file.startswith(f"{folder.rstrip('/')}/") for folder in folders):
                raise WrongRequest(
                    f"{file}: the service may write below /var/lib/{self.name} only; give a relative name, or add "
                    f"--writable {file.rpartition('/')[0] or '/'}"
                )

    @property
    def way(self) -> tuple[str, ...]:
        """Source and sinks: what stands before the first option."""
        return tuple(takewhile(lambda argument: not argument.startswith("-"), self.arguments))

    @property
    def unit(self) -> str:
        return f"{self.name}.service"

    @property
    def holds_secrets(self) -> bool:
        """A password in an address; the unit's file is then root's alone (systemd still shows the command to all)."""
        return any(re.search(r"://[^/\s]*:[^/\s]*@", argument) for argument in self.arguments)

    @property
    def uses_network(self) -> bool:
        return any(NETWORK.match(argument) for argument in self.arguments)

    @property
    def uses_argus(self) -> bool:
        return any("csi:" in argument or "nvargus" in argument for argument in self.arguments)

    @property
    def uses_home(self) -> bool:
        paths = (self.program, *self.arguments, *self.writable)
        return any(path.startswith(("/home/", "/root/")) for path in paths)


def quoted(argument: str) -> str:
    """One word of a command line in a unit: systemd.service(5), "Command lines". Raises WrongRequest."""
    if not argument or not argument.isprintable():
        raise WrongRequest(f"{argument!r}: expected an argument of printable characters")
    escaped = argument.replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$").replace("%", "%%")
    return escaped if re.fullmatch(r"[\w@%+=:,./?&$~-]+", escaped, re.ASCII) else f'"{escaped}"'


def unit_text(settings: ServiceSettings) -> str:
    return (
        "\n".join((MARK, "", *_unit(settings), "", *_service(settings), "", *_hardening(settings), "", *_install()))
        + "\n"
    )


def _unit(settings: ServiceSettings) -> Iterator[str]:
    yield "[Unit]"
    yield "Description=edgesr-run, real-time super-resolution"
    after = ["network-online.target"] * settings.uses_network + ["nvargus-daemon.service"] * settings.uses_argus
    if settings.uses_network:
        yield "Wants=network-online.target"
    if after:
        yield f"After={' '.join(after)}"
    yield "# A camera that is unplugged comes back some day: never give up."
    yield "StartLimitIntervalSec=0"


def _service(settings: ServiceSettings) -> Iterator[str]:
    name = settings.name
    yield "[Service]"
    yield "# edgesr-run reports its first frame as READY and later ones as WATCHDOG."
    yield "Type=notify"
    yield "NotifyAccess=main"
    yield f"ExecStart={settings.program} --quiet {' '.join(quoted(argument) for argument in settings.arguments)}"
    yield "Restart=always"
    yield "RestartSec=5"
    yield f"WatchdogSec={settings.watchdog_s}"
    yield f"TimeoutStartSec={START_S}"
    yield "TimeoutStopSec=20"
    yield "# What edgesr-run ends with at SIGTERM."
    yield "SuccessExitStatus=143"
    yield f"MemoryMax={settings.memory}"
    yield "TasksMax=512"
    yield "# A user that exists while the service runs."
    yield "DynamicUser=yes"
    yield f"User={name}"
    if settings.groups:
        yield f"SupplementaryGroups={' '.join(settings.groups)}"
    yield f"StateDirectory={name}"
    yield f"CacheDirectory={name}"
    yield f"WorkingDirectory=/var/lib/{name}"
    yield f"Environment=HOME=/var/lib/{name} CUDA_CACHE_PATH=/var/cache/{name} PYTHONDONTWRITEBYTECODE=1"
    yield "UMask=0027"


def _hardening(settings: ServiceSettings) -> Iterator[str]:
    yield "ProtectSystem=strict"
    yield f"ProtectHome={'read-only' if settings.uses_home else 'yes'}"
    if settings.writable:
        yield f"ReadWritePaths={' '.join(settings.writable)}"
    yield "PrivateTmp=yes"
    if settings.uses_argus:
        yield "# nvargus-daemon's; when the daemon makes another, no frame comes, and the watchdog starts us anew."
        yield "BindPaths=-/tmp/argus_socket"
    yield "DevicePolicy=closed"
    for device in dict.fromkeys((*DEVICES, *settings.devices)):
        yield f"DeviceAllow={device} rw"
    if not settings.uses_network:
        yield "PrivateNetwork=yes"
    yield f"RestrictAddressFamilies=AF_UNIX{' AF_INET AF_INET6 AF_NETLINK' if settings.uses_network else ''}"
    yield "NoNewPrivileges=yes"
    yield "CapabilityBoundingSet="
    for what in ("Clock", "ControlGroups", "Hostname", "KernelLogs", "KernelModules", "KernelTunables"):
        yield f"Protect{what}=yes"
    yield "ProtectProc=invisible"
    yield "RestrictNamespaces=yes"
    yield "RestrictRealtime=yes"
    yield "RestrictSUIDSGID=yes"
    yield "LockPersonality=yes"
    yield "SystemCallArchitectures=native"
    yield "SystemCallFilter=@system-service"
    yield "SystemCallFilter=~@privileged"
    yield "SystemCallErrorNumber=EPERM"
    yield "# Not set: MemoryDenyWriteExecute, since CUDA and GStreamer's orc write code at run time."


def _install() -> Iterator[str]:
    yield "[Install]"
    yield "WantedBy=multi-user.target"
