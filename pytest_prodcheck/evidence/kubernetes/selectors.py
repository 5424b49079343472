"""Label selectors: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors ."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_prodcheck.evidence.kubernetes.objects import Object, rows, table


def fits(selector: Object | None, labels: Mapping[str, str]) -> bool:
    """Whether a selector of matchLabels and matchExpressions takes these labels: an empty one all, none nothing."""
    if selector is None or not table(selector, "matchLabels").items() <= labels.items():
        return False
    return all(_expression_matches(each, labels) for each in rows(selector, "matchExpressions"))


def _expression_matches(expression: Object, labels: Mapping[str, str]) -> bool:
    key, operator = str(expression.get("key", "")), expression.get("operator")
    values = [str(each) for each in expression.get("values") or ()]
    if operator == "In":
        return labels.get(key) in values
    if operator == "NotIn":
        return labels.get(key) not in values
    return (key in labels) == (operator == "Exists")


def labels_of(item: Object) -> dict[str, str]:
    """metadata.labels of an object or a pod template."""
    return {str(key): str(value) for key, value in table(item, "metadata", "labels").items()}
