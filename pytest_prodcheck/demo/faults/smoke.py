"""What the smoke suite must notice, and what must stay green."""

from __future__ import annotations

from pytest_prodcheck.demo.faults import data_integrity
from pytest_prodcheck.demo.faults.fault import Fault

_HEALTH, _LATENCY, _VERSION = ("smoke.service.health",), ("smoke.service.latency",), ("smoke.service.version",)
_NEGOTIATION = ("smoke.service.negotiation",)
_ADDRESSES, _REDIRECT = ("smoke.service.addresses",), ("smoke.service.redirect",)
_NAMES, _PORTS = ("smoke.dns.resolves",), ("smoke.tcp.open",)
_NEEDED = ("pre_deploy.dependencies.queue", "pre_deploy.dependencies.queue-name", *_PORTS)
_ENDPOINT, _BUDGET, _OPENAPI = ("smoke.api.endpoint",), ("smoke.api.budget",), ("smoke.api.openapi",)
_LOGIN, _REJECTS = ("smoke.auth.login",), ("smoke.auth.rejects",)
_REQUIRED, _SESSION, _ORDER = ("smoke.auth.required",), ("smoke.auth.session",), ("smoke.workflow.order",)
_CONNECTS, _PRIMARY, _STANDBYS, _CONNECTIONS = (
    ("smoke.postgres.connects",), ("smoke.postgres.primary",), ("smoke.postgres.standbys",),
    ("smoke.postgres.connections",),
)  # fmt: skip
_RESPONDS, _REDIS_ROLES, _MEMORY, _PERSISTENCE = (
    ("smoke.redis.responds",), ("smoke.redis.roles",), ("smoke.redis.memory",), ("smoke.redis.persistence",),
)  # fmt: skip
_WRITES, _CLIENTS = ("smoke.redis.writes",), ("smoke.redis.connections",)
_TOKENS, _ROLES = ("security.authentication.tokens",), ("security.authorization.roles",)
_ACCESS = (
    *_TOKENS, *_ROLES, "security.authorization.ownership", "security.authentication.logout",
    "security.authentication.throttling",
)  # fmt: skip
_LOGGED_IN = (*_ENDPOINT, *_BUDGET, *_REQUIRED, *_SESSION, *_ORDER, *_REJECTS, *_ACCESS)  # what needs a login
_WEB = (*_HEALTH, *_LATENCY, *_NEGOTIATION, *_ADDRESSES, *_OPENAPI, *_LOGIN, *_LOGGED_IN)
_ENCRYPTED, _COLUMNS = ("security.encryption.postgres",), ("security.encryption.columns",)
_PG = (*_CONNECTS, *_PRIMARY, *_STANDBYS, *_CONNECTIONS, *_ENCRYPTED, *_COLUMNS,
       *data_integrity.POSTGRES)  # fmt: skip
_ORDERS = (*_ORDER, *_ENDPOINT, *_BUDGET, *_REQUIRED, *_ACCESS)  # what reads or writes orders
_REDIS = (*_RESPONDS, *_REDIS_ROLES, *_MEMORY, *_PERSISTENCE, *_WRITES, *_CLIENTS,
          "security.encryption.redis", *data_integrity.REDIS)  # fmt: skip
_TLS = tuple(  # of an address that cannot be reached nothing is known
    f"security.tls.{name}"
    for name in (
        "trust", "hostname", "expiry", "key", "signature", "revocation", "protocols", "ciphers", "attacks", "profile",
    )
)  # fmt: skip
_BOTH = ("smoke", "data_integrity")
_NODES, _SESSIONS, _CACHES = "PostgreSQL's nodes", "PostgreSQL's sessions", "Redis"

