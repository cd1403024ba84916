"""`make networks`: the table of docs/networks.md, from the code and from docs/published_scores.json."""

from pathlib import Path

from edgesr.train.table import as_markdown, published_scores, rows

ROOT = Path(__file__).resolve().parent.parent
PAGE, SCORES = ROOT / "docs" / "networks.md", ROOT / "docs" / "published_scores.json"
BEGIN, END = "<!-- made by make networks: begin -->\n", "<!-- made by make networks: end -->\n"


def page(text: str) -> str:
    """The page's text with the table made anew; raises ValueError where its marks are missing."""
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return before + BEGIN + as_markdown(list(rows()), published_scores(SCORES)) + END + after


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
    print(f"wrote {PAGE}")
