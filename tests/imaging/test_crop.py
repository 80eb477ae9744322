"""How far a decoder may shrink a picture."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from imaging.crop import Crop

SIDES = st.integers(1, 20000)


@given(
    width=SIDES,
    height=SIDES,
    target_width=st.integers(1, 600),
    target_height=st.integers(1, 600),
    fraction=st.floats(0.05, 1),
)
def test_reduction_leaves_twice_the_target(
    width: int, height: int, target_width: int, target_height: int, fraction: float
) -> None:
    """What is kept has two pixels or more for each of the target's, along both sides, wherever it is reduced."""
    crop = Crop(target_height, target_width, fraction)
    reduction = crop.reduction(width, height)
    assert reduction in (1, 2, 4, 8)
    kept = min(width / target_width, height / target_height) * fraction
    assert reduction == 1 or kept / reduction >= 2
    assert reduction == 8 or kept / (2 * reduction) < 2
