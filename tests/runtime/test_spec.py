import pytest

from edgesr.runtime.errors import InputError
from edgesr.runtime.spec import ModelSpec

SPEC = ModelSpec(
    name="ecbsr", scale=4, colour="luma", parameters=16400, multiply_adds_per_pixel=16272.0, receptive_field=8
)


def test_spec_survives_json() -> None:
    assert ModelSpec.from_json(SPEC.to_json()) == SPEC


def test_untrained_is_marked_in_the_title() -> None:
    from dataclasses import replace

    assert SPEC.title == "ecbsr x4"
    assert replace(SPEC, trained=False).title == "ecbsr x4 (untrained)"


@pytest.mark.parametrize("text", ["", "[]", "3", '{"name": "x"}', SPEC.to_json().replace("luma", "purple")])
def test_damaged_spec_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(InputError) as caught:
        ModelSpec.from_json(text)
    assert "\n" not in str(caught.value)


def test_unknown_entry_is_refused_by_name() -> None:
    with pytest.raises(InputError, match=r"unknown entries .*flavour"):
        ModelSpec.from_json(SPEC.to_json().replace("{", '{"flavour": 1, ', 1))


def test_sizes_that_the_network_cannot_take_are_refused() -> None:
    from dataclasses import replace

    narrow = replace(SPEC, size_multiple=4, min_size=8)
    narrow.check_size(8, 12)
    with pytest.raises(InputError, match="at least 8x8"):
        narrow.check_size(4, 12)
    with pytest.raises(InputError, match="multiples of 4"):
        narrow.check_size(9, 12)
