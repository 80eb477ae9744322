"""What a result says, in one sentence, and what has to be said beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from loadtest.report import lateness, memory
from loadtest.report.carried import border, carried_rate, shown_run
from loadtest.report.numbers import milliseconds, number, percentile, promised, share
from loadtest.verdict import INVALID, MET

if TYPE_CHECKING:
    from collections.abc import Callable

_MOST_REASONS = 5


@dataclass(frozen=True, slots=True)
class Statement:
    """What stands at the top of a report.

    Attributes:
        word: Of the verdict, for a person.
        sentence: Without a full stop.
        details: Sentences that say why, or how sure it is.
    """

    word: str
    sentence: str
    details: tuple[str, ...]


def state(summary: dict[str, Any]) -> Statement:
    """What `summary` says."""
    verdict = summary["verdict"]
    details = [] if verdict == MET else _some(summary["reasons"])
    if verdict == INVALID:
        sentence = _no_verdict(summary)
        details = [
            *(each for each in details if each not in sentence),
            f"What was seen nevertheless: {_nevertheless(summary)}",
        ]
    else:
        tell = _SCENARIOS.get(summary["scenario"], _promise if summary["objective"] else _seen)
        sentence, more = tell(summary), _confidence(summary)
        details = [*details, *lateness.sentences(summary), *more]
    if summary["scenario"] == "soak":
        details.append(memory.sentence(summary["findings"]))
    if summary["objective"]:
        details.append(_meaning(summary["objective"]))
    if summary["partial"]:
        details.insert(0, "It was interrupted: this is only what was seen until then")
    return Statement(_word(summary), sentence[0].upper() + sentence[1:], tuple(details))


def objective_text(objective: dict[str, Any]) -> str:
    """`p99 ≤ 100 ms`."""
    return f"{percentile(objective['quantile'])} ≤ {milliseconds(objective['limit_ms'])}"


def _meaning(objective: dict[str, Any]) -> str:
    """The objective in words."""
    text, errors = objective_text(objective), share(objective["most_errors"])
    return (
        f"{text} means: {share(objective['quantile'])} of all requests are answered rightly within "
        f"{milliseconds(objective['limit_ms'])} of the instant they were due, and at most {errors} fail"
    )


def _word(summary: dict[str, Any]) -> str:
    words = [run["verdict"] for run in summary["runs"] if run["judged"]]
    word = summary["verdict"]
    if summary["scenario"] != "search" and len(words) > 1 and word != MET:
        word = f"{word} in {words.count(word)} of {len(words)} runs"
    elif word == MET and not summary["objective"]:
        word = "valid"
    return f"{word}, partial" if summary["partial"] else word


def _some(reasons: list[str]) -> list[str]:
    more = len(reasons) - _MOST_REASONS
    return reasons if more <= 1 else [*reasons[:_MOST_REASONS], f"and {more} more, in the table of conditions"]


def _no_verdict(summary: dict[str, Any]) -> str:
    first = "".join(f": {reason}" for reason in summary["reasons"][:1])
    if summary["scenario"] == "search":
        return f"no verdict{first}"
    rate = carried_rate(summary)
    if rate is not None:
        text = objective_text(summary["objective"])
        return f"this deployment carries at least {promised(rate)} requests/s with {text}; what is beyond is not told"
    broken = [each for run in summary["runs"] if run["judged"] for each in run["conditions"] if not each["valid"]]
    if broken:
        return "no verdict: this client or its machine, and not the server, may have been measured"
    if any("too few requests" in reason for reason in summary["reasons"]):
        return "no verdict: too few requests to be sure"
    return f"no verdict{first}"


def _load(run: dict[str, Any]) -> str:
    if run["concurrency"] is not None:
        callers = run["concurrency"]
        return f"{callers} {'caller that waits' if callers == 1 else 'callers that wait'} for each answer"
    return f"{number(run['offered_rate'])} requests/s"


def _nevertheless(summary: dict[str, Any]) -> str:
    """What a result without a verdict saw: a search at the best rate, as its last one may be far beyond."""
    return _seen_in(summary["runs"][shown_run(summary)]) if summary["scenario"] == "search" else _seen(summary)


def _seen(summary: dict[str, Any]) -> str:
    return _seen_in(summary["runs"][summary["headline"]])


def _seen_in(run: dict[str, Any]) -> str:
    latency = run["latency_ms"]
    told = [f"{text} {milliseconds(latency[name])}" for name, text in (("p50", "p50"), ("p99", "p99")) if latency[name]]
    failed = sum(run["errors"].values()) + run["dropped"]
    told += [f"{number(failed)} of {number(run['requests'])} requests without a right answer"] if failed else []
    return f"at {_load(run)}, {', '.join(told) or 'nothing that could be told'}"


def _promise(summary: dict[str, Any]) -> str:
    """Whether the objective was met, by how much, and up to which rate where there were several."""
    objective, judged = summary["objective"], [run for run in summary["runs"] if run["judged"]]
    rates = sorted({run["rate"] for run in judged if run["rate"] is not None})
    if len(rates) > 1:
        return _carried(objective, judged)
    return f"{_seen(summary)}: {objective_text(objective)} {summary['verdict']}{_margin(summary)}"


def _carried(objective: dict[str, Any], judged: list[dict[str, Any]]) -> str:
    carried, missed = border(judged)
    if carried is None:
        return f"no rate that was tried is shown to meet {objective_text(objective)}"
    end = ", the highest rate that was tried" if missed is None else f", and misses that at {number(missed)}"
    return f"this deployment carries {promised(carried)} requests/s with {objective_text(objective)}{end}"


def _margin(summary: dict[str, Any]) -> str:
    objective = summary["objective"]
    name = {0.5: "p50", 0.9: "p90", 0.95: "p95", 0.99: "p99", 0.999: "p999"}.get(objective["quantile"])
    found = summary["latency_ms"][name] if name else None
    if found is None:
        return ""
    by = objective["limit_ms"] - found
    return f" by {milliseconds(abs(by))}" if (by >= 0) == (summary["verdict"] == MET) else ""


def _confidence(summary: dict[str, Any]) -> list[str]:
    objective = summary["objective"]
    if not objective:
        return ["No objective was given: --objective 100ms asks for a verdict"]
    findings = summary["findings"]
    if summary["scenario"] == "search" and findings.get("rate"):
        return _how_found(findings)
    if summary["verdict"] == MET:
        return [f"Shown with {share(objective['confidence'])} confidence, if requests wait independently of each other"]
    return []


def _how_found(findings: dict[str, Any]) -> list[str]:
    """How sure the answer of a search is, and why it is not a higher one."""
    runs = sum(each["purpose"] == "confirm" and each["rate"] == findings["rate"] for each in findings["probed"])
    told = [f"Confirmed by {runs} runs with arrivals that the search had not seen"]
    if missed := findings.get("missed_rate"):
        told[0] += f"; {number(missed)} requests/s did not meet it"
    if limit := findings.get("client_limit"):
        told.append(f"At {number(limit['rate'])} requests/s this client cannot measure the server: {limit['reason']}")
    if findings.get("out_of_time"):
        told.append("The search's time did not allow a closer look at what is beyond")
    return told


def _search(summary: dict[str, Any]) -> str:
    rate = summary["findings"].get("rate")
    text = objective_text(summary["objective"])
    if rate:
        limit = ", and this client, not the server, is the limit" if summary["findings"].get("client_limit") else ""
        least = "at least " if limit or summary["findings"].get("out_of_time") else ""
        return f"this deployment carries {least}{promised(rate)} requests/s with {text}{limit}"
    return f"this deployment meets {text} at no rate that was tried"


def _offline(summary: dict[str, Any]) -> str:
    images = summary["findings"].get("images_per_second")
    return f"it answers {number(images)} images/s when callers always wait" if images else _seen(summary)


def _sweep(summary: dict[str, Any]) -> str:
    rates = summary["findings"].get("images_per_second_by_callers")
    if not rates:
        return _seen(summary)
    callers = max(rates, key=lambda each: float(rates[each]))
    return f"it answers at most {number(rates[callers])} images/s, to {callers} callers that wait for each answer"


def _overload(summary: dict[str, Any]) -> str:
    found = summary["findings"]
    if "answered_per_second" not in found:
        return _seen(summary)
    refusal = found["refusal_ms"]["p99"]
    fast = f", 99 % of the refusals within {milliseconds(refusal)}" if refusal is not None else ""
    silent = {"timed_out_share": "got no answer by their deadline", "dropped_share": "found too many under way"}
    others = "".join(f"; {share(found[key])} {what}" for key, what in silent.items() if found.get(key))
    return (
        f"offered {number(summary['offered_rate'])} requests/s, it still answers "
        f"{number(found['answered_per_second'])}/s and refuses {share(found['refused_share'])}{fast}{others}"
    )


def _verify(summary: dict[str, Any]) -> str:
    found = summary["findings"]
    if "compared" not in found:
        return _seen(summary)
    return (
        f"{number(found['compared'] - found['wrong'])} of {number(found['compared'])} answers are those given at rest"
    )


def _reload(summary: dict[str, Any]) -> str:
    found = summary["findings"]
    return f"{_seen(summary)}, while the model was loaded {found.get('reloads', 0)} times"


_SCENARIOS: dict[str, Callable[[dict[str, Any]], str]] = {
    "search": _search,
    "offline": _offline,
    "sweep": _sweep,
    "overload": _overload,
    "verify": _verify,
    "reload": _reload,
}
