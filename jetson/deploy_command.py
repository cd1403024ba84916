"""edgesr-jetson deploy: edgesr on a board, over ssh."""

import re
import tempfile
from argparse import ArgumentParser, Namespace
from pathlib import Path

from edgesr.jetson.deploy import RESULTS, DeploySettings, deploy
from edgesr.jetson.errors import WrongRequest
from edgesr.jetson.own_wheel import build_wheel, check_wheel
from edgesr.jetson.ssh import Remote

__all__ = ["EXAMPLES", "add_options", "run_deploy"]

EXAMPLES = """examples:
  edgesr-jetson deploy nvidia@192.168.55.1                      the network that edgesr comes with
  edgesr-jetson deploy nvidia@orin --model rdsrn_x4.onnx --size 320x180
  edgesr-jetson deploy nvidia@orin --model rdsrn_x4.onnx -- --budget 5m    what follows -- goes to edgesr-bench latency

ssh must get in without a password: ssh-copy-id USER@HOST. Run the same again after anything broke off.
"""

DEFAULT_MODEL = Path(__file__).resolve().parent.parent / "runtime" / "models" / "ecbsr_x2.onnx"


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("host", metavar="USER@HOST", help="as for ssh")
    parser.add_argument("--port", type=int, help="of ssh there (default: ssh's own)")
    parser.add_argument("--ssh-config", type=Path, metavar="FILE", help="instead of ~/.ssh/config")
    parser.add_argument(
        "--model",
        type=Path,
        default=DEFAULT_MODEL,
        metavar="FILE.onnx",
        help="(default: the network that edgesr comes with)",
    )
    parser.add_argument("--size", default="320x180", metavar="WxH", help="of the engine's input (default: 320x180)")
    parser.add_argument(
        "--directory",
        default="edgesr-deploy",
        metavar="DIR",
        help="on the board (default: edgesr-deploy in the home there)",
    )
    parser.add_argument("--wheel", type=Path, metavar="FILE", help="of edgesr (default: built from this checkout)")
    parser.add_argument(
        "--python",
        default="/usr/bin/python3",
        metavar="FILE",
        help="on the board (default: the system's, which TensorRT is for)",
    )
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help="where the JSON files come to (default: deploy-HOST)"
    )
    parser.add_argument(
        "--anyway", action="store_true", help="go on where the doctor says that something will not work"
    )
    parser.set_defaults(run=run_deploy, takes_rest=True)


def run_deploy(options: Namespace) -> int:
    remote = Remote(options.host, options.port, options.ssh_config)
    output = options.output or Path(f"deploy-{re.sub(r'[^A-Za-z0-9.-]', '-', options.host.rpartition('@')[2])}")
    with tempfile.TemporaryDirectory(prefix="edgesr-deploy-") as scratch:
        settings = DeploySettings(
            wheel=check_wheel(options.wheel) if options.wheel else build_wheel(Path(scratch)),
            model=options.model,
            results=output,
            size=options.size,
            directory=options.directory,
            python=options.python,
            bench=options.rest,
            anyway=options.anyway,
        )
        _make(output)
        deploy(remote, settings, _tell)
    print(f"edgesr-jetson: {', '.join(str(output / name) for name in RESULTS)}")
    return 0


def _tell(line: str) -> None:
    print(f"edgesr-jetson: {line}", flush=True)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WrongRequest(f"--output {folder}: {error.strerror}; expected a folder that can be written") from error
