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
    Fault("token-signature-optional", "a token's signature may be left out", _TOKENS),
    Fault("token-signature-unchecked", "token signatures are not verified", _TOKENS, also=("smoke.auth.session",)),
    Fault("token-any-rsa-key", "a token signed with any key is accepted", _TOKENS),
    Fault("token-algorithm-swapped", "HS256 with the public key as secret is accepted instead of RS256", _TOKENS),
    Fault("token-empty-secret", "HS256 with an empty secret is accepted", _TOKENS),
    Fault("token-secret-guessable", "tokens are signed with a very common secret", _TOKENS),
    Fault("token-kid-path", "the key is read from the file that kid names", _TOKENS),
    Fault("token-kid-sql", "the key is looked up by kid in a statement that it may change", _TOKENS),
    Fault("token-kid-unknown", "tokens with an unknown kid are not checked", _TOKENS),
    Fault("token-brings-its-key", "the key in a token's own header is trusted", _TOKENS),
    Fault("token-key-from-address", "tokens that name the address of their key are not checked", _TOKENS),
    Fault("token-expired", "expired tokens are accepted", _TOKENS),
    Fault("token-not-yet-valid", "tokens are accepted before they are valid", _TOKENS),
    Fault("token-other-issuer", "tokens of another issuer are accepted", _TOKENS),
    Fault("token-other-audience", "tokens for another service are accepted", _TOKENS),
    Fault("token-forged-429", "a rate limiter answers forged tokens: cannot tell", _TOKENS, _TRACES),
    Fault("token-forged-500", "forged tokens are answered with an error: cannot tell", _TOKENS, _TRACES),
    Fault("token-locks-out", "after ten bad tokens good ones are refused too: cannot tell",
          _TOKENS, (*_ROLES, *_LOGOUT, *_REQUIRED)),
    Fault("logout-keeps-cookie", "logout does not end the cookie's session", _LOGOUT),
    Fault("throttling-gone", "passwords can be tried without limit", _THROTTLING, part=_LIMITS),
    Fault("throttling-locks-everybody", "a few wrong passwords lock everybody out", _THROTTLING, part=_LIMITS),
    Fault(
        "throttling-by-address", "wrong passwords limit all users behind one address",
        _THROTTLING, outcome="warned", part=_LIMITS,
    ),
    Fault("report-open-to-customers", "customers get the admins' report", _ROLES),
    Fault("report-open-to-one", "one other customer gets the admins' report", _ROLES),
    Fault("report-open-to-head", "HEAD of the admins' report asks for no login", _ROLES),
    Fault("reprice-open-to-customers", "customers may set prices", _ROLES),
    Fault("reprice-open-to-all", "prices can be set without a login", _ROLES, also=("smoke.auth.required",)),
    Fault("reprice-checks-late", "a customer's new price is refused for its form, not for who asks", _ROLES),
    Fault("override-header-honoured", "X-HTTP-Method-Override gets past the authorization", _ROLES),
    Fault("override-field-honoured", "the form field _method gets past the authorization", _ROLES),
    Fault("statement-open", "statements open without a login, which the OpenAPI document asks for", _ROLES),
    Fault("report-500-for-customers", "customers get an error instead of a refusal: cannot tell", _ROLES),
    Fault("report-429-for-customers", "customers are rate-limited instead of refused: cannot tell", _ROLES),
    Fault("report-redirects-customers", "customers are sent to the front page: cannot tell", _ROLES),
    Fault("order-open-to-strangers", "any customer sees any order", (*_OWNERSHIP, *_ROLES)),
    Fault("order-shown-in-refusal", "the refusal of an order holds the order", _OWNERSHIP),
    Fault("order-500-for-strangers", "strangers get an error instead of a refusal: cannot tell",
          (*_OWNERSHIP, *_ROLES)),
    Fault("postgres-takes-plain", "the primary takes connections without TLS", _POSTGRES, part=_RULES),
    Fault("postgres-takes-plain-elsewhere", "another network may connect without TLS", _POSTGRES, part=_RULES),
    Fault("postgres-trusts-elsewhere", "another network needs no password", _POSTGRES, part=_RULES),
    Fault("postgres-asks-in-plain-text", "the primary asks for passwords in plain text", _POSTGRES, part=_RULES),
    Fault("postgres-asks-nobody", "the primary asks for no password", _POSTGRES, part=_RULES),
    Fault("postgres-password-md5", "our password is stored as MD5", _POSTGRES, part=_PASSWORDS),
    Fault("postgres-stores-md5", "new passwords are stored as MD5", _POSTGRES),
    Fault("redis-needs-no-password", "the default user needs no password", _REDIS,
          tuple(f"smoke.redis.{name}" for name in ("responds", "roles", "memory", "persistence")), part="Redis"),
    Fault("redis-takes-plain", "another port of the primary takes connections without TLS", _REDIS),
    Fault("column-card-numbers", "some card numbers are not encrypted", _COLUMNS, part=_VALUES),
    Fault("column-emails-in-base64", "some values are e-mail addresses in base64", _COLUMNS, part=_VALUES),
    Fault("column-other-form", "some values are not of the declared form", _COLUMNS, part=_VALUES),
    Fault("column-plain-names", "names and addresses are stored as they are", _COLUMNS, part=_VALUES),
    Fault("column-empty", "a declared column holds nothing: cannot tell", _COLUMNS, part=_VALUES),
)  # fmt: skip

_SUITES = ("security", "smoke")

BENIGN = (
    Fault("report-404-for-customers", "customers are told that there is no report", suites=_SUITES),
    Fault("order-403-for-strangers", "strangers are told that they may not see an order", suites=_SUITES),
    Fault("token-keys-changing", "the JWKS holds the new key beside the old one", suites=_SUITES),
    Fault("token-forged-400", "forged tokens are called bad requests", suites=("security",)),
    Fault("login-slow", "each login takes 0.4 s", suites=_SUITES),
    Fault("throttling-slows", "each wrong password takes longer than the one before", suites=("security",)),
    Fault("postgres-rejects-plain", "a rule rejects connections without TLS by name", suites=_SUITES, part=_RULES),
    Fault(
        "postgres-plain-on-loopback", "a rule lets the host's own programs in without TLS",
        suites=_SUITES, part=_RULES,
    ),
)  # fmt: skip
