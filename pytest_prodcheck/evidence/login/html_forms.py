"""The forms of a page, with what a browser sends of them (HTML, "Constructing the entry list"): text in, forms out.

No scripts run here, so what stands in `<noscript>` counts. Of several controls of one name the last counts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.entities import html5
from html.parser import HTMLParser
from typing import NamedTuple
from urllib.parse import urljoin

_SILENT = ("reset", "button", "file")  # inputs that are not sent
_ONE_LINE = ("text", "search", "tel", "url", "email", "password")
_TYPES = (*_SILENT, *_ONE_LINE, "submit", "image", "hidden", "checkbox", "radio", "number", "range", "color", "date",
          "datetime-local", "month", "week", "time")  # fmt: skip
_ENTITY = re.compile(r"&([A-Za-z0-9]+)([;=]?)")
_NEWLINE = re.compile(r"\r\n|\r|\n")


class Button(NamedTuple):
    """What submits a form; action, method: in place of the form's, "" for those."""

    name: str
    value: str
    action: str = ""
    method: str = ""
    image: bool = False

    @property
    def entries(self) -> dict[str, str]:
        """What pressing it adds."""
        if self.image:
            before = f"{self.name}." if self.name else ""
            return {f"{before}x": "0", f"{before}y": "0"}
        return {self.name: self.value} if self.name else {}


@dataclass
class Form:
    """One form: its controls as the page fills them in."""

    action: str = ""  # "" for the page's own address
    method: str = "GET"
    entries: dict[str, str] = field(default_factory=dict)  # name -> value, of what is sent
    kinds: dict[str, str] = field(default_factory=dict)  # name -> type, of what can be filled in
    buttons: list[Button] = field(default_factory=list)
    base: str = ""  # what relative addresses begin at, as the page's `<base>` says

    @property
    def asks(self) -> bool:
        """Whether a person has something to fill in."""
        return any(kind != "hidden" for kind in self.kinds.values())

    def secret_field(self) -> str:
        """Name of the field for a password, "" without."""
        return next((name for name, kind in self.kinds.items() if kind == "password"), "")

    def pressed(self, button: str | None = None) -> Button:
        """The button of a name; the first one as for the Enter key. One without a name where there is none."""
        return next((each for each in self.buttons if button is None or each.name == button), Button("", ""))

    def filled(self, values: dict[str, str], button: str | None = None) -> dict[str, str]:
        """What is sent. button: name of the one that is pressed; the first one as for the Enter key."""
        sent = {**self.entries, **self.pressed(button).entries, **values}
        return {name: _NEWLINE.sub("\r\n", value) for name, value in sent.items()}

    def address(self, page: str, button: str | None = None) -> str:
        """Where it is sent from a page's address."""
        action = self.pressed(button).action or self.action
        return urljoin(urljoin(page, self.base), action) if action else page

    def sent_by(self, button: str | None = None) -> str:
        """The method."""
        return self.pressed(button).method or self.method


@dataclass
class _Fieldset:
    """One that is open; what its first legend holds can be filled in even where it is disabled."""

    disabled: bool
    had_legend: bool = False
    in_legend: bool = False


@dataclass
class _Option:
    value: str | None
    selected: bool
    disabled: bool
    text: str = ""


@dataclass
class _Control:
    """A select or a textarea that is open."""

    tag: str
    name: str
    form: Form | str | None  # a form, or the id of one
    disabled: bool
    listed: bool = False  # a select of one line
    many: bool = False
    options: list[_Option] = field(default_factory=list)
    text: str = ""


