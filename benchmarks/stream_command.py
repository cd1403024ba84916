"""`edgesr-bench stream`: what the loop of streams costs."""

from argparse import Namespace
from pathlib import Path

from rich.console import Console

from edgesr.benchmarks.arguments import Verbs, check_outputs, write
from edgesr.benchmarks.stream import StreamSettings, measure_stream, stream_json, stream_table
from edgesr.runtime.command import size

__all__ = ["VERBS", "add_to"]


def add_to(verbs: Verbs) -> None:
    stream = verbs.add_parser(
        "stream",
        help="what the loop of streams costs on top of the network, and the age of a live frame",
        description="Frames through the loop against the bare backend, turn by turn; then a live stream.",
    )
    stream.add_argument("model", nargs="?", default="default", metavar="MODEL", help="as edgesr-run takes it")
    stream.add_argument("--size", type=size, metavar="WxH", default=(320, 180), help="of the input (default: 320x180)")
    stream.add_argument("--threads", type=int, help="of the network on the CPU (default: all cores)")
    stream.add_argument("--rounds", type=int, default=20, help="turns of each (default: 20)")
    stream.add_argument("--frames", type=int, default=40, help="of a turn (default: 40)")
    stream.add_argument("--fps", type=float, default=30.0, help="of the live stream (default: 30)")
    stream.add_argument("--live-frames", type=int, default=150, help="of the live stream (default: 150)")
    stream.add_argument("--json", type=Path, metavar="FILE", help="write everything")
    stream.add_argument("--force", action="store_true", help="overwrite the file")


def run_stream(options: Namespace) -> None:
    check_outputs({"--json": options.json}, inputs=[options.model], force=options.force)
    settings = StreamSettings(
        model=options.model,
        width=options.size[0],
        height=options.size[1],
        threads=options.threads,
        rounds=options.rounds,
        frames=options.frames,
        live_fps=options.fps,
        live_frames=options.live_frames,
    )
    with Console(stderr=True).status("opening the model") as status:
        result = measure_stream(settings, tell=lambda line: status.update(line))
    if options.json is not None:
        write(options.json, stream_json(result))
    Console(highlight=False).print(stream_table(result))


VERBS = {"stream": run_stream}
