"""What the checks of authentication, authorization and encryption must notice, and what must stay green."""

from __future__ import annotations

from pytest_prodcheck.demo.faults.fault import Fault

_TOKENS, _LOGOUT = ("security.authentication.tokens",), ("security.authentication.logout",)
_THROTTLING = ("security.authentication.throttling",)
# it sends malformed tokens too
_TRACES = ("security.headers.traces", "smoke.auth.required")
_REQUIRED = ("smoke.auth.required", "smoke.auth.session", "smoke.api.endpoint", "smoke.api.budget")
_ROLES, _OWNERSHIP = ("security.authorization.roles",), ("security.authorization.ownership",)
_POSTGRES, _REDIS = ("security.encryption.postgres",), ("security.encryption.redis",)
_COLUMNS = ("security.encryption.columns",)
_RULES, _PASSWORDS, _VALUES = "PostgreSQL's access rules", "PostgreSQL's access rules", "the payment methods"
_LIMITS = "the limit of logins"

FAULTS = (
    Fault("token-alg-none", 'tokens without signature are accepted with alg "none"', _TOKENS),
    Fault("token-alg-none-cased", 'tokens without signature are accepted with alg "nOnE"', _TOKENS),
    Fault("token-signature-optional", "tokens are accepted without their signature", _TOKENS),
    Fault("token-signature-unchecked", "token signatures are not verified", _TOKENS, also=("smoke.auth.session",)),
    Fault("token-any-rsa-key", "a token signed with any key is accepted", _TOKENS),
    Fault("token-algorithm-swapped", "HS256 with the public key as secret is accepted instead of RS256", _TOKENS),
    Fault("token-empty-secret", "HS256 with an empty secret is accepted", _TOKENS),
    Fault("token-secret-guessable", "tokens are signed with a very common secret", _TOKENS),
    Fault("token-kid-path", "the key is read from the file that the field kid names", _TOKENS),
    Fault("token-kid-sql", "the key is looked up with an SQL statement that the field kid can change", _TOKENS),
    Fault("token-kid-unknown", "tokens with an unknown kid are not verified", _TOKENS),
    Fault("token-brings-its-key", "the key in a token's own header is trusted", _TOKENS),
    Fault("token-key-from-address", "tokens that name the address of their key are not verified", _TOKENS),
    Fault("token-expired", "expired tokens are accepted", _TOKENS),
    Fault("token-not-yet-valid", "tokens are accepted before they are valid", _TOKENS),
    Fault("token-other-issuer", "tokens of another issuer are accepted", _TOKENS),
    Fault("token-other-audience", "tokens for another service are accepted", _TOKENS),
    Fault("token-forged-429", "a rate limiter answers forged tokens, so the check cannot tell", _TOKENS, _TRACES),
    Fault(
        "token-forged-500", "forged tokens are answered with a server error, so the check cannot tell",
        _TOKENS, _TRACES,
    ),
    Fault("token-locks-out", "after ten bad tokens, good tokens are refused too, so the check cannot tell",
          _TOKENS, (*_ROLES, *_LOGOUT, *_REQUIRED)),
    Fault("logout-keeps-cookie", "after logout the session cookie still works", _LOGOUT),
    Fault("throttling-gone", "passwords can be tried without limit", _THROTTLING, part=_LIMITS),
    Fault("throttling-locks-everybody", "a few wrong passwords lock out all users", _THROTTLING, part=_LIMITS),
    Fault(
        "throttling-by-address", "wrong passwords of one user limit all users behind the same address",
        _THROTTLING, outcome="warned", part=_LIMITS,
    ),
    Fault("report-open-to-customers", "customers can read the report for admins", _ROLES),
    Fault("report-open-to-one", "one other customer can read the report for admins", _ROLES),
    Fault("report-open-to-head", "HEAD requests for the report for admins need no login", _ROLES),
    Fault("reprice-open-to-customers", "customers can set prices", _ROLES),
    Fault("reprice-open-to-all", "prices can be set without a login", _ROLES, also=("smoke.auth.required",)),
    Fault(
        "reprice-checks-late",
        "a customer who sends an invalid price is told that it is invalid, not that access is denied",
        _ROLES,
    ),
    Fault("override-header-honoured", "the header X-HTTP-Method-Override bypasses the authorization", _ROLES),
    Fault("override-field-honoured", "the form field _method bypasses the authorization", _ROLES),
    Fault(
        "statement-open", "statements can be read without a login, although the OpenAPI document requires one",
        _ROLES,
    ),
    Fault(
        "report-500-for-customers", "customers get a server error instead of a refusal, so the check cannot tell",
        _ROLES,
    ),
    Fault(
        "report-429-for-customers", "customers are rate-limited instead of refused, so the check cannot tell",
        _ROLES,
    ),
    Fault("report-redirects-customers", "customers are redirected to the front page, so the check cannot tell", _ROLES),
    Fault("order-open-to-strangers", "any customer can read any order", (*_OWNERSHIP, *_ROLES)),
    Fault("order-shown-in-refusal", "the answer that refuses access to an order contains the order", _OWNERSHIP),
    Fault(
        "order-500-for-strangers", "other customers get a server error instead of a refusal, so the check cannot tell",
        (*_OWNERSHIP, *_ROLES),
    ),
    Fault("postgres-takes-plain", "the primary accepts connections without TLS", _POSTGRES, part=_RULES),
    Fault(
        "postgres-takes-plain-elsewhere", "another network may connect to the primary without TLS",
        _POSTGRES, part=_RULES,
    ),
    Fault(
        "postgres-trusts-elsewhere", "the primary accepts connections without a password from another network",
        _POSTGRES, part=_RULES,
    ),
    Fault("postgres-asks-in-plain-text", "the primary asks for passwords in plain text", _POSTGRES, part=_RULES),
    Fault("postgres-asks-nobody", "the primary accepts connections without a password", _POSTGRES, part=_RULES),
    Fault("postgres-password-md5", "the password that prodcheck uses is stored as MD5", _POSTGRES, part=_PASSWORDS),
    Fault("postgres-stores-md5", "new passwords are stored as MD5", _POSTGRES),
    Fault("redis-needs-no-password", "the default user needs no password", _REDIS,
          tuple(f"smoke.redis.{name}" for name in ("responds", "roles", "memory", "persistence")), part="Redis"),
    Fault("redis-takes-plain", "another port of the primary accepts connections without TLS", _REDIS),
    Fault("column-card-numbers", "some card numbers are not encrypted", _COLUMNS, part=_VALUES),
    Fault(
        "column-emails-in-base64", "some values are e-mail addresses, encoded in base64 instead of encrypted",
        _COLUMNS, part=_VALUES,
    ),
    Fault("column-other-form", "some values do not have the declared form", _COLUMNS, part=_VALUES),
    Fault("column-plain-names", "names and addresses are stored without encryption", _COLUMNS, part=_VALUES),
    Fault("column-empty", "a declared column is empty, so the check cannot tell", _COLUMNS, part=_VALUES),
)  # fmt: skip

_SUITES = ("security", "smoke")

BENIGN = (
    Fault("report-404-for-customers", "customers get 404 for the report", suites=_SUITES),
    Fault("order-403-for-strangers", "other customers get 403 for an order", suites=_SUITES),
    Fault("token-keys-changing", "the JWKS contains the new key and the old key", suites=_SUITES),
    Fault("token-forged-400", "forged tokens are answered with 400", suites=("security",)),
    Fault("login-slow", "each login takes 0.4 s", suites=_SUITES),
    Fault("throttling-slows", "each wrong password takes longer than the previous one", suites=("security",)),
    Fault(
        "postgres-rejects-plain", "a rule of type hostnossl rejects connections without TLS",
        suites=_SUITES, part=_RULES,
    ),
    Fault(
        "postgres-plain-on-loopback", "a rule allows programs on the same host to connect without TLS",
        suites=_SUITES, part=_RULES,
    ),
)  # fmt: skip
