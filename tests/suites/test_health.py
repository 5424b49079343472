"""What `smoke.service.health` makes of an answer."""

from __future__ import annotations

import pytest

from pytest_prodcheck.judging.ledger import close_ledger, open_ledger
from pytest_prodcheck.outcomes import Outcome
from pytest_prodcheck.records import Exchange
from pytest_prodcheck.records.services import Health
from suites.smoke.test_services import test_service_says_it_is_healthy as judge_health

JSON, TEXT, HTML, HEALTH = "application/json", "text/plain", "text/html", "application/health+json"
XML = "application/xml"
AIRFLOW = '{"metadatabase": {"status": "healthy"}, "scheduler": {"status": "%s"}, "triggerer": {"status": null}}'
CONNECT = '{"name": "sink", "connector": {"state": "RUNNING", "worker_id": "a"}, "tasks": [{"id": 0, "state": "%s"}]}'
LARAVEL = '{"finishedAt": 1669876543, "checkResults": [{"name": "Database", "status": "%s", "meta": []}]}'
NEXTCLOUD = '{"installed": true, "maintenance": %s, "needsDbUpgrade": false, "version": "31.0.0.18"}'
PINGDOM = "<pingdom_http_custom_check><status>%s</status><response_time>1</response_time></pingdom_http_custom_check>"
RAILS = '<!DOCTYPE html><html><body style="background-color: %s"></body></html>'


def outcome(body: str, kind: str, status: int = 200) -> Outcome:
    exchange = Exchange("GET", "http://shop/healthz", status, (("Content-Type", kind),), body, len(body), 0.01)
    open_ledger()
    try:
        judge_health(Health(exchange, ()))
    finally:
        ledger = close_ledger()
    return ledger.outcome


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ('{"status": "pass"}', HEALTH),
        ('{"status": "UP", "components": {}}', JSON),
        ('{"status": "ok"}', TEXT),
        ('{"healthy": true}', JSON),
        ('{"ok": true, "error": null}', JSON),
        ('{"uptime": 17}', JSON),
        ('{"status": "success", "data": {}}', JSON),
        ('{"Status": "Healthy"}', JSON),
        ('{"status": "passing"}', JSON),
        ('{"status": "ok", "state": "leader"}', JSON),
        ("nothing to complain about", TEXT),
        ('"ok"', JSON),
        ("true", JSON),
        ("OK", TEXT),
        ("ok\n", TEXT),
        ("", TEXT),
        ("all systems go", TEXT),
        (AIRFLOW % "healthy", JSON),
        (CONNECT % "RUNNING", JSON),
        (LARAVEL % "ok", JSON),
        (NEXTCLOUD % "false", JSON),
        ('[{"name": "db", "status": "UP"}]', JSON),
        ('{"code": 0, "data": {"status": "UP"}}', JSON),
        ('{"status": 200, "code": "E17", "up": 0}', JSON),
        ('{"edsc": {"ok?": true}}', JSON),
        ('{"database": "ok", "level": "error"}', JSON),
        (PINGDOM % "OK", XML),
        (RAILS % "green", HTML),
        ("OK", HTML),
        ("", HTML),
        ("<h1>Healthy</h1>", HTML),
    ],
)
def test_healthy(body: str, kind: str) -> None:
    assert outcome(body, kind) is Outcome.PASSED


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ('{"status": "fail"}', HEALTH),
        ('{"status": "DOWN"}', JSON),
        ('{"uptime": 17}', HEALTH),
        ('{"healthy": false}', JSON),
        ('{"ok": false}', JSON),
        ('{"error": "db down"}', JSON),
        ('{"Error": "db down"}', JSON),
        ('{"Status": "Unhealthy"}', JSON),
        ('{"status": "running", "ok": false}', JSON),
        ('{"status": "ok", "ready": false}', JSON),
        ("not ready", TEXT),
        ("NOT_SERVING", TEXT),
        ("null", JSON),
        ("false", JSON),
        ("[]", JSON),
        ('"down"', JSON),
        ("FAIL", TEXT),
        ("unhealthy: database", TEXT),
        ("<!doctype html><title>Sign in</title>", TEXT),
        ("<html>", HTML),
        (AIRFLOW % "unhealthy", JSON),
        (CONNECT % "FAILED", JSON),
        (LARAVEL % "failed", JSON),
        (LARAVEL % "crashed", JSON),
        (NEXTCLOUD % "true", JSON),
        ('[{"name": "db", "status": "UP"}, {"name": "cache", "status": "DOWN"}]', JSON),
        ('{"code": 0, "data": {"status": "DOWN"}}', JSON),
        ('{"database": "down"}', JSON),
        ('{"status": 503}', JSON),
        ('{"status": ""}', JSON),
        ('{"code": 500, "msg": "no connection to the database"}', JSON),
        ('{"status": "ok", "statusCode": 503}', JSON),
        ('{"healthy": 0}', JSON),
        ('{"edsc": {"ok?": true}, "dependencies": {"cmr": {"ok?": false}}}', JSON),
        (PINGDOM % "DOWN", XML),
        ('<?xml version="1.0"?><health status="DOWN"/>', TEXT),
        ("service: shop\nstatus: DOWN\n", TEXT),
        (RAILS % "red", HTML),
        ("Unhealthy", HTML),
        ("Please sign in", HTML),
        ('<h1>OK</h1><form action="/login">', HTML),
        ("<title>Online shop</title>", HTML),
    ],
)
def test_not_healthy(body: str, kind: str) -> None:
    """Row 27."""
    assert outcome(body, kind) is Outcome.FAILED


def test_parts_that_contradict_the_whole_warn() -> None:
    assert outcome('{"status": "UP", "components": {"mail": {"status": "DOWN"}}}', JSON) is Outcome.WARNED
    assert outcome(LARAVEL % "warning", JSON) is Outcome.WARNED


def test_degraded_warns_and_another_status_fails() -> None:
    assert outcome('{"status": "warn"}', HEALTH) is Outcome.WARNED
    assert outcome('{"status": "pass"}', HEALTH, 503) is Outcome.FAILED
