"""Whose alert it is that an Alertmanager has: several Prometheus servers may share one, each with external labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.evidence.monitoring import prometheus
from pytest_prodcheck.evidence.monitoring.relabelling import Labels, relabelled
from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline

PATH = "/api/v1/status/config"
HINT = """name in alerts.labels a label that only your alerts have, such as labels = 'cluster="east"'"""


def as_sent(fired: Iterable[Mapping[str, str]], context: Context, deadline: Deadline) -> list[Labels]:
    """The label sets under which our Prometheus sends alerts that it fires: external labels and relabelling applied.

    Raises EvidenceProblem where it does not tell its configuration.
    """
    config = context.once(("prometheus-config",), lambda: _config(context, deadline), deadline)
    try:
        external = {str(name): str(value) for name, value in (_table(config, "global", "external_labels")).items()}
        alerting = _table(config, "alerting")
        first = alerting.get("alert_relabel_configs") or []
        ways = [each.get("alert_relabel_configs") or [] for each in alerting.get("alertmanagers") or [{}]]
        sent = [relabelled({**external, **each}, [*first, *way]) for each in fired for way in ways]
    except (AttributeError, TypeError, ValueError) as error:
        what = f"the alert relabelling of Prometheus cannot be read: {error}"
        raise EvidenceProblem(Problem("protocol", what, HINT)) from None
    return [each for each in sent if each is not None]


def _config(context: Context, deadline: Deadline) -> dict[str, Any]:
    try:
        import yaml
    except ImportError:
        hint = f"pip install 'pytest-prodcheck[yaml]', or {HINT}"
        what = "the external labels of Prometheus cannot be read without PyYAML"
        raise EvidenceProblem(Problem("missing-extra", what, hint)) from None
    try:
        told = prometheus.prometheus(context, deadline).get(PATH, "its configuration", deadline)
        found = yaml.load(str(told.get("yaml", "")), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        if not isinstance(found, dict):
            raise ValueError("it is not a mapping")
    except EvidenceProblem as error:
        why = f"its external labels cannot be read: {error.problem.message}"
        what = f"it is not known which alerts this Prometheus sent, because {why}"
        raise EvidenceProblem(Problem(error.problem.kind, what, HINT)) from None
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        what = f"the configuration of Prometheus cannot be read: {type(error).__name__}"
        raise EvidenceProblem(Problem("protocol", what, HINT)) from None
    return found


def _table(item: Mapping[str, Any], *names: str) -> dict[str, Any]:
    for name in names:
        item = item.get(name) or {}
    return dict(item)
