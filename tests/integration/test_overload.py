from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import TYPE_CHECKING, Any

import grpc

from tests.integration import rows
from tests.integration.books import Account

if TYPE_CHECKING:
    from tests.serving import ServerProcess

STORM = 600


class Storm:
    """Callers of all tempers, and what became of each."""

    def __init__(self, channel: grpc.aio.Channel, model: str, rounds: int) -> None:
        self._infer = rows.stub(channel).ModelInfer
        self._model = model
        self._rounds = rounds
        self._random = random.Random(1)  # noqa: S311 - the same storm each time
        self.outcomes: dict[int, str] = {}

    async def run(self) -> None:
        """Call from everywhere at once."""
        await asyncio.gather(*(self._call(identity) for identity in range(STORM)))

    async def _call(self, identity: int) -> None:
        await asyncio.sleep(self._random.random())
        temper = self._random.choice(("patient", "patient", "hurried", "fickle"))
        deadline = self._random.uniform(0.001, 0.3) if temper == "hurried" else None
        count = self._random.choice((1, 1, 1, 3))
        batch = [(identity * 10 + row, self._rounds) for row in range(count)]
        call = self._infer(rows.batch_request(self._model, batch), timeout=deadline)
        if temper == "fickle":
            asyncio.get_running_loop().call_later(self._random.uniform(0, 0.3), call.cancel)
        outcome = await _outcome(call, [row for row, _ in batch])
        assert identity not in self.outcomes
        self.outcomes[identity] = outcome


async def _outcome(call: Any, expected: list[int]) -> str:
    try:
        response = await call
    except grpc.aio.AioRpcError as error:
        return f"{error.code().name} {error.details() or ''}".replace(f"[request id: {expected[0]}]", "[own id]")
    except asyncio.CancelledError:
        return "CANCELLED"
    assert rows.answers(response) == expected
    assert response.id == str(expected[0])
    return "OK"


async def test_each_request_of_a_storm_has_one_outcome_and_its_own_answer(
    server: ServerProcess,
) -> None:
    """Hundreds of callers, some fickle or in a hurry, against a short queue: nothing is lost, doubled or mixed up."""
    account = Account(server, "narrow")
    async with grpc.aio.insecure_channel(server.grpc_address) as channel:
        storm = Storm(channel, "narrow", rounds=30)
        await storm.run()
        outcomes = Counter(storm.outcomes.values())
        assert sum(outcomes.values()) == STORM
        full = "UNAVAILABLE [own id] Exceeds maximum queue size"
        assert {outcome for outcome in outcomes if outcome.startswith("UNAVAILABLE")} == {full}
        assert {outcome.split()[0] for outcome in outcomes} == {"OK", "UNAVAILABLE", "CANCELLED", "DEADLINE_EXCEEDED"}
        books = account.settle()
        started = books.pop("started")
        assert sum(books.values()) == started <= STORM
        # An answer may cross a cancellation on its way, so the server knows of more successes than the callers.
        assert books["success"] >= outcomes["OK"]
        assert books["REJECTED"] >= outcomes[full]
        after = await rows.stub(channel).ModelInfer(rows.request("narrow", 5), timeout=5)
        assert rows.answers(after) == [5]
