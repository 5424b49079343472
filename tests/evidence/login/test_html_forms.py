"""What a form sends, and where: read by us and by a real Chromium, over many pages.

Pages are parsed in Chromium without scripts, as we do: what stands in `<noscript>` counts. A page of that kind forgets
whose control it is where a form is nested wrongly (`<div><form></div>`), so such pages are not compared.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pytest_prodcheck.evidence.login.html_forms import Page
from tests.chromium import FINISH, browse

ABOUT = '<input name=user value=a><input type=password name=pw value="">'
# pages; F: the usual fields
PAGES = [
    "<form>F</form>",
    "<form method=post action=/login>F</form>",
    "<form method=POST action='login?a=1&amp;b=2'>F</form>",
    "<form action='?next=/&region=eu&copy=2&notify=1&lt=3'>F<input name=x value='a&region=1&amp;b&copy;'></form>",
    "<form action='  /trim  ' method=' post '>F</form>", "<form method=dialog>F</form>", "<form method=put>F</form>",
    "<base href='/other/'><form action=login>F</form>",
    "<base href='https://id.shop.example/x/'><form action=y>F</form>",
    "<base href='/other/'><form>F</form>",
    "<base target=_top><base href='/1/'><base href='/2/'><form action=a>F</form>",
    "<form action=a>F</form><base href='/late/'>", "<form action='//evil.example/x'>F</form>",
    # hidden proofs, entities, charsets
    "<form>F<input type=hidden name=csrf value='a&quot;b&amp;&lt;&#39;&#x41;&eacute;&nbsp;é€😀'></form>",
    "<form>F<INPUT TYPE=HIDDEN NAME=csrf VALUE=abc></form>", "<form>F<input type=hidden value=x></form>",
    "<form>F<input type=hidden name=_charset_ value=x><input name=_charset_ value=y></form>",
    "<form>F<input type=hidden name=_charset_></form>", "<form>F<input name=a name=b value=1 value=2></form>",
    "<form>F<input type=hidden name=n value='a\nb'><input name=o value='a\nb'></form>",
    "<form>F<input type=email name=e value=' a@b '><input type=url name=u value=' x '></form>",
    # what is not sent
    "<form>F<input name=a disabled value=1><input name=b disabled='' value=1></form>",
    "<form>F<input name=a readonly value=1><input type=reset name=r value=1><input type=button name=b value=1></form>",
    "<form>F<fieldset disabled><legend><input name=in value=1></legend><input name=out value=1></fieldset></form>",
    "<form>F<fieldset disabled><legend>x</legend><legend><input name=second value=1></legend></fieldset></form>",
    "<form>F<fieldset disabled><fieldset><legend><input name=deep value=1></legend></fieldset></fieldset></form>",
    "<form>F<fieldset disabled></fieldset><input name=after value=1></form>",
    "<form>F<template><input name=t value=1></template></form>", "<template><form>F</form></template><form>F</form>",
    "<form>F<datalist><input name=d value=1><option value=2></datalist></form>",
    "<form>F<!-- <input name=c value=1> --></form>", "<!-- <form action=old>F</form> --><form>F</form>",
    "<form>F<script>var a = '<input name=s value=1>'</script></form>",
    "<form>F<style><input name=s value=1></style></form>", "<form>F<noscript><input name=ns value=1></noscript></form>",
    "<form>F<output name=o>1</output><progress name=p></progress><object name=ob></object></form>",
    # checked and chosen
    "<form>F<input type=checkbox name=c><input type=checkbox name=d checked></form>",
    "<form>F<input type=checkbox name=e checked value=1></form>",
    "<form>F<input type=radio name=r value=1><input type=radio name=r value=2 checked></form>",
    "<form>F<input type=radio name=r value=1 checked><input type=radio name=r value=2 checked></form>",
    "<form>F<input type=hidden name=remember value=0><input type=checkbox name=remember value=1></form>",
    "<form>F<input type=hidden name=remember value=0><input type=checkbox name=remember value=1 checked></form>",
    "<form>F<select name=s><option>one<option value=2>two</select></form>", "<form>F<select name=s></select></form>",
    "<form>F<select name=s><option value=1>one<option value=2 selected>two</select></form>",
    "<form>F<select name=s><option value=1 selected>one<option value=2 selected>two</select></form>",
    "<form>F<select name=s><option value=1 disabled>one<option value=2>two</select></form>",
    "<form>F<select name=s><option value=1 disabled selected>choose<option value=2>two</select></form>",
    "<form>F<select name=s><option value='' selected>choose<option value=2>two</select></form>",
    "<form>F<select name=s><optgroup disabled><option value=1>one</optgroup><option value=2>two</select></form>",
    "<form>F<select name=s multiple><option value=1>one<option value=2 selected>two</select></form>",
    "<form>F<select name=s multiple><option value=1>one</select></form>",
    "<form>F<select name=s size=3><option value=1>one</select></form>",
    "<form>F<select name=s disabled><option value=1>one</select><input name=after value=1></form>",
    "<form>F<select name=s><option>  a \n b &amp; c </select></form>",
    "<form>F<select><option value=1></select></form>",
    "<form>F<textarea name=t>\nline &amp; one\n<b>two</b></textarea></form>",
    "<form>F<textarea name=t></textarea></form>",
    "<form>F<textarea name=t disabled>x</textarea><textarea name=u><input name=i value=1></textarea></form>",
    # whose control it is
    "<form id=a>F</form><input form=a name=x value=1>", "<input form=late name=x value=1><form id=late>F</form>",
    "<form id=a>F</form><form id=b action=b>F<input form=a name=x value=1></form>",
    "<form>F<input form=none name=x value=1></form>", "<form>F<input form='' name=x value=1></form>",
    "<form action=outer>F<form action=inner><input name=x value=1></form><input name=y value=1>",
    "<form action=1><input name=q></form><form action=2 method=post>F</form>", "<form id=a></form><form id=a>F</form>",
    "<form action=1>F</form><input name=lost value=1>",
    # buttons
    "<form>F<input type=submit name=go value=in></form>", "<form>F<button name=go value=in>Log in</button></form>",
    "<form>F<button>Log in</button></form>", "<form>F<button name=go>Log in</button></form>",
    "<form>F<button type=button name=show value=1></button><button name=go value=2></button></form>",
    "<form>F<button type=reset name=show value=1></button><button type=bogus name=go value=2></button></form>",
    "<form>F<input type=submit name=a value=1 disabled><input type=submit name=b value=2></form>",
    "<form>F<input type=submit name=a value=1><input type=submit name=b value=2></form>",
    "<form>F<input type=image name=go src=x></form>", "<form>F<input type=image src=x></form>",
    "<form action=a>F<button formaction=b formmethod=post name=go value=1></button></form>",
    "<form action=a method=post>F<button formmethod=get name=go value=1></button></form>",
    "<form action=a>F<button type=button formaction=b></button></form>",
    "<form id=a>F</form><button form=a name=go value=1>",
    "<base href='/b/'><form action=a>F<button formaction=c></button></form>",
    "<form>F<input type=bogus name=x value=1><input type='' name=y value=1><input name=z></form>",
]  # fmt: skip
SCRIPT = """
const seen = {here: location.href, pages: PAGES.map(html => {
  const page = new DOMParser().parseFromString(html, 'text/html');
  return [...page.forms].map(form => {
    const buttons = [...page.querySelectorAll('input, button')].filter(each =>
      each.form === form && ['submit', 'image'].includes(each.type) && !each.matches(':disabled'));
    const button = buttons[0] || null;
    const sent = {};
    for (const [name, value] of new FormData(form, button)) sent[name] = value.replace(/\\r\\n|\\r|\\n/g, '\\r\\n');
    const own = name => button && button.hasAttribute('form' + name);
    const method = own('method') ? button.formMethod : form.method;
    return [own('action') ? button.formAction : form.action, method === 'post' ? 'POST' : 'GET', sent];
  });
})};
"""


def test_forms_are_sent_as_chromium_sends_them(tmp_path: Path) -> None:
    pages = [page.replace("F", ABOUT, 9) for page in PAGES]
    script = SCRIPT.replace("PAGES", json.dumps(pages).replace("</", "<\\/").replace("<!--", "<\\!--"))
    file = tmp_path / "page.html"
    file.write_text(f'<meta charset=utf-8><pre id="seen"></pre><script>{script}{FINISH}</script>', encoding="utf-8")
    seen = browse(file.as_uri(), tmp_path / "profile")
    wrong = []
    for html, theirs in zip(pages, seen["pages"], strict=True):
        ours: list[Any] = [
            [form.address(seen["here"]), form.sent_by(), form.filled({})] for form in Page(html).forms
        ]
        if ours != theirs:
            wrong.append(f"{html}\n  ours     {ours}\n  Chromium {theirs}")
    assert not wrong, "\n".join(wrong)
