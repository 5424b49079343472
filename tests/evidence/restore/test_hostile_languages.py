"""Dumps whose functions are in Perl and Python: what they try runs nothing, reads nothing of ours, speaks to nobody."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_prodcheck.evidence.tools.confinement import why_unavailable
from tests.evidence.restore.traps import TABLE, Trap, trap

__all__ = ["trap"]
pytestmark = [
    pytest.mark.skipif(bool(why_unavailable()), reason=f"restores cannot be shut in here: {why_unavailable()}"),
    pytest.mark.parametrize("trap", [""], indirect=True, ids=["self"]),
]
_CONTROL = "postgresql/*/extension/{}.control"
PERL = """
  my @got;
  for my $command ('id > LOOT/owned', '/bin/sh -c "id > LOOT/owned"', '/usr/bin/id', '/bin/cp PLACE/secret LOOT/new') {
    push @got, $command if system($command) == 0;
    my $said = `$command`; push @got, $command if $said; }
  for my $loader (glob('/lib64/ld-linux* /lib/*/ld-linux*')) {
    push @got, $loader if system($loader, '/usr/bin/id') == 0;
    push @got, $loader if system($loader, '/bin/sh', '-c', 'id > LOOT/owned') == 0; }
  push @got, 'wrote' if open(my $new, '>', 'LOOT/owned');
  for my $file ('PLACE/secret', '/etc/shadow', '/proc/self/environ', '/proc/1/environ', glob('/root/.* /home/*/.*')) {
    push @got, $file if open(my $old, '<', $file) && -f $old && -s $old; }
  require Socket; socket(my $s, Socket::PF_INET(), Socket::SOCK_STREAM(), 0);
  push @got, 'spoke' if connect($s, Socket::pack_sockaddr_in(PORT, Socket::inet_aton('127.0.0.1')));
  push @got, grep { $ENV{$_} =~ /canary/ } keys %ENV;
  elog(ERROR, "got @got") if @got;
  return 1;
"""
PYTHON = """
import glob, os, socket, subprocess
got = []
for words in (['/bin/sh', '-c', 'id > LOOT/owned'], ['/usr/bin/id'], ['/bin/cp', 'PLACE/secret', 'LOOT/owned'],
              *([each, '/bin/sh', '-c', 'id > LOOT/owned'] for each in glob.glob('/lib64/ld-linux*'))):
    try:
        got += words if subprocess.run(words).returncode == 0 else []
    except OSError:
        pass
got += ['system'] if os.system('id > LOOT/owned') == 0 else []
for path, mode in (('LOOT/owned', 'w'), ('PLACE/secret', 'r'), ('/etc/shadow', 'r'), ('/proc/self/environ', 'r'),
                   *((each, 'r') for each in glob.glob('/root/.*') + glob.glob('/home/*/.*'))):
    try:
        got += [path] if open(path, mode) else []
    except OSError:
        pass
for family, where in ((socket.AF_INET, ('127.0.0.1', PORT)), (socket.AF_INET, ('127.0.0.1', 22))):
    try:
        socket.create_connection(where, 1)
        got.append('spoke')
    except OSError:
        pass
got += [name for name, value in os.environ.items() if 'canary' in value]
if got:
    plpy.error('got ' + ' '.join(got))
return True
"""
BODIES = {"plperlu": PERL, "plpython3u": PYTHON}


def _installed(language: str) -> None:
    if not list(Path("/usr/share").glob(_CONTROL.format(language))):
        package = f"postgresql-{language.removesuffix('u')}-15"
        pytest.skip(f"no {language}; install: apt-get install {package}")


def _dump(language: str, body: str, trap: Trap) -> str:
    for word, value in (("LOOT", trap.loot), ("PLACE", trap.place), ("PORT", trap.port)):
        body = body.replace(word, str(value))
    return f"""
SET check_function_bodies = false;
CREATE EXTENSION IF NOT EXISTS {language} WITH SCHEMA pg_catalog;
CREATE FUNCTION public.f() RETURNS boolean LANGUAGE {language} AS $body${body}$body$;
CREATE TABLE public.traps (i int CHECK (public.f()));
COPY public.traps (i) FROM stdin;
1
\\.
{TABLE}"""


@pytest.mark.parametrize("language", BODIES)
def test_an_untrusted_language(trap: Trap, language: str) -> None:
    """Only a superuser may use it; one that was asked for is shut in as everything is."""
    _installed(language)
    text = _dump(language, BODIES[language], trap)
    found = trap.dump(text)
    assert found.problem.startswith("configuration: the dump needs a superuser"), found
    (trap.place / "dumps" / "shop.sql").unlink()
    (trap.place / "dumps").rmdir()
    found = trap.dump(text, as_superuser=True)
    assert found.good, found
    assert found.tables == 2


@pytest.mark.parametrize(("body", "good"), [("return 1;", True), ("system('id > LOOT/owned'); return 1;", False),
                                            ("open(my $f, '<', 'PLACE/secret'); return 1;", False)])  # fmt: skip
def test_a_trusted_language(trap: Trap, body: str, good: bool) -> None:
    """Perl itself refuses what reaches out of the database; what does not is restored."""
    _installed("plperl")
    found = trap.dump(_dump("plperl", body, trap))
    assert found.good == good, found
    assert good or "was not loaded whole" in str(found.wrong)
