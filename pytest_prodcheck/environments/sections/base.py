"""What all sections of the configuration share: strictness, names, durations, secret references."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from pytest_prodcheck.environments.sections.host_names import ascii_address, ascii_host
from pytest_prodcheck.quantities import parse_duration, parse_quantity


class Section(BaseModel):
    """One table of `prodcheck.toml`: frozen, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, regex_engine="python-re", defer_build=True)


def _duration(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ValueError('expected a duration such as "500ms", "15m" or "26h"')
    return parse_duration(value) if isinstance(value, str) else float(value)


def _positive(value: float) -> float:
    if not 0 < value < math.inf:
        raise ValueError('expected a duration greater than zero and not without end, such as "15m"')
    return value


Seconds = Annotated[
    float,
    BeforeValidator(_duration, json_schema_input_type=str | float),
    AfterValidator(_positive),
]


def amount(dimension: str, expected: str, per: int = 1) -> Callable[[object], object]:
    """What makes a number of a text with a unit of this dimension; numbers are left as they are."""

    def number(value: object) -> object:
        if not isinstance(value, str):
            return value
        quantity = parse_quantity(value)
        if quantity.dimension != dimension:
            raise ValueError(f"expected {expected}")
        return quantity.value / per

    return number


_share = amount("ratio", 'a share such as "5%"', per=100)
Ratio = Annotated[float, BeforeValidator(_share, json_schema_input_type=str), Field(gt=0, le=1)]
Count = Annotated[int, Field(ge=0, le=1000)]  # of nodes
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]
Status = Annotated[int, Field(ge=100, le=599)]


def address(value: str) -> str:
    """Accepts HOST:PORT, also [::1]:443."""
    if (
        not re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+):([1-9][0-9]{0,4})", value)
        or int(value.rpartition(":")[2]) > 65535
    ):
        raise ValueError('expected "HOST:PORT" such as "db-1.internal:5432"')
    return ascii_address(value)


Address = Annotated[str, AfterValidator(address)]
HostName = Annotated[str, AfterValidator(ascii_host)]


def regular_expression(value: str) -> str:
    """Accepts what Python's `re` can compile."""
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"expected a regular expression ({error})") from None
    return value


Regex = Annotated[str, AfterValidator(regular_expression)]


class SecretRef(Section):
    """Where a secret lies: `{ env = "NAME" }`, `{ file = "PATH" }` or `{ command = ["prog", "arg"] }`; exactly one."""

    env: str | None = None  # name of an environment variable of the process that gathers
    file: str | None = None  # path of a file, relative to prodcheck.toml; a line end at its end is left out
    command: tuple[str, ...] | None = None  # program and arguments, run without a shell; what it prints is the secret

    def model_post_init(self, _context: Any) -> None:
        """Refuses none or several ways at once."""
        if sum(way is not None for way in (self.env, self.file, self.command)) != 1:
            raise ValueError(
                'expected exactly one of { env = "NAME" }, { file = "PATH" }, { command = ["PROGRAM", …] }'
            )


def one_or_many(value: object) -> object:
    """Lets `status = 200` stand for `status = [200]`, and nothing for an empty list."""
    if isinstance(value, list):
        return tuple(value)  # what comes out of here is no longer JSON to pydantic, where a list would do for a tuple
    if value is None:
        return ()
    return (value,) if isinstance(value, (int, str)) and not isinstance(value, bool) else value


Statuses = Annotated[
    tuple[Status, ...],
    BeforeValidator(one_or_many, json_schema_input_type=int | list[int]),
    Field(min_length=1),
]
