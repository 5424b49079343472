"""The demo's prodcheck.toml, the schemas it names, and its secrets."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, fields
from pathlib import Path

from pytest_prodcheck.demo.files import database_content, release_documents, scanner_reports
from pytest_prodcheck.demo.runtime.programs import can_shut_in

REVISION = "demo-1"
ROLES = ("customer", "other-customer", "admin")
SAMPLES = ("expired", "not-yet-valid", "other-issuer", "other-audience")

PRODUCT_SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Product",
    "type": "object",
    "required": ["sku", "title", "price"],
    "additionalProperties": False,
    "properties": {
        "sku": {"type": "string"},
        "title": {"type": "string", "minLength": 1},
        "price": {
            "type": "object",
            "required": ["amount", "currency"],
            "additionalProperties": False,
            "properties": {
                "amount": {"type": "integer", "minimum": 0, "description": "in cents"},
                "currency": {"type": "string", "pattern": "^[A-Z]{3}$"},
            },
        },
    },
}


@dataclass(frozen=True)
class Ports:
    """The ports that the configuration names, all on loopback; 0s stand for "not known yet"."""

    https: int = 8443
    http: int = 8080
    dns: int = 5353
    queue: int = 5672
    db_1: int = 5432
    db_2: int = 5433
    db_rw: int = 5434
    cache_1: int = 6379
    cache_2: int = 6380
    spare_1: int = 9000
    spare_2: int = 9001
    mail: int = 2525
    cache_plain: int = 6381
    payments: int = 8090


@dataclass(frozen=True)
class Secrets:
    """Passwords, new with every start."""

    customer: str
    other_customer: str
    admin: str
    lockme: str
    postgres: str
    shop: str
    replicator: str
    redis: str


def new_secrets() -> Secrets:
    """Random passwords."""
    return Secrets(**{field.name: secrets.token_urlsafe(18) for field in fields(Secrets)})


def write(folder: Path, ports: Ports, known: Secrets, postgres_tls: bool) -> Path:
    """Writes prodcheck.toml, schemas/ and secrets/ (files of mode 0600); returns the configuration's path."""
    (folder / "schemas").mkdir()
    (folder / "schemas" / "product.json").write_text(json.dumps(PRODUCT_SCHEMA, indent=2) + "\n")
    database_content.write_scripts(folder)
    (folder / "secrets").mkdir(mode=0o700)
    for name in (*ROLES, "postgres", "redis"):
        file = folder / "secrets" / name
        file.touch(mode=0o600)
        file.write_text(getattr(known, name.replace("-", "_")) + "\n")
    scanner_reports.write(folder, REVISION)
    release_documents.write(folder, REVISION)
    for name in SAMPLES:  # the shop fills them when it has its key
        (folder / "secrets" / f"token-{name}").touch(mode=0o600)
    path = folder / "prodcheck.toml"
    path.write_text(render(ports, postgres_tls), encoding="utf-8")
    return path


def describe() -> str:
    """The configuration's text with placeholder ports, for commands that only list what would be sent."""
    return render(Ports(), postgres_tls=True)


def render(ports: Ports, postgres_tls: bool) -> str:
    """The text of prodcheck.toml."""
    text = _TEMPLATE + scanner_reports.CONFIGURATION + release_documents.CONFIGURATION
    for name, port in vars(ports).items():
        text = text.replace(f"<{name}>", str(port))
    tls = 'tls = { mode = "verify-full", ca = "ca.pem" }' if postgres_tls else 'tls = { mode = "disable" }'
    text = text.replace("<unconfined>", "" if can_shut_in() else ", unconfined = true")
    return text.replace("<postgres_tls>", tls).replace("<revision>", REVISION)


