"""The documentation: every command line is one that our programs take, what says that it is run is run, and the site builds."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from itertools import zip_longest
from pathlib import Path

import pytest

from edgesr.runtime.errors import EdgeSRError

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^(<!-- run by tests/test_site\.py -->\n)?```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
OURS = re.compile(r"(?:^|(?<=\s))(?:[\w./~-]*/)?(edgesr-(?:train|export|run|bench|jetson))\s")
REMARK = re.compile(r"\s{2,}\S.*| # .*")
"""What stands beside a command: after two blanks, or a #."""


def blocks(page: Path) -> Iterator[tuple[bool, str, str]]:
    """(is it to be run, its language, its text) of every fenced block."""
    for run, language, text in FENCE.findall(page.read_text()):
        yield bool(run), language, text


def commands(text: str) -> Iterator[list[str]]:
    """Words of each of our commands in a block; one that runs another (`power run -- edgesr-bench …`) gives both."""
    for line in re.sub(r"\s*\\\n\s*", " ", text).splitlines():
        if line.lstrip().startswith(("#", "-")):
            continue
        found = list(OURS.finditer(f"{line} "))
        for begin, end in zip_longest(found, found[1:]):
            rest = line[begin.end(1) : end.start() if end else None].lstrip()
            yield [begin[1], *shlex.split(REMARK.sub("", f"{rest} "))]


def written() -> list[tuple[str, list[str]]]:
    return [(page.name, words) for page in PAGES for _, _, text in blocks(page) for words in commands(text)]


def check_train(words: Sequence[str]) -> None:
    pytest.importorskip("torch", reason="the options of edgesr-train are made where PyTorch is")
    from edgesr.train.__main__ import parser

    options, rest = parser().parse_known_args(words)
    assert not rest or options.verb in ("fit", "bench"), f"unrecognised: {rest}"


def check_export(words: Sequence[str]) -> None:
    from edgesr.export.__main__ import OTHER, parser

    if words[0] not in OTHER:
        parser().parse_args(words)


def check_run(words: Sequence[str]) -> None:
    from edgesr.runtime.options import parse

    parse(words)


def check_bench(words: Sequence[str]) -> None:
    from edgesr.benchmarks.__main__ import parser

    parser().parse_args(words)


def check_jetson(words: Sequence[str]) -> None:
    from edgesr.jetson.__main__ import _parser, _split

    ours, rest = _split(words)
    options = _parser().parse_args(ours)
    assert not rest or getattr(options, "takes_rest", False), f"{rest} belongs to nothing"


CHECKS: dict[str, Callable[[Sequence[str]], None]] = {
    "edgesr-train": check_train,
    "edgesr-export": check_export,
    "edgesr-run": check_run,
    "edgesr-bench": check_bench,
    "edgesr-jetson": check_jetson,
}


@pytest.mark.parametrize(
    ("page", "words"), [pytest.param(*one, id=f"{one[0]}: {shlex.join(one[1])}") for one in written()]
)
def test_commands_in_the_documentation_are_taken(page: str, words: list[str]) -> None:
    try:
        CHECKS[words[0]](words[1:])
    except (EdgeSRError, SystemExit) as error:
        pytest.fail(f"{page}: {shlex.join(words)}: {error}")


def test_the_check_finds_commands_and_refuses_wrong_ones() -> None:
    text = "sudo /opt/x/edgesr-jetson power run -- edgesr-bench latency a b --size 3x4    both\nedgesr-run a.png \\\n  b.png # one\n"
    assert [shlex.join(words) for words in commands(text)] == [
        "edgesr-jetson power run --",
        "edgesr-bench latency a b --size 3x4",
        "edgesr-run a.png b.png",
    ]
    assert {page for page, _ in written()} >= {"README.md", "quickstart-pc.md", "engines.md"}
    for name, wrong in (
        ("edgesr-run", "--no-such"),
        ("edgesr-bench", "run"),
        ("edgesr-jetson", "nothing"),
        ("edgesr-export", "--no-such"),
    ):
        with pytest.raises((EdgeSRError, SystemExit)):
            CHECKS[name]([wrong])


PYTHON = [(page.name, text) for page in PAGES for run, language, text in blocks(page) if run and language == "python"]
SHELL = [(page.name, text) for page in PAGES for run, language, text in blocks(page) if run and not language]


@pytest.mark.parametrize(("page", "text"), PYTHON, ids=[page for page, _ in PYTHON])
def test_programs_that_are_said_to_be_run_run(page: str, text: str) -> None:
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{page}: {done.stderr}"


@pytest.mark.slow
def test_the_quick_start_on_a_pc_works(tmp_path: Path) -> None:
    pytest.importorskip("cv2", reason="make demo installs it")
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for page, text in SHELL:
        done = subprocess.run(
            ["bash", "-ec", text], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{page}: {done.stderr}"
    assert {path.name for path in tmp_path.iterdir()} == {
        "frames",
        "clip.mp4",
        "compared.mp4",
        "twice.mp4",
        "latency.json",
    }


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as `make site` does; a link or an anchor that leads nowhere is an error."""
    if not all(map(find_spec, ("mkdocs", "material", "mkdocstrings"))):
        pytest.skip("the site needs pip install 'edgesr[docs]'")
    folder = tmp_path_factory.mktemp("site")
    line = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(
        line, cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_links_of_the_built_site_lead_somewhere(site: Path) -> None:
    """On the pages as they are read: what MkDocs cannot know, such as the links of docstrings, is in them."""
    pages = {path: path.read_text() for path in site.rglob("*.html") if path.name != "404.html"}
    anchors = {path: set(re.findall(r'\b(?:id|name)="([^"]+)"', text)) for path, text in pages.items()}
    lost, checked = [], 0
    for path, text in pages.items():
        for link in re.findall(r'\b(?:href|src)="([^"]+)"', text):
            if re.match(r"[a-z]+:|//", link):
                continue
            checked += 1
            name, _, anchor = link.partition("#")
            target = (path.parent / name).resolve() if name else path
            target = target / "index.html" if target.is_dir() else target
            if not target.exists() or (anchor and target in anchors and anchor not in anchors[target]):
                lost.append(f"{path.relative_to(site)}: {link}")
    assert not lost and checked > 500


def test_reading_a_page_fetches_nothing_from_elsewhere(site: Path) -> None:
    fetched = re.compile(
        r'<(?:script|img|iframe|source)\b[^>]*\bsrc="(?:https?:)?//|<link\b[^>]*rel="(?:stylesheet|preconnect|icon)"[^>]*href="(?:https?:)?//'
    )
    assert not [page.name for page in site.rglob("*.html") if fetched.search(page.read_text())]
    assert fetched.search('<script src="https://elsewhere/x.js">')


def test_every_page_is_in_the_navigation_and_in_the_search(site: Path) -> None:
    index = (site / "search" / "search_index.json").read_text()
    start = (site / "index.html").read_text()
    for page in PAGES[1:]:
        assert f'"{page.stem}.html' in index or page.stem == "index", f"{page.name} cannot be searched"
        assert f'href="{page.stem}.html"' in start, f"{page.name} is not in nav of mkdocs.yml"


def test_the_reference_says_what_the_docstrings_say(site: Path) -> None:
    text = re.sub(r"<[^>]+>", "", (site / "api.html").read_text())
    for sentence in (
        "The backend for a model",
        "The result lives until the next call",
        "Every frame of the source, in order",
    ):
        assert sentence in text
