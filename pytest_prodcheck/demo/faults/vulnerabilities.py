"""What the checks of vulnerability reports must notice, and what must stay green."""

from __future__ import annotations

from pytest_prodcheck.demo.faults.fault import Fault

_CRITICAL, _HIGH = ("pre_deploy.vulnerabilities.critical",), ("pre_deploy.vulnerabilities.high",)
_RUNNING = ("security.vulnerabilities.critical", "security.vulnerabilities.high")
_BOTH = (*_CRITICAL, *_HIGH)
_BENCHMARK, _POLICIES = ("security.vulnerabilities.benchmark",), ("security.vulnerabilities.policies",)
_IMAGE, _VEX, _BASE = "the image's report", "the VEX document", "the base image's report"
_CODE, _RULES = "the code's report", "the constraints"
_BEFORE, _AFTER = ("pre_deploy",), ("security",)

FAULTS = (
    Fault(
        "scan-critical", "the image has a critical vulnerability for which a fix has existed for 40 days",
        _CRITICAL, part=_IMAGE,
    ),
    Fault(
        "scan-high", "the image has a high vulnerability for which a fix has existed for 40 days",
        _HIGH, outcome="warned", part=_IMAGE,
    ),
    Fault("scan-foreign", "the report is about another image", _BOTH, part=_IMAGE),
    Fault("scan-stale", "the report is eight days old", _BOTH, part=_IMAGE),
    Fault("scan-cut-off", "the report is cut off", _BOTH, part=_IMAGE),
    Fault("scan-empty", "the scanner examined no packages", _BOTH, part=_IMAGE),
    Fault("scan-other-format", "Grype's report is in the place of Trivy's", _BOTH, part=_IMAGE),
    Fault("scan-other-version", "the report has an unknown format version", _BOTH, part=_IMAGE),
    Fault("scan-old-system", "the image's Debian release no longer gets updates", _HIGH, outcome="warned", part=_IMAGE),
    Fault("vex-other-product", "the VEX document is about another image", _CRITICAL, part=_VEX),
    Fault("vex-unjustified", "the VEX document gives no justification", _CRITICAL, part=_VEX),
    Fault(
        "scanner-critical", "the base image has a critical vulnerability for which a fix has existed for 40 days",
        _RUNNING[:1], part=_BASE,
    ),
    Fault("scanner-fails", "the scanner ends with exit code 3", _RUNNING),
    Fault("python-left-out", "pip-audit skipped a package", _BOTH),
    Fault("code-critical", "the code has an SQL injection", (*_CRITICAL, *_RUNNING[:1]), part=_CODE),
    Fault("code-failed-run", "the scanner of the code reports that its run failed", (*_BOTH, *_RUNNING), part=_CODE),
    Fault("benchmark-fails", "the kubelet accepts anonymous requests", _BENCHMARK),
    Fault("policy-violated", "a namespace violates a constraint", _POLICIES, part=_RULES),
    Fault("policy-not-audited", "Gatekeeper's audit ended two days ago", _POLICIES, part=_RULES),
)

BENIGN = (
    Fault("scan-no-fix", "a critical vulnerability has no fix", suites=_BEFORE, part=_IMAGE),
    Fault("scan-new-fix", "a critical vulnerability was fixed three days ago", suites=_BEFORE, part=_IMAGE),
    Fault("scan-low-only", "a vulnerability of medium severity has an old fix", suites=_BEFORE, part=_IMAGE),
    Fault("scan-in-two-layers", "a new vulnerability is listed in two layers", suites=_BEFORE, part=_IMAGE),
    Fault(
        "scanner-new-fix", "the base image has a vulnerability that was fixed three days ago",
        suites=_AFTER, part=_BASE,
    ),
)