_TEMPLATE = """\
# The demo system of pytest-prodcheck; written anew with every start.
version = 1
project = "demo-shop"

[environments.demo]
revision   = "<revision>"
nameserver = "127.0.0.1:<dns>"
vars       = { sku = "smoke-sku-1" }
absent     = []

[environments.demo.units]
shop = { services = ["shop"], owner = "team-shop" }

[environments.demo.services.shop]
url      = "https://shop.demo.test:<https>"
public   = true
html     = true
tls      = { ca = "ca.pem" }
health   = "/healthz"
version  = { path = "/version", pointer = "/revision" }
openapi  = "/openapi.json"
redirect = "http://shop.demo.test:<http>/"
[environments.demo.services.shop.endpoints]
home    = { request = "GET /", status = 200, content_type = "text/html", contains = "<title>Shop", budget = "1s", allow = ["anonymous"] }
product = { request = "GET /products/{sku}", status = 200, schema = "schemas/product.json", budget = "500ms", allow = ["anonymous", "customer", "admin"] }
quote   = { request = "POST /quotes", json = { lines = [{ sku = "{sku}", count = 1 }] }, safe = true, status = 200, budget = "500ms", allow = ["anonymous", "customer"] }
account = { request = "GET /account", as = "customer", status = 200, allow = ["customer", "other-customer", "admin"] }
report  = { request = "GET /admin/report", as = "admin", status = 200, allow = ["admin"] }
reprice = { request = "PUT /products/{sku}/price", json = { amount = 1290 }, allow = ["admin"], control = "report" }
order   = { request = "GET /orders/1", as = "customer", status = 200, allow = ["customer", "admin"] }
stranger  = { request = "GET /orders/1", as = "other-customer", status = [403, 404], control = "order" }
style     = { request = "GET /shop.css", status = 200, content_type = "text/css" }
statement = { request = "GET /statement", as = "customer", status = 200 }

[environments.demo.auth]
kind           = "form"
service        = "shop"
login_form     = "/login"
login          = "POST /login"
logout         = "POST /logout"
fields         = { user = "username", password = "password" }
token          = "/token"
cookie         = "__Host-session"
logout_revokes = true
wrong_password = { user = "lockme" }
throttling     = { user = "throttled", attempts = 10 }
[environments.demo.auth.tokens]
jwks = "/.well-known/jwks.json"
[environments.demo.auth.tokens.refused]
expired        = { file = "secrets/token-expired" }
not-yet-valid  = { file = "secrets/token-not-yet-valid" }
other-issuer   = { file = "secrets/token-other-issuer" }
other-audience = { file = "secrets/token-other-audience" }
[environments.demo.auth.roles]
customer       = { user = "customer", password = { file = "secrets/customer" } }
other-customer = { user = "other-customer", password = { file = "secrets/other-customer" } }
admin          = { user = "admin", password = { file = "secrets/admin" } }

[environments.demo.workflows.order]
writes = true
unit   = "shop"
steps  = [
  { name = "cart",     request = "POST shop:/carts",              as = "customer", status = 201, capture = { cart = "/id" } },
  { name = "line",     request = "POST shop:/carts/{cart}/lines", as = "customer", json = { sku = "{sku}", count = 1 }, status = 201 },
  { name = "checkout", request = "POST shop:/checkouts",          as = "customer", json = { cart = "{cart}", payment = "test-visa" }, status = 201, capture = { placed = "/order" } },
  { name = "order",    request = "GET shop:/orders/{placed}",     as = "customer", status = 200, contains = "placed" },
]
cleanup = [
  { name = "cancel",    request = "POST shop:/orders/{placed}/cancel", as = "admin",    status = [200, 409] },
  { name = "drop",      request = "DELETE shop:/carts/{cart}",         as = "customer", status = [204, 404] },
  { name = "cancelled", request = "GET shop:/orders/{placed}",         as = "admin",    status = 200, contains = "cancelled" },
  { name = "gone",      request = "GET shop:/carts/{cart}",            as = "customer", status = 404 },
]

[environments.demo.dependencies]
shop-name  = { dns = "shop.demo.test" }
queue-name = { dns = "queue.demo.test" }
queue      = { tcp = "queue.demo.test:<queue>" }
branch     = { http = "https://münchen.demo.test:<https>/healthz", ca = "ca.pem" }
payments   = { http = "http://payments.demo.test:<payments>/status", timeout = "4s" }

[environments.demo.exposure.shop]
host     = "127.0.0.1"
ports    = "<spare_1>,<spare_2>"
expected = [<https>]

[environments.demo.postgres.shop]
nodes    = ["db-1.demo.test:<db_1>", "db-2.demo.test:<db_2>"]
writer   = "db-rw.demo.test:<db_rw>"
expect   = { primaries = 1, standbys = 1 }
database = "shop"
user     = "prodcheck"
password = { file = "secrets/postgres" }
<postgres_tls>
migrations = { kind = "flyway", scripts = "migrations" }
orphans    = { enforced = true }
structure  = { budget = "20s", tables = ["orders", "order_lines", "payments", "notes"] }
tolerate   = { unlogged = ["public.scratch_*"] }
content    = { tables = ["customers", "products", "orders", "order_lines", "payments"] }
[environments.demo.postgres.shop.relations]
events = { child = "public.order_events(order_id)", parent = "public.orders(id)" }
[environments.demo.postgres.shop.freshness]
orders = { table = "public.orders", column = "placed_at", at_most = { warn = "7d", fail = "30d" } }
[environments.demo.postgres.shop.invariants.unpaid-orders]
sql     = "select count(*) from public.orders o where state = 'placed' and not exists (select from public.payments p where p.order_id = o.id)"
at_most = 0
reads   = ["orders", "payments"]
[environments.demo.postgres.shop.invariants.order-totals]
sql     = "select count(*) from public.orders o where total <> (select sum(count * price) from public.order_lines l where l.order_id = o.id)"
at_most = 0
reads   = ["orders", "order_lines"]
[environments.demo.postgres.shop.invariants.outbox]
sql      = "select coalesce(extract(epoch from now() - min(at)), 0) from public.order_events where sent_at is null"
unit     = "s"
at_most  = { warn = "60s", fail = "10m" }
severity = "high"
reads    = ["order_events"]
[environments.demo.postgres.shop.backups]
kind           = "basebackup"
folder         = "pg/backups"
archive        = "pg/archive"
expect         = { any = "1d", full = "7d", retained = 1 }
restore_record = "pg/restored.json"
restore        = { folder = "pg/scratch", record = "pg/records/{label}.json", check = "database"<unconfined> }
[environments.demo.thresholds]  # nobody waits five minutes for a demo
"data_integrity.storage.locks"    = { warn = "500ms", fail = "1s" }
"data_integrity.storage.idle"     = { warn = "500ms", fail = "1s" }
"data_integrity.storage.prepared" = { warn = "500ms", fail = "1s" }
"pre_deploy.dependencies.*"       = { warn = "3s", fail = "5s" }
"pre_deploy.dependencies.*@payments" = { warn = "1500ms", fail = "3s" }
"performance.errors"              = { warn = "5%", fail = "1%" }  # 330 requests cannot prove 0.1 %
"performance.throughput"          = { warn = "98%", fail = "90%" }
"data_integrity.replication.bytes" = { warn = "4MB", fail = "16MB" }
"data_integrity.replication.delay" = { warn = "1s", fail = "2s" }
[environments.demo.postgres.shop.columns]
"payment_methods.card"   = { form = "v[0-9]+:" }
"payment_methods.holder" = {}

[environments.demo.redis.sessions]
nodes       = ["cache-1.demo.test:<cache_1>", "cache-2.demo.test:<cache_2>"]
expect      = { primaries = 1, replicas = 1 }
password    = { file = "secrets/redis" }
tls         = { ca = "ca.pem", plain_ports = [<cache_plain>] }
persistence = true

[environments.demo.tls.mail]
address  = "mail.demo.test:<mail>"
starttls = "smtp"
ca       = "ca.pem"
profile  = "intermediate"
timeout  = "4s"

# Short, so that a whole suite takes seconds: a real load has its 10,000 requests.
[environments.demo.light]
endpoints = ["shop.product", "shop.quote"]
requests  = 300
seconds   = "3s"
[environments.demo.load.browse]
hosts     = ["shop.demo.test"]
mix       = { "shop.product" = 8, "shop.quote" = 2 }
rate      = "110/s"
duration  = "3s"
abort     = { error_ratio = "50%" }
compare   = { p95 = "200ms", p99 = "400ms" }  # so short a run on a busy machine differs that much from another
stress    = { until = "250/s", steps = 2, hold = "500ms", recover = "1.2s" }
resources = { host = false, pidfile = "demo.pid", cores = 1, memory = "400MB", connections = 1500 }
"""  # noqa: E501
