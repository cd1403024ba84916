"""edgesr-jetson bundle: all that a board without internet needs, in one file."""

import tempfile
from argparse import ArgumentParser, Namespace
from pathlib import Path

from edgesr.jetson.bundle import TARGETS, BundleSettings, install_bundle, make_bundle
from edgesr.jetson.errors import WrongRequest
from edgesr.jetson.own_wheel import build_wheel, check_wheel

__all__ = ["EXAMPLES", "add_options", "run_bundle"]

EXAMPLES = """examples:
  edgesr-jetson bundle -o bundle.tar                            here, with internet: for JetPack 6
  edgesr-jetson bundle -o bundle.tar --jetpack 7 --model rdsrn_x4.onnx
  tar -xf bundle.tar && sh edgesr-bundle/install.sh             on the board, which has no edgesr yet
  edgesr-jetson bundle install bundle.tar                       on the board, later
"""


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("-o", "--output", type=Path, metavar="FILE.tar", help="the bundle to write")
    parser.add_argument("--jetpack", choices=tuple(TARGETS), default="6", help="that the board has (default: 6)")
    parser.add_argument(
        "--model", type=Path, action="append", default=[], metavar="FILE.onnx", help="to take along; may be given again"
    )
    parser.add_argument("--wheel", type=Path, metavar="FILE", help="of edgesr (default: built from this checkout)")
    parser.set_defaults(run=run_bundle, verb=None)
    one = parser.add_subparsers(dest="verb", metavar="install").add_parser("install", help="install from a bundle")
    one.add_argument("file", type=Path, metavar="FILE.tar")
    one.add_argument(
        "--environment",
        type=Path,
        default=Path.home() / "edgesr",
        metavar="DIR",
        help="to make or renew (default: ~/edgesr)",
    )
    one.add_argument(
        "--python", default="/usr/bin/python3", metavar="FILE", help="(default: the system's, which TensorRT is for)"
    )


def run_bundle(options: Namespace) -> int:
    if options.verb == "install":
        if options.output or options.model or options.wheel:
            raise WrongRequest("--output, --model and --wheel make a bundle; bundle install takes only the file")
        install_bundle(options.file, options.environment, options.python, _tell)
        return 0
    if options.output is None:
        raise WrongRequest(
            "where to? give --output bundle.tar (or install one: edgesr-jetson bundle install bundle.tar)"
        )
    with tempfile.TemporaryDirectory(prefix="edgesr-wheel-") as scratch:
        wheel = check_wheel(options.wheel) if options.wheel else build_wheel(Path(scratch))
        digest = make_bundle(BundleSettings(wheel, options.model, options.jetpack), options.output, _tell)
    print(f"{digest}  {options.output}")
    return 0


def _tell(line: str) -> None:
    print(f"edgesr-jetson: {line}", flush=True)
