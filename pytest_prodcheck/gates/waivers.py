"""Waivers: reviewed, dated exceptions for one check on one target."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from pytest_prodcheck.gates.findings import Findings
from pytest_prodcheck.gates.suggestions import close_matches
from pytest_prodcheck.outcomes import ExitCode, Result

_WARN_BEFORE = 14 * 86400.0
_TARGETS = ("-", "a", "shop", "Shop.product_1")  # names as different as they come


@dataclass(frozen=True)
class Waiver:
    """`check`, `target` and `environment` may be globs; it helps until the end of the day `expires`, UTC."""

    check: str
    target: str
    environment: str
    reason: str
    owner: str
    ticket: str
    expires: datetime.date

    @classmethod
    def from_settings(cls, settings: Mapping[str, object]) -> Waiver:
        """From one table of `[[waivers]]` as plain data; raises ValueError for a missing, unknown or empty key."""
        names = ("check", "target", "environment", "reason", "owner", "ticket")
        wrong = set(settings) ^ {*names, "expires"}
        if wrong:
            raise ValueError(f"waiver: expected {', '.join(names)} and expires; look at {', '.join(sorted(wrong))}")
        texts = {name: settings[name] for name in names}
        expires = settings["expires"]
        if isinstance(expires, str):
            expires = datetime.date.fromisoformat(expires)
        if not isinstance(expires, datetime.date) or isinstance(expires, datetime.datetime):
            raise ValueError(f"waiver: expires: expected a date such as 2027-01-31, not {expires!r}")
        if not all(isinstance(text, str) and text.strip() for text in texts.values()):
            raise ValueError(f"waiver: expected non-empty strings for {', '.join(names)}")
        return cls(expires=expires, **{name: str(text) for name, text in texts.items()})

    @property
    def ends(self) -> float:
        """UTC epoch second from which it no longer helps."""
        midnight = datetime.datetime.combine(self.expires, datetime.time(), datetime.UTC)
        return midnight.timestamp() + 86400.0

    def covers(self, result: Result) -> bool:
        """Whether it is about this check on this target."""
        return fnmatchcase(result.check, self.check) and fnmatchcase(result.target, self.target)

    def covers_all(self, known: Iterable[str]) -> bool:
        """Whether it is no exception: it covers all checks there are, on targets of any name."""
        anywhere = all(fnmatchcase(target, self.target) for target in _TARGETS)
        return anywhere and all(fnmatchcase(check, self.check) for check in known)


class Waivers:
    """The waivers of one environment, and which of them were used."""

    def __init__(self, waivers: Iterable[Waiver], environment: str, now: float) -> None:
        mine = [each for each in waivers if fnmatchcase(environment, each.environment)]
        order = sorted(mine, key=lambda each: (-each.ends, each.ticket, each.check, each.target))
        self.all: Sequence[Waiver] = order
        self.now = now
        self.used: set[Waiver] = set()
        self.expired_hits: set[Waiver] = set()

    def find(self, result: Result) -> Waiver | None:
        """The waiver that helps a failed result, the one that lasts longest; remembers it as used."""
        hits = [each for each in self.all if each.covers(result)]
        valid = [each for each in hits if self.now < each.ends]
        self.expired_hits.update(set(hits) - set(valid) if not valid else ())
        if not valid:
            return None
        self.used.add(valid[0])
        return valid[0]

    def _what_it_empties(self, waiver: Waiver, known: Iterable[str], selected: Collection[str]) -> str:
        """What a waiver leaves nothing of, "" where it is an exception."""
        if waiver.covers_all(known):
            return "every check"
        return "every check of this gate" if len(selected) > 1 and waiver.covers_all(selected) else ""

    def tell(self, findings: Findings, known: Iterable[str], selected: Iterable[str], protected: bool = False) -> None:
        """One for everything, or for all that the gate selects, is refused where protected, else a warning.

        Unknown ids are a usage error; unused ones a note; ones that end soon, or ended and would help, a warning.
        """
        known, selected = sorted(known), set(selected)
        for each in self.all:
            name = f"waiver {each.ticket} ({each.check} on {each.target})"
            if not any(fnmatchcase(check, each.check) for check in known):
                hint = close_matches(each.check, known)
                findings.close(ExitCode.USAGE, f"{name} names a check that does not exist{hint}")
            elif self.now < each.ends and (whole := self._what_it_empties(each, known, selected)):
                text = f"{name} covers {whole} on every target: name the targets that it is for"
                if protected:
                    findings.close(ExitCode.USAGE, f"{text}; the environment is protected")
                else:
                    findings.warn(f"{text}; owner {each.owner}")
            elif each in self.used:
                if each.ends - self.now < _WARN_BEFORE:
                    findings.warn(f"{name} is valid only until {each.expires.isoformat()}; owner {each.owner}")
            elif each in self.expired_hits:
                findings.warn(
                    f"{name} expired on {each.expires.isoformat()} and is no longer valid; owner {each.owner}"
                )
            elif any(fnmatchcase(check, each.check) for check in selected):
                findings.note(f"{name} was not needed; owner {each.owner}")
