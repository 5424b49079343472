"""20 TLS servers judged by prodcheck and by testssl.sh, and their certificates alone."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path

from bench.measure import PYTEST, PYTHON, measure, row
from pytest_prodcheck.demo.mail.tls import tls_server
from tests.evidence.tls.servers import Lab
from tests.project import Project

SERVERS = 20
BY_TESTSSL = 2  # servers that testssl.sh really judges here; the time for 20 is that for one, times 20
# what prodcheck covers: protocols, cipher classes, forward secrecy, certificate, and the same six attacks
SAME = ("-p", "-s", "-S", "-f", "-H", "-I", "-BB", "-R", "-C", "-Z")
COVERED = """\
      prodcheck: versions from SSL 2 to TLS 1.3, each cipher suite of each (some 530 pairs), size of ephemeral keys,
      chain, name, end, key, signature and staple of the certificates, Heartbleed, CCS, ROBOT, CRIME, renegotiation,
      downgrade, Mozilla's profile.
      testssl.sh with the same scope: protocols, cipher categories, certificates, forward secrecy, the same attacks;
      it shows besides: preferences, TLS extensions, tickets, ALPN; it judges against no profile.
      testssl.sh in its default run: also client simulations, headers, DROWN, LOGJAM, BEAST, LUCKY13 and more."""
FACTS = """\
import sys
from pathlib import Path
from pytest_prodcheck.environments.loading import load
from pytest_prodcheck.environments.redaction import Redactor
from pytest_prodcheck.environments.secrets import SecretResolver
from pytest_prodcheck.evidence.context import Context
from pytest_prodcheck.evidence.gathering.gatherer import Gatherer
from pytest_prodcheck.evidence.gathering.store import EvidenceStore
from pytest_prodcheck.evidence.table import find
made = load(Path("prodcheck.toml"))
environment = made.environment("dev")
context = Context(environment, made.root, secrets=SecretResolver(made.root), redactor=Redactor())
store, collector = EvidenceStore(), find("tls-certificate")
gatherer = Gatherer([(collector, name) for name in environment.tls], context, store)
gatherer.start()
gatherer.wait(30)
records = [store.get(f"tls-certificate:{name}", 1).record for name in environment.tls]
sys.exit(0 if len(records) == 20 and all(each.served[0].problem is None for each in records) else 1)
"""


def main(runs: int = 3) -> bool:
    """At least 50 times faster than testssl.sh; the certificates alone in under a second."""
    program = shutil.which("testssl") or shutil.which("testssl.sh")
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as opened:
        lab = Lab(Path(name))
        tls = lab.tls()
        addresses = [opened.enter_context(lab.server(tls_server(tls))) for _ in range(SERVERS)]
        lines = ['version = 1\nproject = "bench"\n[environments.dev]\nrevision = "r1"\n[environments.dev.tls]\n']
        lines += [
            f's{number} = {{ address = "{each}", ca = "ca.pem", profile = "intermediate" }}\n'
            for number, each in enumerate(addresses)
        ]
        Project.make(Path(name), "".join(lines), "")
        judged = [*PYTEST, "-m", "security", "--env", "dev"]
        whole = [measure(judged, Path(name)) for _ in range(runs)]
        facts = [measure([PYTHON, "-c", FACTS], Path(name)) for _ in range(runs)]
        ours, alone = min(each.wall for each in whole), min(each.cpu for each in facts)
        kept = row("certificate facts of 20 TLS servers alone, whole process, seconds of processor", alone, 1.0,
                   f"; by the clock {min(each.wall for each in facts):.2f} s")  # fmt: skip
        if program is None:
            print("      testssl.sh is not installed: apt-get install testssl.sh")
            return kept
        words = f"{program} --quiet --color 0 --warnings off --nodns min --ip 127.0.0.1"
        same = [_testssl(f"{words} {' '.join(SAME)} {each}", Path(name)) for each in addresses[:BY_TESTSSL]]
        default = _testssl(f"{words} {addresses[0]}", Path(name))
    theirs, cpu = sum(wall for wall, _ in same) / len(same), sum(cpu for _, cpu in same) / len(same)
    mine = min(each.cpu for each in whole)
    print(f"      20 servers: prodcheck {ours:.1f} s, processor {mine:.1f} s")
    print(f"      1 server: testssl.sh {theirs:.0f} s, processor {cpu:.0f} s; its default run {default[0]:.0f} s, "
          f"processor {default[1]:.0f} s\n{COVERED}")  # fmt: skip
    by_default = SERVERS * default[0] / ours
    aside = f"; by processor {SERVERS * cpu / mine:.0f} times, against its default run {by_default:.0f} times"
    what = f"20 TLS servers / what testssl.sh takes for them, x 50 ({SERVERS * theirs / ours:.0f} times faster)"
    return row(what, 50 * ours / (SERVERS * theirs), 1.0, aside) and kept


def _testssl(words: str, folder: Path) -> tuple[float, float]:
    """Seconds by the clock and of processor; its exit code counts findings."""
    taken = measure(["sh", "-c", f"{words} >/dev/null 2>&1 || true"], folder)
    return taken.wall, taken.cpu


if __name__ == "__main__":
    raise SystemExit(0 if main() else 1)
