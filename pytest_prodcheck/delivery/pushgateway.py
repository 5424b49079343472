"""Figures of a run for a Prometheus Pushgateway: one group for each environment, unit and slot, replaced each time."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from pytest_prodcheck.outcomes import RunRecord
from pytest_prodcheck.reports.verdict_documents import AnyVerdict

if TYPE_CHECKING:
    from pytest_prodcheck.environments.sections.base import SecretRef
    from pytest_prodcheck.environments.sections.delivery import Pushgateway

_TIMEOUT = 10.0  # seconds


def push(
    declared: Pushgateway, run: RunRecord, verdicts: Sequence[AnyVerdict], resolve: Callable[[SecretRef], str]
) -> Iterator[str]:
    """Replaces the run's group; one line where that did not work."""
    import requests

    from pytest_prodcheck.reports.prometheus import run_prometheus

    missing = "the Pushgateway did not receive the metrics of this run"
    try:
        headers = {"Content-Type": "text/plain; version=0.0.4", **resolved(declared.headers, resolve)}
    except ValueError as error:  # a secret that does not resolve
        yield f"{missing}: {error}"
        return
    try:
        answer = requests.put(
            f"{declared.url.rstrip('/')}/metrics/{group(run)}",
            data=run_prometheus(run, verdicts).encode(),
            headers=headers,
            auth=lambda request: request,  # else ~/.netrc comes before the declared headers
            timeout=_TIMEOUT,
            allow_redirects=False,
            stream=True,  # its body tells nothing, and may never end
        )
        answer.close()
    except (requests.RequestException, ValueError) as error:  # its text may hold a header
        yield f"{missing}: it cannot be reached ({type(error).__name__})"
    else:
        if not answer.ok or answer.is_redirect:
            yield f"{missing}: it answers {answer.status_code}"


def group(run: RunRecord) -> str:
    """The path of the run's group: what the figures are labelled with, so that a later run replaces them."""
    named = {"environment": run.environment, "unit": run.unit, "slot": run.slot, "project": run.project}
    return "/".join(["job/prodcheck", *(_label(name, value) for name, value in named.items() if value)])


def resolved(headers: Mapping[str, str | SecretRef], resolve: Callable[[SecretRef], str]) -> dict[str, str]:
    """Headers with their secrets; raises ValueError."""
    return {name: value if isinstance(value, str) else resolve(value) for name, value in headers.items()}


def _label(name: str, value: str) -> str:
    """As the Pushgateway takes any text: Base64 that fits into an address."""
    return f"{name}@base64/{base64.urlsafe_b64encode(value.encode()).decode()}"
