"""What of the running database a dump of it does not hold, and a server that it is loaded into needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_prodcheck.evidence.postgres.session import Session

# columns that only newer servers have are read in a way that older ones answer with nothing
_FACTS = """\
select json_build_object(
  'encoding', pg_encoding_to_char(d.encoding), 'collate', d.datcollate, 'ctype', d.datctype,
  'provider', coalesce(to_jsonb(d)->>'datlocprovider', 'c'),
  'locale', coalesce(to_jsonb(d)->>'datlocale', to_jsonb(d)->>'daticulocale'),
  'rules', to_jsonb(d)->>'daticurules',
  'roles', (select coalesce(json_agg(rolname), '[]') from pg_roles where rolname !~ '^pg_'),
  'tablespaces', (select coalesce(json_agg(spcname), '[]') from pg_tablespace where spcname !~ '^pg_'),
  'wrappers', (select coalesce(json_agg(json_build_array(e.extname, w.fdwname) order by 1), '[]')
    from pg_foreign_data_wrapper w join pg_depend d on d.classid = 'pg_foreign_data_wrapper'::regclass
    and d.objid = w.oid and d.deptype = 'e' join pg_extension e on e.oid = d.refobjid),
  'drawn', (select coalesce(json_agg(format('%I.%I', n.nspname, c.relname)), '[]')
    from pg_sequence s join pg_class c on c.oid = s.seqrelid join pg_namespace n on n.oid = c.relnamespace
    where case when has_sequence_privilege(s.seqrelid, 'select')
      then pg_sequence_last_value(s.seqrelid) is not null end),
  'large_objects', (select count(*) from pg_largeobject_metadata))
from pg_database d where d.datname = current_database()"""
_PROVIDERS = {"c": "libc", "i": "icu", "b": "builtin"}


@dataclass(frozen=True)
class SourceFacts:
    """Of one database. wrappers: extensions with their foreign-data wrappers. large_objects: how many it has now.

    drawn: sequences that gave a number, of those that may be read.
    """

    encoding: str = "UTF8"
    collate: str = "C"
    ctype: str = "C"
    provider: str = "c"
    locale: str | None = None
    rules: str | None = None
    roles: tuple[str, ...] = ()
    tablespaces: tuple[str, ...] = ()
    wrappers: tuple[tuple[str, str], ...] = ()
    large_objects: int = 0
    drawn: tuple[str, ...] = ()

    def options(self, major: int) -> str:
        """What CREATE DATABASE is told, so that texts sort and match as they do there."""
        words = [f"encoding {_literal(self.encoding)}"]
        words += [f"lc_collate {_literal(self.collate)}", f"lc_ctype {_literal(self.ctype)}"]
        if major >= 15 and self.provider in _PROVIDERS:
            words.append(f"locale_provider {_PROVIDERS[self.provider]}")
            if self.locale is not None and self.provider != "c":
                words.append(f"{'builtin' if self.provider == 'b' else 'icu'}_locale {_literal(self.locale)}")
            if self.rules is not None and major >= 16:
                words.append(f"icu_rules {_literal(self.rules)}")
        return " ".join(words)


def facts_of(session: Session) -> SourceFacts:
    """Those of a session's database; raises EvidenceProblem."""
    told = session.facts(_FACTS, what="locale, roles and tablespaces")
    kept = {name: tuple(map(str, told[name])) for name in ("roles", "tablespaces", "drawn")}
    wrappers = tuple((str(extension), str(wrapper)) for extension, wrapper in told["wrappers"])
    return SourceFacts(**{**told, **kept, "wrappers": wrappers})


def _literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
