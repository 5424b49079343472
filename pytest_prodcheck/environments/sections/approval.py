"""Who has to approve a change, and when nothing may change."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pytest_prodcheck.environments.kinds import Kind
from pytest_prodcheck.environments.listing.release import approval_targets
from pytest_prodcheck.environments.rules.release import approval_complaints
from pytest_prodcheck.environments.sections.base import Name, Seconds, Section
from pytest_prodcheck.environments.sections.services import Authentication, Url


class Approval(Section):
    """Where the change record of a deployment is, and when nothing may be deployed."""

    # "file" and "url": change records in JSON; "github-deployments": the reviews of a deployment by GitHub Actions
    kind: Literal["file", "url", "github-deployments"]
    # file with the change record or a list of them, relative to prodcheck.toml; here and in `url`, `repository` and
    # `deployment` `{unit}` and `{revision}` are filled in when it is read
    record: str | None = None
    # address of the change record or of a list of them; for `github-deployments` that of a GitHub Enterprise API
    url: Url | None = None
    # GitHub repository whose deployments are looked at, "OWNER/NAME"
    repository: Annotated[str, Field(pattern=r"^[\w.{}-]+/[\w.{}-]+$")] | None = None
    # GitHub's name of the environment that is deployed to; the name of this environment where left out
    deployment: str | None = None
    # file with the times in which nothing may be deployed (see docs/pre-deploy.md), relative to prodcheck.toml
    freeze: str | None = None
    # how long an approval holds where the change record names no end of its window
    holds: Seconds = 7 * 86400.0
    authentication: Authentication | None = None  # credentials for `url` or GitHub
    ca: str | None = None  # file with the CA certificates that the address is trusted by (PEM); else the system's
    timeout: Seconds = 20.0  # for all requests together
    # network location that it is reached from; skipped `out-of-reach` in a run with another `--vantage`
    vantage: Name = "outside"
    owner: str = ""  # who is asked when it fails; shown in reports and verdicts


KINDS = (
    Kind(
        section="approval",
        awaited={"approval": ()},
        targets=approval_targets,
        rules=approval_complaints,
        single=True,
    ),
)
