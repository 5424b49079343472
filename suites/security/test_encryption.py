"""Encryption: of connections to the stores, of passwords, of columns."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

from pytest_prodcheck import Limit, check, judge

if TYPE_CHECKING:
    from pytest_prodcheck.records import (
        AccessRule,
        ColumnSample,
        PostgresAccess,
        PostgresColumns,
        PostgresEncryption,
        RedisAccess,
        RedisEncryption,
    )

SCRAM = "SCRAM-SHA-256"
_PASSWORDLESS = ("GSSAPI", "SSPI", "Kerberos")  # the server never sees a password
_WEAK = ("trust", "password", "ident")  # nothing is asked for, or it travels as it is, or the client is believed
ENTROPY = Limit(fail=6.5)  # bits a byte; 512 random ones measure 7.6, text at most about 5
_CHANCE = 0.3  # of numbers without meaning a tenth has a right check digit


@check("security.encryption.postgres", severity="high", runbook="encryption-postgres")
def test_postgres_takes_no_plain_connections(postgres_encryption: PostgresEncryption) -> None:
    """Every node refuses connections without TLS, and stores passwords only as SCRAM."""
    for node in postgres_encryption.nodes:
        if node.problem is not None:
            judge("plain connections are refused", None, equals=True, of=node.address, reason=str(node.problem))
            continue
        _judge_connections(node)
        _judge_passwords(node, postgres_encryption.certificate)
        _judge_rules(node)


def _judge_connections(node: PostgresAccess) -> None:
    judge("our session is encrypted", node.encrypted, of=node.address, reason="pg_stat_ssl says no")
    refused = node.plain in ("refused", "closed")
    why = f"the server continued with {_asked(node)} without TLS: in pg_hba.conf, change `host` to `hostssl`"
    judge("plain connections are refused", refused, of=node.address, reason=why)


def _asked(node: PostgresAccess) -> str:
    return "nothing" if node.asks_for == "nothing" else "the password"


def _judge_passwords(node: PostgresAccess, certificate: bool) -> None:
    good = (SCRAM, *_PASSWORDLESS, *(("nothing",) if certificate else ()))
    why = (
        f"the server asks for {node.asks_for}; for SCRAM, use `scram-sha-256` in "
        "pg_hba.conf and then set the password again"
    )
    judge("password is asked for", node.asks_for, one_of=good, of=node.address, reason=why)
    stored = node.password_encryption
    judge("new passwords are stored as", stored, equals="scram-sha-256", of=node.address,
          reason=f"password_encryption is {stored}")  # fmt: skip
    if node.weak_passwords is not None:
        judge("roles with a password not stored as SCRAM", node.weak_passwords, at_most=0, of=node.address)


def _judge_rules(node: PostgresAccess) -> None:
    """pg_hba.conf where it may be read: lines for other addresses than this host's own."""
    rules = [rule for rule in node.rules or () if rule.kind.startswith("host") and rule.method != "reject"]
    for rule in rules:
        if _is_local(rule):
            continue
        where = f"{node.address}, pg_hba.conf line {rule.line} ({rule.address})"
        judge("rule asks for TLS", rule.kind in ("hostssl", "hostgssenc"), of=where, reason=f"its type is {rule.kind}")
        judge("rule asks for a password", rule.method not in _WEAK, of=where, reason=f"its method is {rule.method}")


def _is_local(rule: AccessRule) -> bool:
    if rule.address == "localhost":
        return True
    try:
        return ip_address(rule.address.partition("/")[0]).is_loopback
    except ValueError:  # a name, "all", "samehost", "samenet"
        return rule.address == "samehost"


@check("security.encryption.redis", severity="high", runbook="encryption-redis")
def test_redis_speaks_to_nobody_in_plain(redis_encryption: RedisEncryption) -> None:
    """Every node requires a password and refuses connections without TLS; no declared TLS warns."""
    reason = "no `tls` is declared: all traffic, including the password, is sent unencrypted"
    judge("TLS is declared", redis_encryption.tls, warn_only=True, reason=reason)
    for node in redis_encryption.nodes:
        if node.problem is not None:
            judge("a password is asked for", None, equals=True, of=node.address, reason=str(node.problem))
        else:
            _judge_node(node)


def _judge_node(node: RedisAccess) -> None:
    answered = node.anonymous in ("PONG", "LOADING", "MASTERDOWN", "MISCONF")
    known = answered or node.anonymous in ("NOAUTH", "DENIED", "NOPERM")
    if known:
        why = f"a PING without a password was answered with {node.anonymous}: the default user needs no password"
        judge("a password is asked for", not answered, of=node.address, reason=why)
    else:
        why = f"a PING without a password is answered with {node.anonymous or 'nothing'}"
        judge("a password is asked for", None, equals=True, of=node.address, reason=why)
    for port in node.plain:
        speaks = port.speaks and port.said != "-DENIED"
        judge("no answer without TLS", not speaks, of=port.address, reason=f"it says {port.said}")


@check("security.encryption.columns", severity="high", runbook="encryption-columns",
       fixed={"entropy, in bits a byte": ENTROPY,
              "share of numbers with the check digit of a card": Limit(fail=_CHANCE)})  # fmt: skip
def test_columns_hold_no_plain_text(postgres_columns: PostgresColumns) -> None:
    """Sampled values of declared columns have no plain text and look random; no value is shown."""
    for column in postgres_columns.columns:
        if column.problem is not None:
            judge("values checked", None, equals=True, of=column.column, reason=str(column.problem))
        elif not column.values:
            judge("values checked", None, equals=True, of=column.column, reason="the column is empty: nothing to check")
        else:
            _judge_column(column)


def _judge_column(column: ColumnSample) -> None:
    share = column.cards / column.card_like if column.card_like else 0.0
    counted = {"card": column.cards if share > _CHANCE else 0, "email": column.emails, "iban": column.ibans}
    words = {"card": "card numbers", "email": "e-mail addresses", "iban": "IBANs"}
    for kind in column.never:
        judge(f"{words[kind]} in plain", counted[kind], at_most=0, of=column.column, reason=_of(column))
    if column.plain is not None:
        judge("values with declared plain text", column.plain, at_most=0, of=column.column, reason=_of(column))
    if column.misshapen is not None:
        judge("values of another form", column.misshapen, at_most=0, of=column.column, reason=_of(column))
    if column.entropy is not None:
        why = "ciphertext looks random; set `entropy = false` for a column that need not"
        judge("entropy", column.entropy, at_least=ENTROPY, unit="bits/byte", of=column.column, reason=why)
    if not column.never and column.plain is None and column.misshapen is None and column.entropy is None:
        why = f"{column.values} values of {column.size} bytes are too few to decide"
        judge("looked at", None, equals=True, of=column.column, reason=why)


def _of(column: ColumnSample) -> str:
    return f"of {column.values} values that were checked"
