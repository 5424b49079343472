"""YAML as kubectl reads it (sigs.k8s.io/yaml): no dates, no base 60, exponents and `0o` are numbers."""

from __future__ import annotations

import re
from typing import Any

import yaml

_BASE: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INT, _FLOAT, _TIME = (f"tag:yaml.org,2002:{each}" for each in ("int", "float", "timestamp"))
_WHOLE = re.compile(r"\A[-+]?(?:0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|0|[1-9][0-9_]*)\Z")
_BROKEN = re.compile(
    r"\A(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z"
)


class Loader(_BASE):  # type: ignore[misc]  # the C one where it is there
    """PyYAML's safe loader with those numbers."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in known if tag not in (_INT, _FLOAT, _TIME)]
    for first, known in _BASE.yaml_implicit_resolvers.items()
}
Loader.add_implicit_resolver(_INT, _WHOLE, list("-+0123456789"))
Loader.add_implicit_resolver(_FLOAT, _BROKEN, list("-+0123456789."))


def _whole(loader: Any, node: Any) -> int:
    text = str(node.value).replace("_", "").lower()
    if re.match(r"[-+]?0[0-7]", text):
        return int(text, 8)
    return int(text, 0)


Loader.add_constructor(_INT, _whole)
