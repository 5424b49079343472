"""The one place that uses what geventhttpclient keeps private; `tests/load/test_answer.py` fails when it changes."""

from __future__ import annotations

from geventhttpclient.response import HTTPResponse


class Answer(HTTPResponse):
    """An HTTP answer that is parsed piece by piece."""

    @property
    def body(self) -> bytearray:
        """What came of the body so far, not taken away: there is no public name for that."""
        return self._body_buffer
