"""JSON Schema whose patterns cannot hang us: RE2 (linear), else a process that can be killed.

A target's OpenAPI document brings its own `pattern`s, and a target's answers are what they are tried on: Python's `re`
may need more than the age of the universe for some, and holds the interpreter meanwhile, so that no deadline helps.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from typing import Any

from pytest_prodcheck.child_processes import child_environment, end_with_us

MOST_SLOW = 20  # evaluations of patterns that RE2 does not know, in one document
SECONDS = 2.0  # of one of them
LARGEST = 1024 * 1024  # characters that a pattern is tried on
MOST_ERRORS = 1000
_MEMORY = 16 * 1024 * 1024  # bytes of RE2
_UNICODE = re.compile(r"\\u([0-9A-Fa-f]{4})")
_SLOW = "import json,re,sys; p,t=json.load(sys.stdin); print(int(re.search(p,t) is not None))"


class PatternProblem(ValueError):
    """A pattern that cannot be tried within bounds; says which."""


class Patterns:
    """Tries the patterns of one schema on one document."""

    def __init__(self) -> None:
        self._left = MOST_SLOW
        self._known: dict[tuple[str, str], bool] = {}

    def found(self, pattern: str, text: str) -> bool:
        """Whether a pattern is somewhere in a text; raises PatternProblem."""
        if len(text) > LARGEST:
            raise PatternProblem(f"the pattern {pattern[:80]!r} would be tried on {len(text)} characters: too many")
        compiled = _linear(pattern)
        if compiled is not None:
            return compiled.search(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")) is not None
        key = (pattern, text)
        if key not in self._known:
            self._left -= 1
            if self._left < 0:
                raise PatternProblem(f"RE2 does not support the pattern {pattern[:80]!r}, and too many values need it")
            self._known[key] = _in_a_process(pattern, text)
        return self._known[key]


@lru_cache(maxsize=1024)
def _linear(pattern: str) -> Any:
    """The pattern for RE2, whose time grows with the text alone; None where it has what RE2 has not (lookaround)."""
    import re2

    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MEMORY
    try:
        return re2.compile(_UNICODE.sub(r"\\x{\1}", pattern), options)
    except (re2.error, UnicodeError):
        return None


def _in_a_process(pattern: str, text: str) -> bool:
    import signal

    words = [sys.executable, "-I", "-c", _SLOW]
    try:
        done = subprocess.run(
            words, input=json.dumps([pattern, text]).encode(), capture_output=True, timeout=SECONDS, check=False,
            env=child_environment("python"), preexec_fn=end_with_us(signal.SIGKILL),
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise PatternProblem(f"the pattern {pattern[:80]!r} took longer than {SECONDS:g} s") from None
    if done.returncode or done.stdout.strip() not in (b"0", b"1"):
        raise PatternProblem(f"neither Python nor RE2 supports the pattern {pattern[:80]!r}")
    return done.stdout.strip() == b"1"


def worst_mismatch(schema: Any, document: Any, seconds: float = 10.0) -> Any:
    """Of an answer the most telling error (jsonschema's ValidationError), None for none; raises PatternProblem.

    seconds: given up after so many, looked at before each keyword: references can make few lines take for ever.
    """
    from jsonschema import exceptions, validators

    until = time.monotonic() + seconds

    def timed(keyword: Any) -> Any:
        def judge(validator: Any, wanted: Any, instance: Any, inner: Any) -> Any:
            if time.monotonic() > until:
                raise PatternProblem(f"comparing the body with its schema took longer than {seconds:g} s")
            return keyword(validator, wanted, instance, inner)

        return judge

    base = validators.validator_for(schema, default=validators.Draft202012Validator)
    keywords = {**base.VALIDATORS, **_keywords(Patterns())}
    made = validators.extend(base, {name: timed(keyword) for name, keyword in keywords.items()})
    return exceptions.best_match(islice(made(schema).iter_errors(document), MOST_ERRORS))


def _keywords(patterns: Patterns) -> dict[str, Any]:
    from jsonschema.exceptions import ValidationError

    def pattern(validator: Any, wanted: Any, instance: Any, schema: Any) -> Iterator[Any]:
        if validator.is_type(instance, "string") and not patterns.found(str(wanted), instance):
            yield ValidationError(f"{instance!r} does not match {wanted!r}")

    def properties_by_pattern(validator: Any, wanted: Any, instance: Any, schema: Any) -> Iterator[Any]:
        if not validator.is_type(instance, "object"):
            return
        for each, inner in wanted.items():
            for name, value in instance.items():
                if patterns.found(str(each), name):
                    yield from validator.descend(value, inner, path=name, schema_path=each)

    def additional(validator: Any, wanted: Any, instance: Any, schema: Any) -> Iterator[Any]:
        if not validator.is_type(instance, "object"):
            return
        named, by_pattern = schema.get("properties", {}), schema.get("patternProperties", {})
        extra = [
            name for name in instance
            if name not in named and not any(patterns.found(str(each), name) for each in by_pattern)
        ]  # fmt: skip
        if validator.is_type(wanted, "object"):
            for name in extra:
                yield from validator.descend(instance[name], wanted, path=name)
        elif not wanted and extra:
            shown = ", ".join(repr(each) for each in sorted(extra)[:10])
            yield ValidationError(f"additional properties are not allowed ({shown})")

    def unique(validator: Any, wanted: Any, instance: Any, schema: Any) -> Iterator[Any]:
        if not wanted or not validator.is_type(instance, "array"):
            return
        if len({json.dumps(_comparable(each), sort_keys=True) for each in instance}) < len(instance):
            yield ValidationError("the items are not unique")

    def required(validator: Any, wanted: Any, instance: Any, schema: Any) -> Iterator[Any]:
        if not validator.is_type(instance, "object") or not isinstance(wanted, list):
            return
        known = schema.get("properties", {})
        for name in wanted:
            if name not in instance and not _is_write_only(known.get(name)):
                yield ValidationError(f"{name!r} is a required property")

    def write_only(validator: Any, wanted: Any, instance: Any, schema: Any) -> Iterator[Any]:
        if wanted is True:
            yield ValidationError("it is `writeOnly`: no answer may contain it")

    return {
        "pattern": pattern, "patternProperties": properties_by_pattern, "additionalProperties": additional,
        "uniqueItems": unique, "required": required, "writeOnly": write_only,
    }  # fmt: skip


def _is_write_only(schema: Any) -> bool:
    """What requests contain and answers do not: where it is required, requests are meant."""
    return isinstance(schema, dict) and schema.get("writeOnly") is True


def _comparable(value: Any) -> Any:
    """The same for what JSON Schema takes to be equal: 1 and 1.0."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_comparable(each) for each in value]
    return {key: _comparable(each) for key, each in value.items()} if isinstance(value, dict) else value


def refused(schema: Any) -> str:
    """Why a schema is not tried at all, "" for one that can be: what goes by patterns that we do not bound."""
    stack, depth = [(schema, 0)], 0
    words: set[str] = set()
    while stack:
        part, depth = stack.pop()
        if depth > 200:
            return "it is nested more than 200 deep"
        if isinstance(part, dict):
            words.update(part)
            stack += [(each, depth + 1) for each in part.values()]
        elif isinstance(part, list):
            stack += [(each, depth + 1) for each in part]
    if "unevaluatedProperties" in words and "patternProperties" in words:
        return "unevaluatedProperties beside patternProperties is not supported"
    return ""
