"""edgesr-jetson service: edgesr-run as a systemd service."""

from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from pathlib import Path

from edgesr.jetson.errors import WrongRequest
from edgesr.jetson.service import (
    closed_to_others,
    existing_groups,
    gpu_nodes,
    install,
    installed_text,
    program,
    uninstall,
    whole_paths,
)
from edgesr.jetson.unit import ServiceSettings, unit_text

__all__ = ["EXAMPLES", "add_options"]

EXAMPLES = """examples:
  edgesr-jetson service install --print camera:0 http://:8080
  sudo /opt/edgesr/bin/edgesr-jetson service install csi://0 rtsp://:8554/sr -- --model /opt/edgesr/rdsrn_x4.engine
  edgesr-jetson service show
  sudo /opt/edgesr/bin/edgesr-jetson service uninstall
"""

INSTALL = """Writes a systemd unit and starts it. The service runs as a user of its own, sees the system read-only, is started
anew when no frame comes out any more, and may write below /var/lib/NAME only. What follows -- goes to edgesr-run."""


def add_options(parser: ArgumentParser) -> None:
    verbs = parser.add_subparsers(metavar="install|uninstall|show", required=True)
    one = verbs.add_parser(
        "install",
        help="write, enable and start it",
        description=INSTALL,
        epilog=EXAMPLES,
        formatter_class=RawDescriptionHelpFormatter,
    )
    one.usage = "edgesr-jetson service install SOURCE SINK [SINK ...] [options] [-- OPTIONS OF edgesr-run]"
    one.add_argument("way", nargs="+", metavar="SOURCE SINK", help="as for edgesr-run")
    one.add_argument("--print", action="store_true", help="show the unit and change nothing")
    _add_name(one)
    one.add_argument("--memory", default="75%", metavar="SIZE", help="the most it may use: 2G or 75%% (default: 75%%)")
    one.add_argument(
        "--watchdog",
        type=int,
        default=30,
        metavar="S",
        help="without a frame for so long it is started anew (default: 30)",
    )
    one.add_argument(
        "--writable", action="append", default=[], metavar="DIR", help="one more folder that it may write to"
    )
    one.set_defaults(run=_install, takes_rest=True)
    one = verbs.add_parser("uninstall", help="stop and remove it")
    _add_name(one)
    one.set_defaults(run=_uninstall)
    one = verbs.add_parser("show", help="show the installed unit")
    _add_name(one)
    one.set_defaults(run=_show)


def _add_name(parser: ArgumentParser) -> None:
    parser.add_argument("--name", default="edgesr", help="of the service (default: edgesr)")


def _install(options: Namespace) -> int:
    settings = ServiceSettings(
        program(),
        whole_paths([*options.way, *options.rest], Path.cwd()),
        name=options.name,
        groups=existing_groups(),
        devices=gpu_nodes(),
        writable=options.writable,
        memory=options.memory,
        watchdog_s=options.watchdog,
    )
    _check_open(settings)
    if options.print:
        print(unit_text(settings), end="")
        return 0
    print(*install(settings), sep="\n")
    return 0


def _check_open(settings: ServiceSettings) -> None:
    """The service's own user must be able to read the program and what the command line names."""
    for path in (settings.program, *(argument for argument in settings.arguments if argument.startswith("/"))):
        if not path.startswith("/dev/") and Path(path).exists() and (closed := closed_to_others(Path(path))):
            raise WrongRequest(
                f"{path}: {closed} is closed to other users, and the service runs as a user of its own; put it where all "
                f"may read, such as /opt/edgesr, or open it: chmod o+{'r' if closed == Path(path) else 'x'} {closed}"
            )


def _uninstall(options: Namespace) -> int:
    print(*uninstall(options.name), sep="\n")
    return 0


def _show(options: Namespace) -> int:
    print(installed_text(options.name), end="")
    return 0