FAULTS = (
    Fault("health-503", "the health page answers 503", _HEALTH, (*_LATENCY, *_ADDRESSES)),
    Fault("health-says-fail", 'the health page says "fail" with status 200', _HEALTH),
    Fault("health-error-page", "the health page is an HTML error page with status 200", _HEALTH),
    Fault("health-login-page", "the health page is a login form with status 200", _HEALTH),
    Fault("health-degraded", 'the health page says "warn"', _HEALTH, outcome="warned"),
    Fault("health-slow", "the health page takes 3 s", _LATENCY, _ADDRESSES),
    Fault("health-often-slow", "two of three answers of the health page take 2.5 s", _LATENCY, _ADDRESSES),
    Fault("health-sluggish", "the health page takes 0.8 s", _LATENCY, _ADDRESSES, outcome="warned"),
    Fault("plain-stale", "requests without gzip get the old front page", _NEGOTIATION),
    Fault(
        "http2-upgrade", "answers over HTTP/2 have a header field that HTTP/2 forbids, so browsers refuse them",
        _NEGOTIATION,
    ),
    Fault("http2-old", "clients that use HTTP/2 reach the old revision", _NEGOTIATION),
    Fault("version-old", "both backends report the old revision", _VERSION),
    Fault("version-old-on-one", "one of two backends reports the old revision", _VERSION, _NEGOTIATION),
    Fault("version-garbage", "the version page is not JSON", _VERSION),
    Fault(
        "backend-dead", "one of two backends is dead, and the load balancer still sends requests to it",
        _VERSION, (*_WEB, *_REDIRECT, *_TLS),
    ),
    Fault("address-down", "the second address behind the name refuses connections", _ADDRESSES, _TLS),
    Fault(
        "address-refuses-tls", "the second address behind the name resets connections",
        _ADDRESSES, (*_VERSION, *_TLS),
    ),
    Fault(
        "address-hangs", "the second address behind the name accepts connections and never answers",
        _ADDRESSES, (*_VERSION, *_TLS),
    ),
    Fault("redirect-missing", "plain HTTP serves the pages instead of a redirect to HTTPS", _REDIRECT),
    Fault("redirect-elsewhere", "plain HTTP redirects to another host", _REDIRECT),
    Fault("redirect-loop", "plain HTTP redirects to itself", _REDIRECT),
    Fault("redirect-to-plain", "plain HTTP redirects to plain HTTP, with a temporary redirect", _REDIRECT),
    Fault("dns-gone", "the DNS name of the queue does not exist", _NAMES, _NEEDED, part="the queue's name"),
    Fault(
        "dns-servfail", "the name server answers SERVFAIL for the queue's name",
        _NAMES, _NEEDED, part="the queue's name",
    ),
    Fault(
        "dns-silent", "the name server does not answer for the queue's name",
        _NAMES, _NEEDED, part="the queue's name",
    ),
    Fault("tcp-closed", "the queue refuses connections", _PORTS, _NEEDED, part="the queue"),
    Fault("tcp-backlog-full", "connections to the queue time out", _PORTS, _NEEDED, part="the queue"),
    Fault("tcp-elsewhere", "nothing listens at the queue's address", _PORTS, _NEEDED, part="the queue's name"),
    Fault("cache-keeps-health", "a cache answers for the health page, so the check cannot tell", _HEALTH,
          (*_LATENCY, *_NEGOTIATION)),
    Fault("cache-keeps-accounts", "a cache stores a customer's account and sends it to everybody", _REQUIRED,
          (*_SESSION, *_LOGIN, *_REJECTS, *_ACCESS)),
    Fault("product-500", "the product page answers 500", _ENDPOINT, _BUDGET),
    Fault("product-breaks-schema", "the product's price is a string", _ENDPOINT),
    Fault("product-truncated", "the product's answer is cut off", _ENDPOINT, _BUDGET),
    Fault("product-empty", "the product's answer is empty", _ENDPOINT, _BUDGET),
    Fault("home-wrong-type", "the front page is sent as plain text", _ENDPOINT),
    Fault("home-lacks-title", "the front page is another page", _ENDPOINT),
    Fault("quote-500", "the quote endpoint answers 500", _ENDPOINT, _BUDGET),
    Fault("product-slow", "the product page takes 1.5 times its budget", _BUDGET, outcome="warned"),
    Fault("product-very-slow", "the product page takes 3 times its budget", _BUDGET),
    Fault("quote-very-slow", "the quote endpoint takes 3 times its budget", _BUDGET),
    Fault("home-very-slow", "the front page takes 3 times its budget", _BUDGET),
    Fault("openapi-invalid", "the OpenAPI document is not valid", _OPENAPI, _ROLES),
    Fault("openapi-lacks-endpoint", "the OpenAPI document does not contain the product page", _OPENAPI),
    Fault("openapi-html", "the OpenAPI document is an HTML page", _OPENAPI, _ROLES),
    Fault("login-500", "login answers 500", _LOGIN, _LOGGED_IN),
    Fault("login-refuses", "login refuses good credentials", _LOGIN, _LOGGED_IN),
    Fault("login-without-token", "login answers 200 without a token", _LOGIN, _LOGGED_IN),
    Fault("login-form-lacks-token", "the login form has no CSRF token", _LOGIN, _LOGGED_IN),
    Fault(
        "login-form-cookie-dropped", "browsers reject the cookie that belongs to the CSRF token of the login form",
        _LOGIN, (*_LOGGED_IN, "security.cookies"),
    ),
    Fault("login-accepts-any-password", "login accepts a wrong password", _REJECTS),
    Fault("login-accepts-empty-password", "login accepts an empty password", _REJECTS),
    Fault("login-names-unknown-user", "the text of a failed login shows whether the user exists", _REJECTS),
    Fault("login-404-for-unknown-user", "the status of a failed login shows whether the user exists", _REJECTS),
    Fault("account-open", "the account can be read without a token", _REQUIRED, _ROLES),
    Fault("account-accepts-garbage", "the account can be read with any token", _REQUIRED, (*_SESSION, *_TOKENS)),
    Fault("report-open", "the report for admins can be read without a token", _REQUIRED, _ROLES),
    Fault("account-500-without-token", "the account answers 500 without a token", _REQUIRED, _ROLES),
    Fault(
        "account-redirects-without-token", "requests for the account without a token are redirected to the login page",
        _REQUIRED, _ROLES,
    ),
    Fault("token-rejected", "the account refuses valid tokens", _SESSION,
          (*_ENDPOINT, *_BUDGET, *_REQUIRED, *_ACCESS)),
    Fault("logout-keeps-token", "logout answers 204, but the token stays valid", _SESSION, _ACCESS),
    Fault("logout-500", "logout answers 500, and the token stays valid", _SESSION, _ACCESS),
    Fault("checkout-500", "checkout answers 500", _ORDER),
    Fault("checkout-loses-order", "checkout answers 201, but the order is not saved", _ORDER),
    Fault("cart-wrong-id", "the answer for a new cart has the number of another cart", _ORDER),
    Fault("cart-stays", "deleting a cart answers 204, but the cart is still there", _ORDER),
    Fault("cancel-refused", "orders cannot be cancelled", _ORDER),
    Fault(
        "postgres-primary-down", "the primary is stopped",
        (*_CONNECTS, *_PRIMARY), (*_PG, *_ORDERS, *_TLS), part=_NODES,
    ),
    Fault("postgres-read-only", "the primary is read-only by default", _PRIMARY, _ORDER, part=_NODES),
    Fault(
        "postgres-two-primaries", "the standby was promoted while the primary still runs",
        (*_PRIMARY, *_STANDBYS), data_integrity.POSTGRES, part=_NODES,
    ),
    Fault("postgres-writer-astray", "the name for writers leads to the standby", _PRIMARY, _ORDER, part=_NODES),
    Fault(
        "postgres-standby-down", "the standby is stopped",
        _STANDBYS, (*_CONNECTS, *_CONNECTIONS, *_TLS, *_ENCRYPTED, *data_integrity.POSTGRES), part=_NODES,
    ),
    Fault(
        "postgres-standby-hangs", "the standby accepts connections and never answers",
        (*_CONNECTS, *_STANDBYS), (*_CONNECTIONS, *_TLS, *_ENCRYPTED, *data_integrity.POSTGRES), part=_NODES,
    ),
    Fault(
        "postgres-connections-80", "80 % of the connections are in use",
        _CONNECTIONS, outcome="warned", part=_SESSIONS,
    ),
    Fault("postgres-connections-95", "95 % of the connections are in use", _CONNECTIONS, part=_SESSIONS),
    Fault(
        "postgres-connections-exhausted", "all connections are taken",
        (*_CONNECTS, *_CONNECTIONS), (*_PG, *_ORDERS, *_TLS), part=_SESSIONS,
    ),
    Fault("postgres-password-changed", "prodcheck's password is no longer valid", _CONNECTS, _PG, part=_NODES),
    Fault("redis-down", "the primary is stopped", _RESPONDS, _REDIS, part=_CACHES),
    Fault("redis-loading", "the primary is loading its data", _RESPONDS, _REDIS, part=_CACHES),
    Fault("redis-password-changed", "prodcheck's password is no longer valid", _RESPONDS, _REDIS, part=_CACHES),
    Fault("redis-hangs", "the primary accepts connections and never answers", _RESPONDS, _REDIS, part=_CACHES),
    Fault("redis-link-down", "the replica cannot reach its primary", _REDIS_ROLES, data_integrity.REDIS,
          part=_CACHES),
    Fault(
        "redis-two-primaries", "the replica was promoted while the primary still runs",
        _REDIS_ROLES, data_integrity.REDIS, part=_CACHES,
    ),
    Fault("redis-replica-down", "the replica is stopped", _REDIS_ROLES, _REDIS, part=_CACHES),
    Fault("redis-memory-85", "85 % of the memory is used", _MEMORY, outcome="warned", part=_CACHES),
    Fault("redis-memory-97", "97 % of the memory is used", _MEMORY, part=_CACHES),
    Fault("redis-memory-full", "more memory is used than the limit allows", (*_MEMORY, *_WRITES), part=_CACHES),
    Fault("redis-memory-volatile", "the memory is full, the policy volatile-lru, and no key has a time to live",
          (*_MEMORY, *_WRITES), part=_CACHES),
    Fault("redis-connections-80", "80 % of the connections are in use", _CLIENTS, outcome="warned", part=_CACHES),
    Fault("redis-connections-95", "95 % of the connections are in use", _CLIENTS, part=_CACHES),
    Fault("redis-replica-connections-95", "95 % of the replica's connections are in use", _CLIENTS, part=_CACHES),
    Fault("redis-refuses-writes", "more replicas are required than exist, so writes are refused", _WRITES,
          part=_CACHES),
    Fault("redis-save-fails", "the last save failed, so writes are refused", (*_PERSISTENCE, *_WRITES),
          part=_CACHES),
    Fault("redis-aof-fails", "the last rewrite of the append-only file failed", _PERSISTENCE, part=_CACHES),
    Fault("redis-not-persistent", "nothing is saved to disk any more", _PERSISTENCE, part=_CACHES),
)

