"""MkDocs' hooks: the pages read the same in the repository and on the site.

A link that leaves docs/ (`../train/weights/README.md`) takes its file into the site, below repository/; a list that follows a
line of text at once, as Markdown elsewhere allows, gets the empty line that Python-Markdown wants.
"""

import re
from pathlib import Path, PurePosixPath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

OUTSIDE = re.compile(r"\]\(((?:\.\./)+)([^)#\s]+)")
FOLDER = "repository"
ITEM = re.compile(r"[-*] |\d+\. ")


def on_files(files: Files, config: MkDocsConfig) -> None:
    root = Path(config.config_file_path).parent
    for page in list(files.documentation_pages()):
        for up, name in OUTSIDE.findall(page.content_string):
            depth = len(PurePosixPath(page.src_uri).parts)
            uri = f"{FOLDER}/{name}"
            if up.count("../") == depth and (root / name).is_file() and files.get_file_from_path(uri) is None:
                files.append(File.generated(config, uri, abs_src_path=str(root / name)))


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    def inside(link: re.Match[str]) -> str:
        depth = len(PurePosixPath(page.file.src_uri).parts)
        taken = link[1].count("../") == depth and files.get_file_from_path(f"{FOLDER}/{link[2]}")
        return f"]({'../' * (depth - 1)}{FOLDER}/{link[2]}" if taken else link[0]

    return "\n".join(_lists_apart(OUTSIDE.sub(inside, markdown).split("\n")))


def _lists_apart(lines: list[str]) -> list[str]:
    made: list[str] = []
    fenced = within = False
    for line in lines:
        item = not fenced and bool(ITEM.match(line))
        if item and not within and made and made[-1].strip():
            made.append("")
        if line.startswith("```"):
            fenced = not fenced
        within = item or (within and bool(line.strip()) and not fenced)
        made.append(line)
    return made
