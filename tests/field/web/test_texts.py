"""Texts of pages by their charset: what Chromium shows of them, and what an endpoint's `contains` finds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chromium import FINISH, browse
from tests.evidence.http.servers import Answer, Seen, web
from tests.field.web.support import Results, judged

TEXT = "Käse “frisch” 5 €"
TEXTS = {  # of pages with another one
    **dict.fromkeys(("chinese", "chinese-meta"), "朱镕基 囧"),
    **dict.fromkeys(("japanese", "japanese-windows"), "①～㈱ 髙橋"),
    "korean": "똠방각하 펲시",
    "turkish": "“İstanbul” 5 €",
}  # fmt: skip
# page -> content type, what stands before the text, the encoding of both
PAGES = {
    "field": ("text/html; charset=ISO-8859-1", "", "cp1252"),
    "label": ("text/html; charset=latin1", "", "cp1252"),
    "meta": ("text/html", '<meta charset="iso-8859-1">', "cp1252"),
    "http-equiv": ("text/html", '<META http-equiv="Content-Type" content="text/html; charset=windows-1252">', "cp1252"),
    "field-before-meta": ("text/html; charset=utf-8", '<meta charset="iso-8859-1">', "utf-8"),
    "mark-before-field": ("text/html; charset=ISO-8859-1", "", "utf-8-sig"),
    "meta-utf-16": ("text/html", '<meta charset="utf-16">', "utf-8"),
    # chardet#33, AngleSharp#836, mail#504, turbohtml#132: characters beyond the sets that are named
    "chinese": ("text/html; charset=gb2312", "", "gb18030"),
    "chinese-meta": ("text/html", '<meta charset="gbk">', "gb18030"),
    "japanese": ("text/html; charset=Shift_JIS", "", "cp932"),
    "japanese-windows": ("text/html; charset=windows-31j", "", "cp932"),
    "korean": ("text/html; charset=euc-kr", "", "cp949"),
    "turkish": ("text/html; charset=iso-8859-9", "", "cp1254"),
    "meta-late": ("text/html", f"<!-- {'x' * 1100} --><meta charset=utf-8>", "utf-8"),
}


def text(name: str) -> str:
    return TEXTS.get(name, TEXT)


def answer(seen: Seen) -> Answer:
    if seen.path == "/":
        frames = "".join(f'<iframe src="/{name}"></iframe>' for name in PAGES)
        script = f"""<script>onload = () => {{
          const seen = {{}};
          for (const frame of document.querySelectorAll("iframe"))
            seen[frame.contentWindow.location.pathname.slice(1)] = frame.contentDocument.querySelector("p").textContent;
          {FINISH} }}</script>"""
        return 200, {"Content-Type": "text/html"}, f'<!doctype html><pre id="seen"></pre>{frames}{script}'.encode()
    kind, before, encoding = PAGES.get(seen.path[1:], ("text/plain", "", "utf-8"))
    return 200, {"Content-Type": kind}, f"<!doctype html>{before}<p>{text(seen.path[1:])}</p>".encode(encoding)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with web(answer) as server:
        yield server.port


def test_contains_finds_what_is_shown(port: int, tmp_path: Path) -> None:
    lines = ["[environments.t.services.shop]", f'url = "http://127.0.0.1:{port}"',
             "[environments.t.services.shop.endpoints]"]  # fmt: skip
    lines += [
        f'{name} = {{ request = "GET /{name}", status = 200, contains = {json.dumps(text(name), ensure_ascii=False)} }}'
        for name in PAGES
    ]
    found: Results = judged(tmp_path, "\n".join(lines), ["smoke.api.endpoint"])
    assert {target: each["outcome"] for (_, target), each in found.items()} == {
        f"shop.{name}": "passed" for name in PAGES
    }


def test_real_chromium_shows_it(port: int, tmp_path: Path) -> None:
    assert browse(f"http://127.0.0.1:{port}/", tmp_path) == {name: text(name) for name in PAGES}
