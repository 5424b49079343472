"""Workflows: declared steps with captured variables, and a clean-up that always runs."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from pytest_prodcheck.environments.base import Name, Seconds, Section, Statuses
from pytest_prodcheck.environments.services import METHODS


def step_line(value: str) -> str:
    """Accepts "METHOD service:/path"."""
    if not re.fullmatch(rf"({'|'.join(METHODS)}) [A-Za-z0-9][A-Za-z0-9._-]*:/[^\s\x00-\x1f]*", value):
        raise ValueError(f'expected "METHOD service:/path" such as "POST cart:/carts"; methods: {", ".join(METHODS)}')
    return value


class Step(Section):
    """One request of a workflow; `capture` names JSON pointers into its answer for later steps' `{name}`."""

    name: Name
    request: Annotated[str, AfterValidator(step_line)]
    as_: Name | None = Field(default=None, alias="as")
    json_: Any = Field(default=None, alias="json")
    headers: dict[str, str] = {}
    status: Statuses = (200,)
    content_type: str | None = None
    contains: str | None = None
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

    steps: Annotated[tuple[Step, ...], Field(min_length=1)]
    cleanup: tuple[Step, ...] = ()
    writes: bool = False
    unit: Name | None = None
    timeout: Seconds = 30.0
    vantage: Name = "outside"
    owner: str = ""