BENIGN = (
    Fault("health-extra-fields", "the health page shows more fields than its status"),
    Fault("health-says-up", 'the health page says "UP"'),
    Fault("health-says-ok", 'the health page says "ok"'),
    Fault("health-slow-once", "the first answer of the health page takes 1.5 s"),
    Fault("connection-reset-once", "one connection is reset"),
    Fault("backend-moved", "a backend moved to another port"),
    Fault("rolling-restart", "the backends restart all the time, one after the other"),
    Fault("ipv6-without-route", "the shop's name has an IPv6 address that cannot be reached from here"),
    Fault("http-closed", "the port for plain HTTP is closed"),
    Fault("redirect-301", "plain HTTP redirects with 301"),
    Fault("big-headers", "answers have 6 KB of headers"),
    Fault("chunked", "answers are sent in chunks"),
    Fault("login-form-token-new", "each view of the login form sets another token"),
    Fault("login-form-asks-more", "the login form needs another hidden field"),
    Fault("uncompressed", "answers are not compressed"),
    Fault("postgres-failed-over", "a failover has just happened: the roles are swapped", part=_NODES, suites=_BOTH),
    Fault("postgres-backup-running", "a base backup is being taken", part=_NODES, suites=_BOTH),
    Fault("postgres-index-building", "CREATE INDEX CONCURRENTLY is running", suites=_BOTH),
    Fault("postgres-long-query", "a long query runs on the standby", suites=_BOTH),
    Fault("postgres-connections-50", "half of the connections are in use, but idle", part=_SESSIONS, suites=_BOTH),
    Fault("redis-full-lru", "the memory is full, and Redis may evict old keys", part=_CACHES, suites=_BOTH),
    Fault("redis-full-volatile", "the memory is full, and Redis may evict keys with a time to live", part=_CACHES,
          suites=_BOTH),
    Fault("redis-saving", "a background save is running", part=_CACHES, suites=_BOTH),
    Fault("redis-failed-over", "a failover has just happened: the roles are swapped", part=_CACHES, suites=_BOTH),
)
