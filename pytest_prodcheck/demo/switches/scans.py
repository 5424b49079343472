"""Faults of scanner reports: files written as a broken pipeline, or a bad build, would leave them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pytest_prodcheck.demo.files import scanner_reports
from pytest_prodcheck.demo.files.configuration import REVISION
from pytest_prodcheck.demo.files.scanner_reports import (
    CODE,
    DIGEST,
    GRYPE,
    NODES,
    POLICIES,
    SCANNER,
    TRIVY,
    VEX,
    ago,
    grype,
    match,
    trivy,
    vex,
    vulnerability,
)
from pytest_prodcheck.demo.files.write_file import write_file

if TYPE_CHECKING:
    from pytest_prodcheck.demo.system import System

Act = Callable[["System"], None]
PYTHON = scanner_reports.PYTHON.replace("<revision>", REVISION)
OLD, NEW = 40, 3  # days


def _critical(fixed: str, days: float, **more: Any) -> dict[str, Any]:
    return vulnerability("CVE-2025-20001", "CRITICAL", fixed, days, **more)


def _without(document: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key not in keys}


def _no_packages() -> dict[str, Any]:
    return _without(trivy(), "Results")


def _unjustified() -> dict[str, Any]:
    document = vex()
    document["statements"] = [_without(each, "justification") for each in document["statements"]]
    return document


def _failed_run() -> dict[str, Any]:
    document = scanner_reports.code()
    document["runs"][0]["invocations"][0]["executionSuccessful"] = False
    return document


def _skips_more() -> dict[str, Any]:
    document = scanner_reports.python()
    document["dependencies"].append({"name": "private-lib", "skip_reason": "Dependency not found on PyPI"})
    return document


def _twice() -> dict[str, Any]:
    """One finding in two layers, and on the second path it is dated earlier: both within the grace."""
    again = [_critical("1.2.4", days, Layer={"Digest": f"sha256:{digit * 64}"}) for days, digit in ((3, "7"), (4, "8"))]
    return trivy(*again, *again)


_INJECTION = {"ruleId": "py/sql-injection", "level": "error", "message": {"text": "user input in a query"},
              "locations": [{"physicalLocation": {"artifactLocation": {"uri": "shop/orders.py"}}}]}  # fmt: skip
_FAIL = {"test_number": "4.2.1", "test_desc": "anonymous requests to the kubelet", "status": "FAIL", "scored": True}
_VIOLATION = {"kind": "Namespace", "name": "shop", "message": "label owner is missing", "enforcementAction": "deny"}
# fault -> (file, what is written into it)
CONTENTS: dict[str, tuple[str, Callable[[], Any]]] = {
    "scan-critical": (TRIVY, lambda: trivy(_critical("1.2.4", OLD))),
    "scan-high": (TRIVY, lambda: trivy(vulnerability("CVE-2025-20002", "HIGH", "1.2.4", OLD))),
    "scan-foreign": (
        TRIVY, lambda: json.loads(json.dumps(trivy()).replace(DIGEST, "sha256:" + "9" * 64)),
    ),
    "scan-stale": (TRIVY, lambda: {**trivy(), "CreatedAt": ago(days=8)}),
    "scan-cut-off": (TRIVY, lambda: json.dumps(trivy(), indent=1)[:900]),
    "scan-empty": (TRIVY, _no_packages),
    "scan-other-format": (TRIVY, grype),
    "scan-other-version": (TRIVY, lambda: {**trivy(), "SchemaVersion": 3}),
    "scan-old-system": (
        TRIVY, lambda: {**trivy(), "Metadata": {**trivy()["Metadata"], "OS": {"Family": "debian",
                                                                                         "Name": "9", "EOSL": True}}},
    ),
    "vex-other-product": (VEX, lambda: vex("pkg:oci/other@sha256%3A" + "9" * 64)),
    "vex-unjustified": (VEX, _unjustified),
    "scanner-critical": (GRYPE, lambda: grype(match("CVE-2025-30001", "Critical", OLD))),
    "scanner-fails": (SCANNER, lambda: "#!/bin/sh\necho 'no database' >&2\nexit 3\n"),
    "python-left-out": (PYTHON, _skips_more),
    "code-critical": (CODE, lambda: scanner_reports.code(_INJECTION)),
    "code-failed-run": (CODE, _failed_run),
    "benchmark-fails": (NODES, lambda: scanner_reports.nodes(_FAIL)),
    "policy-violated": (POLICIES, lambda: scanner_reports.policies((_VIOLATION,))),
    "policy-not-audited": (POLICIES, lambda: scanner_reports.policies(audited=ago(days=2))),
    # benign
    "scan-no-fix": (TRIVY, lambda: trivy(_critical("", 400))),
    "scan-new-fix": (TRIVY, lambda: trivy(_critical("1.2.4", NEW))),
    "scan-low-only": (TRIVY, lambda: trivy(vulnerability("CVE-2025-20003", "MEDIUM", "1.2.4", OLD))),
    "scan-in-two-layers": (TRIVY, _twice),
    "scanner-new-fix": (GRYPE, lambda: grype(match("CVE-2025-30002", "Critical", NEW))),
}  # fmt: skip


def _on(file: str, content: Callable[[], Any]) -> Act:
    return lambda system: write_file(system.place, file, content())


def _off(file: str) -> Act:
    return lambda system: write_file(system.place, file, scanner_reports.healthy(REVISION)[file])


ACTS: dict[str, tuple[Act, Act]] = {
    name: (_on(file, content), _off(file)) for name, (file, content) in CONTENTS.items()
}
