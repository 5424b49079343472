"""Workflows: declared steps with captured variables, and a clean-up that always runs."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from pytest_prodcheck.environments.kinds import Kind
from pytest_prodcheck.environments.listing.logins import workflow_targets
from pytest_prodcheck.environments.rules.logins import workflow_complaints
from pytest_prodcheck.environments.sections.base import Name, Seconds, Section, Statuses
from pytest_prodcheck.environments.sections.services import METHODS

CLEANUP_SHARE = 0.5  # of the timeout, on top of it: slow steps must not cost the clean-up its time


def step_line(value: str) -> str:
    """Accepts "METHOD service:/path"."""
    if not re.fullmatch(rf"({'|'.join(METHODS)}) [A-Za-z0-9][A-Za-z0-9._-]*:/[^\s\x00-\x1f]*", value):
        raise ValueError(f'expected "METHOD service:/path" such as "POST cart:/carts"; methods: {", ".join(METHODS)}')
    return value


class Upload(Section):
    """One file that a form sends: its text, or a file of the project's."""

    content: str | None = None  # what is in it, as text
    file: str | None = None  # file whose content is sent, at most 1 MB; relative to prodcheck.toml
    name: str = "file"  # file name that is told
    type: str = "application/octet-stream"  # media type that is told

    def model_post_init(self, _context: Any) -> None:
        """Refuses none or both."""
        if (self.content is None) == (self.file is None):
            raise ValueError('expected `content` or `file`, such as { file = "tests/pixel.png", type = "image/png" }')


class Step(Section):
    """One request of a workflow; `capture` names JSON pointers into its answer for later steps' `{name}`."""

    name: Name  # what the step is called in reports; each once in a workflow
    # method, service and path, such as "POST cart:/carts/{cart}/lines"
    request: Annotated[str, AfterValidator(step_line)]
    as_: Name | None = Field(default=None, alias="as")  # role of `auth` whose token is sent; where left out, none is
    json_: Any = Field(default=None, alias="json")  # JSON document that is sent; `{captured}` names in it are filled in
    form: dict[str, str] | None = None  # fields sent as an HTML form sends them; `{captured}` names are filled in
    files: dict[str, Upload] = {}  # files by field; with them the form goes as multipart/form-data
    headers: dict[str, str] = {}  # further headers of this request
    status: Statuses = (200,)  # what may be answered, one or several
    content_type: str | None = None  # media type that the answer must have, without parameters
    contains: str | None = None  # text that the answer must contain
    # name -> JSON pointer into the answer, such as { cart = "/id" }; later steps write {cart}
    capture: dict[Name, Annotated[str, Field(pattern=r"^(/.*)?$")]] = {}

    @property
    def method(self) -> str:
        """The HTTP method."""
        return self.request.partition(" ")[0]

    @property
    def service(self) -> str:
        """The service's name."""
        return self.request.partition(" ")[2].partition(":")[0]

    @property
    def path(self) -> str:
        """The path below the service's address, with `{captured}` names."""
        return self.request.partition(" ")[2].partition(":")[2]


class Workflow(Section):
    """What a user does, step by step. `writes` marks one that leaves traces until its clean-up ran."""

    steps: Annotated[tuple[Step, ...], Field(min_length=1)]  # sent in this order; the first that fails ends them
    # sent afterwards, whatever became of the steps; those whose captured names are missing are left out
    cleanup: tuple[Step, ...] = ()
    values: dict[Name, str] = {}  # what further `{name}`s stand for, such as { sku = "chair-1" }; a load may vary them
    # true: leaves traces. Any method but GET, HEAD and OPTIONS counts as writing too; see `--allow-write`
    writes: bool = False
    unit: Name | None = None  # unit that it belongs to: runs about other units leave it out
    timeout: Seconds = 30.0  # for all steps together; the clean-up gets half as much on top
    # network location that it is reached from; skipped `out-of-reach` in a run with another `--vantage`;
    # where left out, its services'
    vantage: Name = "outside"
    owner: str = ""  # who is asked when it fails; shown in reports and verdicts

    @property
    def longest(self) -> float:
        """Seconds that it may take, with its clean-up."""
        return self.timeout * (1 + CLEANUP_SHARE * bool(self.cleanup))

    @property
    def names(self) -> set[str]:
        """The names that `{name}` may stand for: those given and those captured."""
        return {*self.values, *(name for step in (*self.steps, *self.cleanup) for name in step.capture)}


KINDS = (
    Kind(
        section="workflows",
        awaited={"workflow": ()},
        targets=workflow_targets,
        rules=workflow_complaints,
    ),
)
