"""Names, ends and stapled answers that a real OpenSSL server sends."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

from pytest_prodcheck.evidence.tls.x509 import end_at_a_browsers_root, is_logged, record
from tests.field.web.certificates import Issued, answered
from tests.field.web.support import Results, free_port, judged, program, running


def served(folder: Path, name: str, check: str, leaf: Issued, root: Issued, *more: str) -> dict[str, str]:
    """The outcome and the reason of one check of a server with this certificate."""
    port = free_port()
    file = str(leaf.write(folder / "leaf.pem", key=True))
    words = [program("openssl"), "s_server", "-accept", f"127.0.0.1:{port}", "-cert", file, "-key", file, "-quiet",
             "-www", *more]  # fmt: skip
    with running(words, port, folder):
        found: Results = judged(
            folder,
            f"""[environments.t.tls.edge]
address = "{name}:{port}"
connect_to = "127.0.0.1:{port}"
ca = "{root.write(folder / "ca.pem")}"
""",
            [check],
        )
    ((_, result),) = found.items()
    return {"outcome": result["outcome"], "reason": result["reason"]}


def test_any_name_counts(tmp_path: Path) -> None:
    """RFC 9525, 6.1: any presented identifier, the 150th as well."""
    root = Issued("Root", None, -9, 900, ca=True)
    leaf = Issued("shared", root, -9, 80, names=[f"shop{number}.test" for number in range(1, 151)])
    assert served(tmp_path, "shop150.test", "security.tls.hostname", leaf, root)["outcome"] == "passed"
    assert served(tmp_path, "shop151.test", "security.tls.hostname", leaf, root)["outcome"] == "failed"


@pytest.mark.parametrize(("left", "outcome"), [(2, "failed"), (400, "passed")])
def test_the_first_end_on_the_path_counts(left: float, outcome: str, tmp_path: Path) -> None:
    """`openssl verify -attime` in three days: error 10 at depth 1."""
    root = Issued("Root", None, -1800, 1850, ca=True)
    middle = Issued("Issuing CA", root, -1000, left, ca=True)
    leaf = Issued("shop.test", middle, -30, 60, names=["shop.test"])
    chain = str(middle.write(tmp_path / "middle.pem"))
    told = served(tmp_path, "shop.test", "security.tls.expiry", leaf, root, "-cert_chain", chain)
    assert told["outcome"] == outcome, told
    assert outcome == "passed" or "Issuing CA" in told["reason"]


@pytest.mark.parametrize(("end", "outcome"), [(-1, "warned"), (100, "passed")])
def test_a_cross_signed_root_that_ended_is_sent_along(end: float, outcome: str, tmp_path: Path) -> None:
    """openssl#12006, webmin#1533, hexchat#2632, tigervnc#1348: AddTrust in 2020, DST Root CA X3 in 2021."""
    former = Issued("Former Root", None, -3000, end, ca=True)
    root = Issued("Root", None, -900, 900, ca=True)
    cross = Issued("Root", former, -1000, end, ca=True, key=root.key)
    leaf = Issued("shop.test", root, -100, 200, names=["shop.test"])
    chain = str(cross.write(tmp_path / "cross.pem"))
    told = served(tmp_path, "shop.test", "security.tls.trust", leaf, root, "-cert_chain", chain)
    assert told["outcome"] == outcome, told
    assert outcome == "passed" or "issued by CN=Former Root, expired 1.0 days ago" in told["reason"], told


def test_transparency_is_asked_of_roots_that_browsers_know() -> None:
    """chromium/badssl.com#547, hashicorp/terraform-provider-aws#5696: ACM may leave the logs out."""
    from certifi import contents

    proofs = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2"), b"\x04\x02\x00\x00")
    root = Issued("Root", None, -900, 900, ca=True)
    known = x509.load_pem_x509_certificate(contents().encode())  # the first of many
    assert not end_at_a_browsers_root([record(root.certificate)])
    assert end_at_a_browsers_root([record(root.certificate), record(known)])
    assert not is_logged(Issued("shop.test", root, -1, 80, names=["shop.test"]).certificate)
    assert is_logged(Issued("shop.test", root, -1, 80, names=["shop.test"], more=[proofs]).certificate)


@pytest.mark.parametrize("case", ["good", "tomorrow", "old", "signer ended", "signer good"])
def test_stapled_answers_count_in_their_time_only(case: str, tmp_path: Path) -> None:
    """As `openssl ocsp` has it: status not yet valid, status too old, Response Verify Failure."""
    root = Issued("Root", None, -900, 900, ca=True)
    place = x509.UniformResourceIdentifier("http://ocsp.test/")
    access = x509.AuthorityInformationAccess(
        [x509.AccessDescription(AuthorityInformationAccessOID.OCSP, place)],
    )
    leaf = Issued("shop.test", root, -100, 200, names=["shop.test"], more=[access])
    signs = [x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING])]
    file = tmp_path / "answer.der"
    if case.startswith("signer"):
        signer = Issued("Responder", root, -100, -40 if case == "signer ended" else 40, more=signs)
        answered(leaf, root, signer, -0.1, 6, file, signer)
    else:
        begin, end = {"good": (-0.1, 6.0), "tomorrow": (1.0, 8.0), "old": (-365.0, None)}[case]
        answered(leaf, root, root, begin, end, file)
    told = served(tmp_path, "shop.test", "security.tls.revocation", leaf, root, "-status_file", str(file))
    assert told["outcome"] == ("passed" if case in ("good", "signer good") else "failed"), told


def test_a_certificate_of_a_ca_and_a_key_that_may_not_sign(tmp_path: Path) -> None:
    root = Issued("Root", None, -900, 900, ca=True)
    usage = x509.KeyUsage(False, False, True, False, False, False, False, False, False)
    both = Issued("shop.test", root, -100, 200, ca=True, names=["shop.test"])
    assert served(tmp_path, "shop.test", "security.tls.trust", both, root)["outcome"] == "failed"
    silent = Issued("shop.test", root, -100, 200, names=["shop.test"], more=[usage])
    assert served(tmp_path, "shop.test", "security.tls.key", silent, root)["outcome"] == "failed"
