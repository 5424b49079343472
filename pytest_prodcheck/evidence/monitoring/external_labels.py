"""Whose alert it is that an Alertmanager has: several Prometheus servers may share one, each with external labels."""

from __future__ import annotations

import json
import re
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
    config = _config_once(context, deadline)
    try:
        external = _external(config)
        alerting = _table(config, "alerting")
        first = alerting.get("alert_relabel_configs") or []
        ways = [each.get("alert_relabel_configs") or [] for each in alerting.get("alertmanagers") or [{}]]
        sent = [relabelled({**external, **each}, [*first, *way]) for each in fired for way in ways]
    except (AttributeError, TypeError, ValueError) as error:
        what = f"the alert relabelling of Prometheus cannot be read: {error}"
        raise EvidenceProblem(Problem("protocol", what, HINT)) from None
    return [each for each in sent if each is not None]


def external_labels(context: Context, deadline: Deadline) -> Labels:
    """What our Prometheus adds to the labels of whatever it sends; raises EvidenceProblem where it does not tell."""
    try:
        return _external(_config_once(context, deadline))
    except (AttributeError, TypeError, ValueError) as error:
        raise EvidenceProblem(Problem("protocol", f"the external labels cannot be read: {error}", HINT)) from None


def is_ours(labels: Mapping[str, str], context: Context) -> bool:
    """Whether a series or rule may be of our own Prometheus: none of its labels contradicts `alerts.labels`."""
    declared = context.environment.alerts
    return declared is None or declared.labels is None or fits(labels, declared.labels, missing=True)


def _external(config: Mapping[str, Any]) -> Labels:
    return {str(name): str(value) for name, value in _table(config, "global", "external_labels").items()}


def _config_once(context: Context, deadline: Deadline) -> dict[str, Any]:
    return context.once(("prometheus-config",), lambda: _config(context, deadline), deadline)


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


def quoted(value: str) -> str:
    """The value of a matcher as PromQL and Alertmanager read it, which knows no escapes of Unicode."""
    return json.dumps(value, ensure_ascii=False)


def fits(labels: Mapping[str, str], match: str, missing: bool = False) -> bool:
    """Whether labels fit all matchers, regular expressions anchored as Prometheus does; missing: so do absent ones."""
    from pytest_prodcheck.environments.sections.monitoring import matchers

    for label, operator, wanted in matchers(match):
        if missing and label not in labels:
            continue
        value = labels.get(label, "")
        same = re.fullmatch(wanted, value) is not None if operator.endswith("~") else value == wanted
        if same == operator.startswith("!"):
            return False
    return True
