"""YAML as kubectl reads it (sigs.k8s.io/yaml): no dates, no base 60; `y` is true, 1.0 is whole, keys are text."""

from __future__ import annotations

import base64
import re
from typing import Any

import yaml

_BASE: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
_INT, _FLOAT, _BOOL, _TIME, _VALUE = (f"{_TAG}{each}" for each in ("int", "float", "bool", "timestamp", "value"))
_WHOLE = re.compile(r"\A[-+]?(?:0[bB][01_]+|0[oO]?[0-7_]+|0[xX][0-9a-fA-F_]+|0|[1-9][0-9_]*)\Z")
_BROKEN = re.compile(
    r"\A(?:[-+]?(?:\.[0-9_]+|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9_]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z"
)
_YES, _NO = ("y", "yes", "true", "on"), ("n", "no", "false", "off")
_TRUTH = re.compile(r"\A(?:[yYnN]|yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF)\Z")
_EXACT = 2**63  # larger numbers are read as floating ones
_WRITTEN_OUT = 1e21  # up to here Go writes a number without a fraction as a whole one


class Loader(_BASE):  # type: ignore[misc]  # the C one where it is there
    """PyYAML's safe loader with those scalars."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[str, Any]:
        """Keys as JSON has them."""
        self.flatten_mapping(node)
        return {
            _key(self.construct_object(key, deep=True)): self.construct_object(value, deep=deep)
            for key, value in node.value
        }


def _key(key: object) -> str:
    if isinstance(key, bool):
        return "true" if key else "false"
    if not isinstance(key, (str, int, float)):
        raise yaml.YAMLError(f"a key must be text, not {type(key).__name__}")
    return str(key)


Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in known if tag not in (_INT, _FLOAT, _BOOL, _TIME, _VALUE)]
    for first, known in _BASE.yaml_implicit_resolvers.items()
}
Loader.add_implicit_resolver(_BOOL, _TRUTH, list("yYnNtTfFoO"))
Loader.add_implicit_resolver(_INT, _WHOLE, list("-+0123456789"))
Loader.add_implicit_resolver(_FLOAT, _BROKEN, list("-+0123456789."))


def _integer(loader: Any, node: Any) -> int | float | str:
    text = str(node.value).replace("_", "").lower()
    value = int(text, 8) if re.match(r"[-+]?0[0-7]", text) else int(text, 0)
    if -_EXACT <= value < _EXACT:
        return value
    try:
        return _number(float(value))
    except OverflowError:  # more than a float holds stays a text, as in `_broken`
        return text


def _broken(loader: Any, node: Any) -> int | float | str:
    text = str(node.value)
    try:
        value = float(text.replace("_", ""))
    except ValueError:  # infinity and no number, which JSON does not have
        raise yaml.YAMLError(f"{text} is not a JSON number") from None
    return text if value in (float("inf"), float("-inf")) else _number(value)


def _number(value: float) -> int | float:
    return int(value) if value.is_integer() and abs(value) < _WRITTEN_OUT else value


def _boolean(loader: Any, node: Any) -> bool:
    lower = str(node.value).lower()
    if lower not in (*_YES, *_NO):
        raise yaml.YAMLError(f"{lower[:40]} is neither true nor false")
    return lower in _YES


def _text(loader: Any, node: Any) -> str:
    return str(node.value)


def _binary(loader: Any, node: Any) -> str:
    return base64.b64decode(str(node.value)).decode("utf-8", "replace")


def _as_it_stands(loader: Any, suffix: str, node: Any) -> Any:
    """What has a tag that YAML does not know."""
    if isinstance(node, yaml.ScalarNode):
        return node.value
    deep = loader.construct_sequence if isinstance(node, yaml.SequenceNode) else loader.construct_mapping
    return deep(node, deep=True)


def _pairs(loader: Any, node: Any) -> Any:
    return _as_it_stands(loader, "", node)


for _name, _make in (
    ("int", _integer), ("float", _broken), ("bool", _boolean), ("timestamp", _text), ("value", _text), ("merge", _text),
    ("binary", _binary), ("set", _pairs), ("omap", _pairs), ("pairs", _pairs),
):  # fmt: skip
    Loader.add_constructor(f"{_TAG}{_name}", _make)
Loader.add_multi_constructor("!", _as_it_stands)
