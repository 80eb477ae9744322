from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.report.axis import axis
from loadtest.report.markup import element, markdown
from loadtest.report.numbers import number, promised

VALUES = st.lists(st.floats(1e-6, 1e9), min_size=1, max_size=8)


@given(VALUES)
def test_an_axis_holds_all_values_in_their_order(values: list[float]) -> None:
    """Every value has its place between the ends, larger ones further on, and there are ticks to read it by."""
    found = axis(values, "")

    places = [found.place(value) for value in sorted(values)]
    assert places == sorted(places)
    assert 0 <= places[0] <= places[-1] <= 1
    assert found.low <= min(values) * (1 + 1e-9)
    assert found.high >= max(values) * (1 - 1e-9)
    assert len(found.ticks) >= 2
    assert len({text for _, text in found.ticks}) == len(found.ticks)


@given(VALUES)
def test_ticks_stand_where_their_text_says(values: list[float]) -> None:
    """No tick is beyond the axis, and its text is its value to three digits."""
    found = axis(values, "")

    for value, text in found.ticks:
        assert found.low <= value <= found.high
        assert float(text.replace(",", "")) == pytest.approx(value, rel=5e-3)


def test_what_is_not_finite_does_not_stretch_an_axis() -> None:
    """Infinite latencies leave the scale to those that were measured; without any there is still an axis."""
    assert axis([1.0, 5.0, float("inf"), float("nan")], "").high == 5
    assert axis([float("inf")], "").high == 1
    assert axis([0.0, 0.0], "").high > 0


@given(st.floats(1e-3, 1e6))
def test_a_promise_is_rounded_down(rate: float) -> None:
    """What is promised is never more than what was found, and less by 1 % at most."""
    told = float(promised(rate).replace(",", ""))

    assert rate * 0.99 <= told <= rate * (1 + 1e-9)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.12345, "0.123"), (1.2, "1.2"), (12.345, "12.3"), (999.6, "1,000"), (12345.6, "12,346"), (0, "0"), (5.0, "5")],
)
def test_numbers_have_three_digits(value: float, text: str) -> None:
    """Enough to compare, few enough to read."""
    assert number(value) == text


def test_text_is_escaped_where_it_is_put_in() -> None:
    """In elements, in attributes and in Markdown."""
    assert element("b", "<i>", title='"&') == '<b title="&quot;&amp;">&lt;i&gt;</b>'
    assert element("p", element("b", "x"), None) == "<p><b>x</b></p>"
    assert markdown("a|b\n<c> _d_") == "a\\|b &lt;c> \\_d\\_"
