"""Authorization: who gets in where, and nobody else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_prodcheck import check, judge

from .access import METHOD_REFUSED, by_filter, insist_on, judge_refused

if TYPE_CHECKING:
    from pytest_prodcheck.records import OwnershipPair, RoleMatrix


@check("security.authorization.roles", severity="critical", runbook="authorization-roles")
def test_only_allowed_roles_get_in(auth_matrix: RoleMatrix) -> None:
    """Every role that is not allowed is refused, with every method, while an allowed role gets access."""
    control = auth_matrix.control
    insist_on(control.entry, auth_matrix.control_expected, control.role)
    if not auth_matrix.closed:
        judge("open to all by the OpenAPI document", True)
        return
    for role in auth_matrix.roles:
        if not role.allowed:
            if auth_matrix.through is False and by_filter(role.entry):
                met = f"answered {role.entry.exchange.status if role.entry.exchange else 0}"
                why = f"{met}, perhaps by a CSRF filter or a firewall: {auth_matrix.through_hint}"
                judge("refusal", None, equals=True, of=role.role, reason=why)
                continue
            judge_refused("refusal", role.entry, role.role)
        elif role.entry.exchange is not None:
            status = role.entry.exchange.status
            judge("gets in", status, one_of=auth_matrix.control_expected, of=role.role, warn_only=True,
                  reason=f"is allowed and was answered {status}")  # fmt: skip
    for override in auth_matrix.overrides:
        who = f"{auth_matrix.override_role} by {override.how}"
        judge_refused("refusal", override.entry, who, refusals=METHOD_REFUSED)


@check("security.authorization.ownership", severity="critical", runbook="authorization-ownership")
def test_objects_are_closed_to_strangers(auth_ownership: OwnershipPair) -> None:
    """A user cannot read or change an object of another user, while its owner can."""
    insist_on(auth_ownership.control, auth_ownership.control_expected, auth_ownership.owner)
    who = f"{auth_ownership.stranger}, for what is {auth_ownership.owner}'s"
    judge_refused("refusal", auth_ownership.entry, who, refusals=auth_ownership.expected)
    shown = auth_ownership.shows_object
    judge(
        "the refusal contains no data of the object", not shown, of=who, reason="the answer contains the owner's data"
    )
