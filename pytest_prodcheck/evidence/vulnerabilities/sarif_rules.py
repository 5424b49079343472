"""Which rule a SARIF result is about, and which level it has: sections 3.52 and 3.27.10 of SARIF 2.1.0."""

from __future__ import annotations

from typing import Any

from pytest_prodcheck.evidence.vulnerabilities.report_model import rows, table, text

Row = dict[str, Any]


class Rules:
    """The rules of one run: the driver's and its extensions'."""

    def __init__(self, run: Row) -> None:
        tool = table(run, "tool")
        self._driver = table(tool, "driver")
        self._extensions = rows(tool, "extensions")
        self._parts = [self._driver, *self._extensions]
        self._invocations = rows(run, "invocations")

    def rule_of(self, result: Row) -> Row:
        """The rule by its index, else guid, else id, which may be hierarchical ("CA1000/1"); {} for none."""
        told = table(result, "rule")
        part = self._tool_component(table(told, "toolComponent"))
        place = result.get("ruleIndex", told.get("index", -1))
        listed = rows(part, "rules")
        if isinstance(place, int) and not isinstance(place, bool) and 0 <= place < len(listed):
            found: Row = listed[place]
            name, wanted = text(found, "id"), rule_id_of(result)
            if not wanted or not name or f"{wanted}/".startswith(f"{name}/"):
                return found  # else the index is of another rule than the id: that rule's metadata are not the result's
        parts = [part] if "toolComponent" in told else self._parts
        if guid := text(told, "guid"):
            for rule in (each for one in parts for each in rows(one, "rules")):
                if text(rule, "guid").lower() == guid.lower():
                    return rule
        return self._by_id(rule_id_of(result), parts)

    def level_of(self, result: Row, rule: Row) -> str:
        """The result's level; else what the tool's user has set for the rule; else the rule's own; else warning."""
        if isinstance(level := result.get("level"), str):
            return level
        if result.get("kind", "fail") != "fail":  # 3.27.10
            return "none"
        overridden = self._overridden(result, rule)
        for source in (overridden, table(rule, "defaultConfiguration")):
            if isinstance(level := source.get("level"), str):
                return level
        return "warning"

    def _tool_component(self, reference: Row) -> Row:
        place = reference.get("index")
        if isinstance(place, int) and 0 <= place < len(self._extensions):
            return self._extensions[place]
        for key in ("guid", "name"):
            if wanted := text(reference, key).lower():
                return next((each for each in self._parts if text(each, key).lower() == wanted), {})
        return self._driver

    def _by_id(self, name: str, parts: list[Row]) -> Row:
        named: dict[str, Row] = {}
        for rule in (each for part in parts for each in rows(part, "rules")):
            named.setdefault(text(rule, "id"), rule)
        while name:
            if name in named:
                return named[name]
            name = name.rpartition("/")[0]
        return {}

    def _overridden(self, result: Row, rule: Row) -> Row:
        place = table(result, "provenance").get("invocationIndex", 0 if len(self._invocations) == 1 else -1)
        if not rule or not isinstance(place, int) or not 0 <= place < len(self._invocations):
            return {}
        for each in rows(self._invocations[place], "ruleConfigurationOverrides"):
            if self.rule_of({"rule": table(each, "descriptor")}) is rule:
                return table(each, "configuration")
        return {}


def rule_id_of(result: Row) -> str:
    """The id that a result names, "" for none."""
    return text(result, "ruleId") or text(table(result, "rule"), "id")
