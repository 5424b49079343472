"""The forms of a page, with what a browser sends of them (HTML, "Constructing the entry list"): text in, forms out."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

_BUTTONS = ("submit", "image")
_SILENT = ("reset", "button", "file", *_BUTTONS)  # are not sent with a form that another control submits


@dataclass
class Form:
    """One form: its controls as the page fills them in."""

    action: str = ""  # "" for the page's own address
    method: str = "GET"
    entries: dict[str, str] = field(default_factory=dict)  # name -> value, of what is sent
    kinds: dict[str, str] = field(default_factory=dict)  # name -> type, of what can be filled in
    buttons: list[tuple[str, str]] = field(default_factory=list)  # name and value of what submits it

    @property
    def asks(self) -> bool:
        """Whether a person has something to fill in."""
        return any(kind != "hidden" for kind in self.kinds.values())

    def secret_field(self) -> str:
        """Name of the field for a password, "" without."""
        return next((name for name, kind in self.kinds.items() if kind == "password"), "")

    def filled(self, values: dict[str, str], button: str | None = None) -> dict[str, str]:
        """What is sent. button: name of the one that is pressed; the first one as for the Enter key."""
        pressed = next((each for each in self.buttons if button is None or each[0] == button), ("", ""))
        return {**self.entries, **({pressed[0]: pressed[1]} if pressed[0] else {}), **values}


class Page(HTMLParser):
    """The forms of a page, and its `<meta name content>`."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.metas: dict[str, str] = {}
        self.words: list[str] = []  # of all text, scripts too
        self._form: Form | None = None
        self._select = ""
        self._text = ""  # name of the textarea that is open
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Takes what belongs to a form."""
        told = {key: value or "" for key, value in reversed(attrs)}  # the first of two attributes of one name counts
        if tag == "form" and self._form is None:
            method = told.get("method", "").strip().upper()
            self._form = Form(told.get("action", "").strip(), "POST" if method == "POST" else "GET")
            self.forms.append(self._form)
        elif tag == "meta" and told.get("name"):
            self.metas[told["name"]] = told.get("content", "")
        elif self._form is not None and "disabled" not in told:
            self._control(tag, told, self._form)

    def _control(self, tag: str, told: dict[str, str], form: Form) -> None:
        name = told.get("name", "")
        kind = told.get("type", "").strip().lower() or ("submit" if tag == "button" else "text")
        if tag in ("input", "button") and kind in _BUTTONS:
            form.buttons.append((name, told.get("value", "")))
        elif tag == "input" and name and kind not in _SILENT:
            form.kinds[name] = kind
            if kind not in ("checkbox", "radio"):
                form.entries[name] = told.get("value", "")
            elif "checked" in told:
                form.entries[name] = told.get("value", "on")
        elif tag in ("select", "textarea") and name:
            form.kinds[name] = tag
            self._select, self._text = (name, "") if tag == "select" else ("", name)
            form.entries.setdefault(name, "")
        elif tag == "option" and self._select and ("selected" in told or not form.entries.get(self._select)):
            form.entries[self._select] = told.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        """Ends what is open."""
        if tag == "form":
            self._form = None
        elif tag in ("select", "textarea"):
            self._select = self._text = ""

    def handle_data(self, data: str) -> None:
        """Takes text, that of a textarea as its value."""
        self.words += data.split()
        if self._text and self._form is not None:
            self._form.entries[self._text] += data.removeprefix("\n") if not self._form.entries[self._text] else data

    def form_with(self, name: str) -> Form | None:
        """The first form with a field of this name."""
        return next((each for each in self.forms if name in each.kinds), None)

    def fields(self) -> dict[str, str]:
        """All fields of all forms, by name."""
        return {name: value for form in self.forms for name, value in form.entries.items()}
