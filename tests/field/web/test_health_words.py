"""Health answers by 200, as programs write them: one nginx says all of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.field.web.support import Results, folder_for_nginx, free_port, judged, program, running

JSON, TEXT, XML = "application/json", "text/plain", "application/xml"
KIBANA = {"name": "k", "version": {"number": "8.9.0"}}


def kibana(overall: str, plugin: str = "available") -> dict[str, Any]:
    """`/api/status` of Kibana 8."""
    told = {"overall": {"level": overall}, "core": {}, "plugins": {"maps": {"level": plugin}}}
    return {**KIBANA, "status": told}


# name -> what is said, media type, outcome
CASES: dict[str, tuple[Any, str, str]] = {
    # Spring Boot's Status.OUT_OF_SERVICE; liferay-healthcheck#2, spring-cloud-consul#253, resilience4j#722
    "spring-out": ({"components": {"readinessState": {"status": "OUT_OF_SERVICE"}}}, JSON, "failed"),
    "spring-part": ({"status": "UP", "components": {"db": {"status": "OUT_OF_SERVICE"}}}, JSON, "warned"),
    "spring-unknown": ({"status": "UP", "components": {"breaker": {"status": "UNKNOWN"}}}, JSON, "passed"),
    # konga#149: Kong's /status
    "kong": ({"database": {"reachable": True}, "server": {"connections_active": 1}}, JSON, "passed"),
    "kong-down": ({"database": {"reachable": False}, "server": {"connections_active": 1}}, JSON, "failed"),
    # mailcow-logs-viewer#139, FitMart#731: mongoose's words for its connection
    "database": ({"uptime": 17, "database": "connected"}, JSON, "passed"),
    "database-gone": ({"uptime": 17, "database": "disconnected"}, JSON, "failed"),
    "database-gone-beside": ({"status": "ok", "database": "disconnected"}, JSON, "warned"),
    "database-reason": ({"database": "failed: connection refused"}, JSON, "failed"),
    "nested-text": ({"checks": {"database": "DOWN"}}, JSON, "failed"),
    "nested-good": ({"checks": {"database": "UP", "mail": "not configured"}}, JSON, "passed"),
    # hypothesis/lms#57
    "okay": ({"status": "okay"}, JSON, "passed"),
    # aws-app-mesh-controller-for-k8s#325, envoy#5076: Envoy's /server_info
    "envoy": ({"version": "1.30", "state": "LIVE", "uptime_current_epoch": "7s"}, JSON, "passed"),
    "envoy-draining": ({"version": "1.30", "state": "DRAINING"}, JSON, "failed"),
    "envoy-text": ("DRAINING\n", TEXT, "failed"),
    # openshift/origin-aggregated-logging#423, elastic/kibana#46984
    "kibana-7": ({**KIBANA, "status": {"overall": {"state": "green"}}}, JSON, "passed"),
    "kibana-7-red": ({**KIBANA, "status": {"overall": {"state": "red"}}}, JSON, "failed"),
    "kibana-8": (kibana("available"), JSON, "passed"),
    "kibana-8-degraded": (kibana("degraded", "unavailable"), JSON, "warned"),
    "kibana-8-critical": (kibana("critical"), JSON, "failed"),
    # hootsuite/health-checks-api#9
    "hootsuite": (["OK"], JSON, "passed"),
    "hootsuite-warn": (["WARN", {"result": "WARN", "details": "queue"}], JSON, "warned"),
    "hootsuite-crit": (["CRIT", {"result": "CRIT", "details": "no route"}], JSON, "failed"),
    # aerogear/data-sync-server#18: fh-health
    "fh-health": ({"details": [{"description": "Database", "test_status": "crit"}]}, JSON, "failed"),
    "prefixed": ({"isHealthy": False, "version": "1"}, JSON, "failed"),
    "prefixed-part": ({"queue": {"is_healthy": False}}, JSON, "failed"),
    "status-line": ({"status": "200 OK"}, JSON, "passed"),
    "status-line-bad": ({"status": "503 Service Unavailable"}, JSON, "failed"),
    "list-as-text": ([{"name": "db", "status": "DOWN"}], TEXT, "failed"),
    "log": ({"log": {"level": "critical"}, "uptime": 3}, JSON, "passed"),
    # fs/rails-base#403: health_check with `http_status_for_error_text = 200`
    "health-check": ("health_check failed: no connection to the database", TEXT, "failed"),
    "okcomputer": ("default: PASSED Application is running\ndatabase: FAILED Error: timeout", TEXT, "failed"),
    "kubernetes": ("[+]ping ok\n[-]etcd failed: reason withheld\nreadyz check failed", TEXT, "failed"),
    "beside": ("OK\ndatabase: DOWN", TEXT, "warned"),
    "sentence": ("The database is down", TEXT, "failed"),
    "yaml": ('components:\n- status: "DOWN"', TEXT, "failed"),
    "counted": ("all good, 3 checks, 0 failed, failed: 0", TEXT, "passed"),
    "counted-first": ("Failed: 0\nPassed: 12", TEXT, "passed"),
    "error-number": ("FAIL 500", TEXT, "failed"),
    "counted-jobs": ("uptime 3 days, failed jobs: 0", TEXT, "passed"),
    "previously": ("ready (previously failed)", TEXT, "passed"),
    "none": ("No check has failed", TEXT, "passed"),
    "metrics": ('# HELP jobs_total Jobs that failed\njobs_total{reason="failed"} 3', TEXT, "passed"),
    "namespace": ('<h:health xmlns:h="urn:h"><h:status>DOWN</h:status></h:health>', XML, "failed"),
    "cdata": ("<health><status><![CDATA[DOWN]]></status></health>", XML, "failed"),
}


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Results]:
    folder, port = folder_for_nginx(tmp_path_factory.mktemp("health")), free_port()
    places = ""
    for name, (said, kind, _) in CASES.items():
        (folder / name).write_text(said if kind != JSON and isinstance(said, str) else json.dumps(said))
        places += f"location = /{name} {{ types {{}} default_type {kind}; }}\n"
    paths = "".join(f"{name}_temp_path {folder}/{name}.tmp;" for name in ("proxy", "fastcgi", "uwsgi", "scgi"))
    (folder / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {folder}/pid; error_log stderr; events {{}}\n"
        f"http {{ access_log off; client_body_temp_path {folder}/body.tmp; {paths}\n"
        f"server {{ listen 127.0.0.1:{port}; root {folder};\n{places} }} }}"
    )
    services = "".join(
        f'[environments.t.services.{name}]\nurl = "http://127.0.0.1:{port}"\nhealth = "/{name}"\n' for name in CASES
    )
    with running([program("nginx"), "-c", f"{folder}/nginx.conf"], port, Path(folder)):
        yield judged(folder, services, ["smoke.service.health"])


@pytest.mark.parametrize("name", CASES)
def test_what_is_said_counts(name: str, seen: Results) -> None:
    """Sources: tests/field/README.md, "Web"."""
    found = seen["smoke.service.health", name]
    assert found["outcome"] == CASES[name][2], found