class Page(HTMLParser):
    """The forms of a page, and its `<meta name content>`."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.metas: dict[str, str] = {}
        self.words: list[str] = []  # of all text, scripts too
        self._form: Form | None = None
        self._ids: dict[str, Form] = {}
        self._late: list[tuple[str, str, dict[str, str]]] = []  # controls of a form that comes later, by its id
        self._base: str | None = None
        self._hidden = 0  # templates that are open
        self._fieldsets: list[_Fieldset] = []
        self._group = False  # a disabled group of options
        self._open: _Control | None = None
        self.feed(_ENTITY.sub(_as_in_attributes, html))
        self.close()
        self._end_control()
        for owner, tag, told in self._late:
            if form := self._ids.get(owner):
                self._control(tag, told, form)
        for form in self.forms:
            form.base = self._base or ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Takes what belongs to a form."""
        told = {key: value or "" for key, value in reversed(attrs)}  # the first of two attributes of one name counts
        if self._open is not None and self._open.tag == "textarea":
            self._open.text += self.get_starttag_text() or ""
        elif tag == "template":
            self._hidden += 1
        elif self._hidden:
            return
        elif tag == "form":
            self._begin_form(told)
        elif tag == "base" and "href" in told and self._base is None:
            self._base = told["href"].strip()
        elif tag == "meta" and told.get("name"):
            self.metas[told["name"]] = told.get("content", "")
        elif tag == "fieldset":
            self._fieldsets.append(_Fieldset("disabled" in told))
        elif tag == "legend" and self._fieldsets and not self._fieldsets[-1].had_legend:
            self._fieldsets[-1].had_legend = self._fieldsets[-1].in_legend = True
        elif self._open is not None and tag in ("option", "optgroup"):
            self._option(tag, told)
        elif tag in ("input", "button", "select", "textarea") and not self._disabled(told):
            self._end_control()
            owner = told.get("form")
            form = self._form if owner is None else self._ids.get(owner)
            if form is not None:
                self._control(tag, told, form)
            elif owner:
                self._late.append((owner, tag, told))
        elif tag in ("select", "textarea"):
            self._end_control()
            self._open = _Control(tag, "", None, disabled=True)

    def _begin_form(self, told: dict[str, str]) -> None:
        if self._form is not None:
            return  # a form in a form is none
        self._form = Form(told.get("action", "").strip(), _method(told.get("method", "")))
        self.forms.append(self._form)
        if told.get("id"):
            self._ids.setdefault(told["id"], self._form)

    def _disabled(self, told: dict[str, str]) -> bool:
        return "disabled" in told or any(each.disabled and not each.in_legend for each in self._fieldsets)

    def _control(self, tag: str, told: dict[str, str], form: Form) -> None:
        name, kind = told.get("name", ""), told.get("type", "").strip().lower()
        if tag in ("select", "textarea"):
            many = "multiple" in told
            size = told.get("size", "").strip()
            listed = not many and (not size.isdecimal() or int(size[:4]) <= 1)
            self._open = _Control(tag, name, form, disabled=False, listed=listed, many=many)
            if name:
                form.kinds[name] = tag
        elif (tag == "button" and kind not in ("reset", "button")) or (tag == "input" and kind in ("submit", "image")):
            method = _method(told["formmethod"]) if "formmethod" in told else ""
            action = told.get("formaction", "").strip()
            form.buttons.append(Button(name, told.get("value", ""), action, method, tag == "input" and kind == "image"))
        elif tag == "input" and name and kind not in _SILENT:
            self._input(name, kind if kind in _TYPES else "text", told, form)

    def _input(self, name: str, kind: str, told: dict[str, str], form: Form) -> None:
        form.kinds[name] = kind
        value = told.get("value", "")
        if kind in ("checkbox", "radio"):
            if "checked" in told:
                form.entries[name] = told.get("value", "on")
            return
        if kind in _ONE_LINE:
            value = value.replace("\r", "").replace("\n", "")
        if kind in ("url", "email"):
            value = value.strip()
        form.entries[name] = "UTF-8" if kind == "hidden" and name.lower() == "_charset_" else value

    def _option(self, tag: str, told: dict[str, str]) -> None:
        assert self._open is not None
        if tag == "optgroup":
            self._group = "disabled" in told
        else:
            disabled = self._group or "disabled" in told
            self._open.options.append(_Option(told.get("value"), "selected" in told, disabled))

    def _end_control(self) -> None:
        control, self._open, self._group = self._open, None, False
        if control is None or not isinstance(control.form, Form) or not control.name:
            return
        if control.tag == "textarea":
            control.form.entries[control.name] = control.text.removeprefix("\n")
            return
        chosen = [each for each in control.options if each.selected]
        if not control.many:
            chosen = chosen[-1:]
        if not chosen and control.listed:
            chosen = [each for each in control.options if not each.disabled][:1]
        for each in chosen:
            if not each.disabled:
                text = " ".join(each.text.split())
                control.form.entries[control.name] = each.value if each.value is not None else text

    def handle_endtag(self, tag: str) -> None:
        """Ends what is open."""
        if self._open is not None and self._open.tag == "textarea" and tag != "textarea":
            self._open.text += f"</{tag}>"
        elif tag == "template":
            self._hidden = max(0, self._hidden - 1)
        elif self._hidden:
            return
        elif tag == "form":
            self._end_control()
            self._form = None
        elif tag in ("select", "textarea"):
            self._end_control()
        elif tag == "optgroup":
            self._group = False
        elif tag == "fieldset" and self._fieldsets:
            self._fieldsets.pop()
        elif tag == "legend" and self._fieldsets:
            self._fieldsets[-1].in_legend = False

    def handle_data(self, data: str) -> None:
        """Takes text, that of a textarea or an option as its value."""
        self.words += data.split()
        if self._open is None:
            return
        if self._open.tag == "textarea":
            self._open.text += data
        elif self._open.options:
            self._open.options[-1].text += data

    def form_with(self, name: str) -> Form | None:
        """The first form with a field of this name."""
        return next((each for each in self.forms if name in each.kinds), None)

    def fields(self) -> dict[str, str]:
        """All fields of all forms, by name."""
        return {name: value for form in self.forms for name, value in form.entries.items()}


def _method(text: str) -> str:
    return "POST" if text.upper() == "POST" else "GET"


def _as_in_attributes(found: re.Match[str]) -> str:
    """`&region=` of an address stays as it is: Python before 3.13.6 reads the entity `&reg` in it."""
    name, after = found.groups()
    if after == ";" or (not after and name in html5):
        return found[0]
    return f"&amp;{name}{after}"
