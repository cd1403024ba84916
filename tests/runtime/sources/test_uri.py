"""Options behind a URI's mark, and URIs without their secrets."""

from fractions import Fraction

import pytest

from edgesr.runtime.errors import InputError
from edgesr.runtime.sources.uri import at_least, one_of, options, redacted

KNOWN = {"width": at_least(1), "fps": at_least(1, Fraction), "way": one_of("tcp", "udp")}


def test_options_have_types_and_only_what_was_given() -> None:
    assert options("width=1280&fps=30000/1001", KNOWN, "x:") == {"width": 1280, "fps": Fraction(30000, 1001)}
    assert options("", KNOWN, "x:") == {}


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("height=2", "x: has no option 'height'; expected some of width, fps, way"),
        ("width", "expected a whole number, 1 or more"),
        ("width=0", "expected a whole number, 1 or more"),
        ("width=1.5", "expected a whole number, 1 or more"),
        ("fps=1/0", "expected a number, 1 or more"),
        ("fps=nan", "expected a number, 1 or more"),
        ("width=1&width=2", "width is given twice"),
        ("way=pigeon", "way=pigeon cannot be used (expected tcp or udp)"),
    ],
)
def test_a_wrong_option_is_refused_in_one_line(query: str, says: str) -> None:
    with pytest.raises(InputError) as caught:
        options(query, KNOWN, "x:")
    assert says in str(caught.value) and "\n" not in str(caught.value)


def test_a_number_may_not_be_endless() -> None:
    with pytest.raises(InputError, match="expected a number, 0 or more"):
        options("timeout=inf", {"timeout": at_least(0, float)}, "x:")


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("rtsp://admin:s3cret@10.0.0.2/1", "rtsp://***@10.0.0.2/1"),
        ("rtsp://admin:s3/cr@et#1@10.0.0.2/1", "rtsp://***@10.0.0.2/1"),
        ("http://10.0.0.2/video?user=me&pwd=s3cret&size=2", "http://10.0.0.2/video?user=***&pwd=***&size=2"),
        (
            "rtspsrc location=rtsp://a:s3cret@h/1 user-pw=s3cret ! fakesink",
            "rtspsrc location=rtsp://***@h/1 user-pw=*** ! fakesink",
        ),
        ("udp://@:5000", "udp://@:5000"),
        ("camera:0?width=2", "camera:0?width=2"),
        ("clip.mp4", "clip.mp4"),
    ],
)
def test_secrets_are_not_shown(uri: str, shown: str) -> None:
    assert redacted(uri) == shown
