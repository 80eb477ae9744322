from __future__ import annotations

import pytest

from loadtest.early_stopping import Decision
from loadtest.search_command import judge
from loadtest.search_result import ProbedRate, SearchResult


@pytest.mark.parametrize(
    ("decision", "client_limit", "word", "reason"),
    [
        (Decision.MISSED, "", "missed", "not even 4.4 requests a second meet the objective"),
        (Decision.OPEN, "", "invalid", "too few requests tell whether even 4.4 a second meet the objective: 1 of 528"),
        (Decision.OPEN, "busy", "invalid", "this client cannot measure even 4.4/s: busy"),
    ],
)
def test_a_server_is_blamed_only_for_what_it_was_seen_to_miss(
    decision: Decision, client_limit: str, word: str, reason: str
) -> None:
    """A lowest rate that nobody could tell anything of gives no verdict on the server."""
    last = ProbedRate(4.4, decision, 528, 1, "find", client_limit)
    verdict = judge(SearchResult(beyond=last, probed=[last]), 60.0)

    assert verdict.word == word
    assert verdict.reasons[0].startswith(reason)
