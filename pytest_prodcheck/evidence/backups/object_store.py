"""Objects of an S3-compatible store: listed by ListObjectsV2, read by GetObject, signed by requests-aws4auth."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from xml.etree import ElementTree

from pytest_prodcheck.evidence.backups.dumps import iso_epoch_seconds, of_object
from pytest_prodcheck.evidence.tools.sanitizing import plain
from pytest_prodcheck.records import EvidenceProblem, Problem, ProblemKind

if TYPE_CHECKING:
    from pytest_prodcheck.environments.sections.backups import Backups
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline
    from pytest_prodcheck.records.backups import Backup

PAGE = 1000  # objects of one answer, which is the most that S3 gives
MOST_PAGES = 100
LARGEST_PAGE = 4 * 1024 * 1024  # bytes
_KINDS: dict[int, ProblemKind] = {401: "denied", 403: "denied"}
_CODE = re.compile(rb"<Code>(\w+)</Code>")
# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html#ErrorCodeList
_HINTS = {
    b"RequestTimeTooSkewed": "correct the clock of this machine or of the store",
    b"SignatureDoesNotMatch": ("does `s3.secret_key` belong to this access key, and is "
        "`s3.region` the region of the store?"),
    b"InvalidAccessKeyId": "is `s3.access_key` right?",
    b"NoSuchBucket": "is the bucket's name right?",
}


def objects(settings: Backups, context: Context, deadline: Deadline) -> list[Backup]:
    """All objects below s3://BUCKET/PREFIX whose last name fits the pattern, oldest first; raises EvidenceProblem."""
    bucket, prefix = split(settings.folder or "")
    found: list[Backup] = []
    parameters = {"list-type": "2", "max-keys": str(PAGE), "prefix": prefix}
    for _ in range(MOST_PAGES):
        page = _page(_get(settings, f"/{bucket}", parameters, context, deadline, LARGEST_PAGE), settings.folder or "")
        for each in page.iter("Contents"):
            label = (each.findtext("Key") or "").rpartition("/")[2]
            if label and fnmatchcase(label, settings.pattern):
                found.append(_object(each, label, settings.folder or ""))
        if page.findtext("IsTruncated") != "true":
            return sorted(found, key=lambda one: one.ended_at)
        more = page.findtext("NextContinuationToken") or ""
        if more in ("", parameters.get("continuation-token")):
            what = f"{settings.folder}: the listing is truncated without a continuation token"
            raise EvidenceProblem(Problem("protocol", what, "is this store S3-compatible?"))
        parameters["continuation-token"] = more
    what = f"{settings.folder}: more than {MOST_PAGES * PAGE} objects"
    raise EvidenceProblem(Problem("too-large", what, "name a narrower prefix"))


def _object(each: ElementTree.Element, label: str, where: str) -> Backup:
    size = each.findtext("Size") or ""
    if not size.isdecimal():
        raise EvidenceProblem(Problem("protocol", f"{where}: the size of {plain(label, 60)} is not a number"))
    return of_object(label, iso_epoch_seconds(each.findtext("LastModified") or "", where), int(size))


def read_object(
    settings: Backups, location: str, context: Context, deadline: Deadline, most: int
) -> bytes:
    """The content of s3://BUCKET/KEY; FileNotFoundError where it is not there, else EvidenceProblem."""
    bucket, key = split(location)
    return _get(settings, f"/{bucket}/{quote(key)}", {}, context, deadline, most)


def split(location: str) -> tuple[str, str]:
    """Bucket and key or prefix of s3://BUCKET/KEY."""
    bucket, _, rest = location.removeprefix("s3://").partition("/")
    return bucket, rest


def _page(content: bytes, where: str) -> ElementTree.Element:
    """The answer without its namespace; a document type declaration, which could blow up, is refused."""
    try:
        text = content.decode("utf-8-sig")  # as S3 does; another encoding would hide a document type declaration
        if "<!DOCTYPE" in text or "<!ENTITY" in text or "\0" in text:  # NUL: UTF-16, which expat would detect
            raise ValueError("it declares a document type")
        page = ElementTree.fromstring(text)
        for each in page.iter():
            each.tag = each.tag.rpartition("}")[2]
        if page.tag != "ListBucketResult":
            raise ValueError(f"it is a {plain(page.tag, 40)}")
        return page
    except (ElementTree.ParseError, ValueError) as error:
        raise EvidenceProblem(Problem("protocol", f"{where}: the answer is not a listing ({error})")) from None


def _get(
    settings: Backups, path: str, parameters: dict[str, str], context: Context, deadline: Deadline, most: int
) -> bytes:
    import requests

    try:
        from requests_aws4auth import AWS4Auth
    except ImportError:
        what, hint = "requests to an S3 store need requests-aws4auth", "pip install 'pytest-prodcheck[s3]'"
        raise EvidenceProblem(Problem("missing-extra", what, hint)) from None
    store = settings.s3
    context.relies_on(store.ca)
    keys = [context.secret(each, deadline) for each in (store.access_key, store.secret_key)]
    where = f"{store.endpoint}{path}"
    session: Any = requests.Session()
    session.trust_env = False
    try:
        with session, session.get(
            store.endpoint.rstrip("/") + path, params=parameters, auth=AWS4Auth(*keys, store.region, "s3"), stream=True,
            verify=str(context.root / store.ca) if store.ca else True, timeout=min(deadline.seconds_left(), 10.0),
            allow_redirects=False,
        ) as answer:  # fmt: skip
            content = b""
            for part in answer.iter_content(65536):
                deadline.seconds_left()
                content += part
                if len(content) > most:
                    raise EvidenceProblem(Problem("too-large", f"{where}: more than {most // 1024} kB"))
    except requests.RequestException as error:
        said = plain(str(error), 200)
        raise EvidenceProblem(Problem(_kind(error), f"{where}: {said}", "is `s3.endpoint` right?")) from None
    if answer.status_code == 404 and b"NoSuchKey" in content:
        raise FileNotFoundError(path)
    if answer.status_code != 200:
        said = plain(content.decode(errors="replace"), 200)
        kind, code = _KINDS.get(answer.status_code, "protocol"), _CODE.search(content)
        hint = _HINTS.get(code[1] if code else b"", "may this key list and read it?")
        raise EvidenceProblem(Problem(kind, f"{where}: {answer.status_code} {said}", hint))
    return content


def _kind(error: Exception) -> ProblemKind:
    import requests

    if isinstance(error, requests.exceptions.SSLError):
        return "tls"
    return "timeout" if isinstance(error, requests.Timeout) else "reset"
