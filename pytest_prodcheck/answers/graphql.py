"""Answers of GraphQL that are none: their errors come by 200, too."""

from __future__ import annotations

import json
import re
from typing import Any

# executable documents (GraphQL, 2.2); `{"query": "shoes"}` is some other search
_DOCUMENT = re.compile(r"(?:\s|,|\ufeff|#[^\n]*\n)*(?:\{|(?:query|mutation|subscription|fragment)\b[^{]*\{)")


def asks_graphql(document: Any) -> bool:
    """Whether a JSON document that is sent is a request of GraphQL, or several of them."""
    if isinstance(document, (list, tuple)):
        return bool(document) and all(map(asks_graphql, document))
    query = document.get("query") if isinstance(document, dict) else None
    return isinstance(query, str) and _DOCUMENT.match(query) is not None


def nothing_but_errors(text: str) -> str:
    """What is wrong with an answer that has errors and no data (GraphQL, 7.1), "" for any other answer.

    A field that may be null is null where it failed (6.4.4), so that data of nulls alone are none.
    """
    if '"errors"' not in text:
        return ""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return ""
    answers = document if isinstance(document, list) else [document]
    return next((why for each in answers if (why := _of_one(each))), "")


def _of_one(answer: Any) -> str:
    errors = answer.get("errors") if isinstance(answer, dict) else None
    if not isinstance(errors, list) or not errors:
        return ""
    data = answer.get("data")
    if data is not None and not (isinstance(data, dict) and all(value is None for value in data.values())):
        return ""
    first = errors[0].get("message") if isinstance(errors[0], dict) else None
    return f"GraphQL answered errors and no data: {str(first)[:200]}"
