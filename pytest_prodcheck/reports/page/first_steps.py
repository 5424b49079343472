"""The first step of a finding as a command to paste: the request itself, or the runbook's with the names at hand."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pytest_prodcheck import runbooks
from pytest_prodcheck.outcomes import Outcome, Result

BUNDLED = "prodcheck explain "
_EXAMPLES = ("shop-db", "shop-db-2", "shop-redis")  # hosts of the runbooks that do not end with shop.example
_WORD = re.compile(r"[A-Za-z0-9.-]+")
_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}")
_CURL = "curl -sS -i --compressed "  # what each line to repeat a request begins with
_TIMES = r"-o /dev/null -w '%{time_starttransfer} first byte, %{time_total} total\n'"
_URL = re.compile(r"https?://[a-z.-]*shop\.example[^\s'\";]*")


@dataclass(frozen=True)
class SentRequest:
    """One request and its answer, as a person repeats it; an excerpt only where bodies may be shown."""

    line: str  # "GET https://…: 503 in 12 ms from 127.0.0.1:443"
    excerpt: str
    repeat: str  # a `curl` line
    method: str = ""
    url: str = ""
    status: int = 0
    seconds: float = 0.0


Requests = Mapping[str, Sequence[SentRequest]]  # by key of evidence


@dataclass(frozen=True)
class Step:
    """A command, and how far its names are those of this run."""

    command: str
    label: str


def first_step(runbook: str, result: Result | None, sent: Requests, environment: str) -> Step | None:
    """The telling request once more where there was one, else the first command of a bundled runbook."""
    name = runbooks.find(runbook.removeprefix(BUNDLED)) if runbook.startswith(BUNDLED) else None
    step = runbooks.first_step(name) if name is not None else ""
    asked = [each for key in (result.evidence if result else ()) for each in sent.get(key, ()) if each.repeat]
    worst = max(asked, key=lambda each: (each.status >= 400, each.seconds), default=None)
    if worst is not None:
        return Step(_request(worst, step, result.reason if result else ""), "first step:")
    if name == "data_integrity.rows" and (statement := _statement(result)):
        return Step(f"psql -c {shlex.quote(statement)}", "first step, on the node of the evidence:")
    return _with_names(step, result, environment) if step else None


def _request(asked: SentRequest, step: str, reason: str) -> str:
    """The request once more: in the runbook's loop, with its times, or as far as the cookies that a page sets."""
    if asked.method == "GET" and len(_URL.findall(step)) == 1 and step.startswith("for ") and _plain(asked.url):
        options = asked.repeat.removeprefix(_CURL).removesuffix(asked.url) if asked.repeat.startswith(_CURL) else ""
        return _URL.sub(lambda _: asked.url, step).replace("curl -sS ", f"curl -sS {options}", 1)
    if "%{time_total}" in step and asked.repeat.startswith(_CURL):
        return f"curl -sS {_TIMES} {asked.repeat.removeprefix(_CURL)}"
    form = re.search(r" -H 'Referer: (https?://[^' ]{1,500})'", asked.repeat)
    if "browsers refuse its cookie" in reason and form and _plain(form[1]):
        return f"{asked.repeat[: form.start()]} {form[1]} | grep -i '^set-cookie'"
    return asked.repeat


def _statement(result: Result | None) -> str:
    """The declared SQL of an invariant."""
    found = (each.of for each in (result.judgements if result else ()) if each.outcome != Outcome.PASSED)
    return next((each for each in found if each and each.isprintable()), "")


def _with_names(step: str, result: Result | None, environment: str) -> Step:
    """The runbook's command with the environment, host and port of the finding in place of the example's."""
    made = step.replace("--env production", f"--env {environment}") if _HOST.fullmatch(environment) else step
    named = [each for each in _WORD.findall(made) if each.endswith("shop.example") or each in _EXAMPLES]
    host, port, server = _place_of(result)
    if host and len(set(named)) == 1 and f"${named[0]}" not in made:  # "$n.shop.example" goes through several
        made = _replaced(made, named[0], host, port)
        if made.startswith("dig ") and server:
            made = f"dig @{server.rpartition(':')[0]} -p {server.rpartition(':')[2]} {made.removeprefix('dig ')}"
    left = [each for each in _WORD.findall(made) if each != host and ("shop" in each or each in _EXAMPLES)]
    if not left and not re.search(r"\$[A-Z]", made):
        return Step(made, "first step:")
    return Step(made, "first step, with some names of an example:" if made != step else EXAMPLE)


EXAMPLE = "first step, with the names of an example:"


def _replaced(step: str, example: str, host: str, port: str) -> str:
    at = f"curl -sS https://{example}/"
    if at in step and port and re.fullmatch("[0-9.]+", host):  # its certificate and its answers are those of a name
        return step.replace(at, f"curl -sS --connect-to ::{host}:{port} https://{example}/")
    found = re.search(re.escape(example) + r"(:| -p | )([0-9]{2,5})\b", step)
    if found and port:
        step = step.replace(found[0], f"{host}{found[1]}{port}").replace(f":{found[2]}", f":{port}")
    elif port:
        step = step.replace(f"-h {example} ", f"-h {host} -p {port} ")
        step = step.replace(f"://{example}/", f"://{host}:{port}/").replace(":443", f":{port}")
        step = re.sub("sport = :[0-9]+", f"sport = :{port}", step)
    return step.replace(example, host)


def _place_of(result: Result | None) -> tuple[str, str, str]:
    """Host and port of what did not pass, and the name server where one said so: "" where nothing is named."""
    if result is None:
        return "", "", ""
    first = result.reason.partition("\n")[0]
    bad = [each.of for each in result.judgements if each.outcome not in (Outcome.PASSED, Outcome.SKIPPED) and each.of]
    for text in (*bad[:1], first):
        words = text.replace(",", " ").split()
        if len(words) > 2 and words[0].endswith(":") and words[2] == "answered":  # "NAME: NAMESERVER:53 answered …"
            name = words[0].rstrip(":")
            return name if _HOST.fullmatch(name) else "", "", words[1] if _is_place(words[1]) else ""
        place = next((each for word in words if _is_place(each := word.rstrip(":;)"))), "")
        if place:
            return place.rpartition(":")[0], place.rpartition(":")[2], ""
    return "", "", ""


def _is_place(word: str) -> bool:
    """Whether a word is HOST:PORT and nothing that a shell would take for more."""
    host, _, port = word.rpartition(":")
    return bool(_HOST.fullmatch(host)) and not host.startswith("-") and bool(re.fullmatch("[0-9]{1,5}", port))


def _plain(url: str) -> bool:
    """Whether a shell takes it as one word, and nothing of it was left out."""
    return bool(re.fullmatch(r"[A-Za-z0-9:/._~%-]{1,500}", url))
