"""Pages of a login as a browser meets them: redirects followed, forms sent, cookies kept; on declared servers only."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urljoin, urlsplit

from pytest_prodcheck.environments.queries import http_services, origin_of, secret_origins
from pytest_prodcheck.evidence.context import SHORTEST_SECRET
from pytest_prodcheck.evidence.http.clients import client_at, client_of
from pytest_prodcheck.evidence.http.messages import Answer, Request
from pytest_prodcheck.evidence.http.role_cookies import RoleCookies
from pytest_prodcheck.evidence.login.html_forms import Form, Page
from pytest_prodcheck.evidence.tools import sanitizing
from pytest_prodcheck.records import EvidenceProblem, Problem

if TYPE_CHECKING:
    from pytest_prodcheck.cookies import CookieStore
    from pytest_prodcheck.environments.sections.auth import Auth
    from pytest_prodcheck.evidence.context import Context
    from pytest_prodcheck.evidence.deadlines import Deadline
    from pytest_prodcheck.evidence.http.client import HttpClient

REDIRECTS = (301, 302, 303, 307, 308)
SAME_AGAIN = (307, 308)  # a form is sent again, to where they lead
MOST_REDIRECTS = 20  # as browsers have it
_HTML = ("text/html", "application/xhtml+xml")


class EndlessRedirects(EvidenceProblem):
    """Redirects that a browser gives up on; `answer` is the last one."""

    def __init__(self, answer: Answer) -> None:
        what = f"GET {sanitizing.url(answer.url).partition('?')[0]}: more than {MOST_REDIRECTS} redirects"
        super().__init__(Problem("protocol", what))
        self.answer = answer


class Browser:
    """A browser with the cookies of one login."""

    def __init__(self, store: CookieStore, auth: Auth, context: Context, deadline: Deadline) -> None:
        self.store = store
        self._auth = auth
        self._context = context
        self._deadline = deadline
        self.refused: dict[str, str] = {}  # name of a cookie that browsers did not take, and why
        self.set_by: dict[str, Answer] = {}  # name of a cookie, and the last answer that set it

    def get(self, url: str, stop: Callable[[str], bool] = lambda url: False) -> Answer:
        """The page at an address, behind its redirects; one that leads where `stop` says is not followed."""
        return self._follow(self._ask("GET", url, {}, None), stop, "")

    def submit(
        self, form: Form, page: Answer, values: dict[str, str], button: str | None = None,
        stop: Callable[[str], bool] = lambda url: False,
    ) -> Answer:  # fmt: skip
        """Sends a form of a page; raises EvidenceProblem where it leads to a server that is not declared."""
        url, entries = form.address(page.url, button), form.filled(values, button)
        headers = {"Referer": page.url.partition("#")[0]}
        if form.sent_by(button) == "GET":
            asked = f"{url.partition('?')[0]}?{urlencode(entries)}"
            return self._follow(self._ask("GET", asked, headers, None, page.url), stop, page.url)
        scheme, host, port = origin_of(page.url)
        headers["Origin"] = page.url[: page.url.index("/", len(scheme) + 3)] if host and port else "null"
        return self._follow(self._ask("POST", url, headers, entries, page.url), stop, page.url, headers, entries)

    def page(self, answer: Answer) -> Page:
        """The page of an answer; tokens in its hidden fields are secret from now on."""
        html = answer.exchange.content_type in _HTML
        found = Page(answer.text if html else "")
        for form in found.forms:
            for name, kind in form.kinds.items():
                value = form.entries.get(name, "")
                if kind == "hidden" and len(value) >= SHORTEST_SECRET and "token" in name.lower():
                    self._context.redactor.add(value)
        return found

    def _follow(
        self, answer: Answer, stop: Callable[[str], bool], caused_by: str, headers: dict[str, str] | None = None,
        form: dict[str, str] | None = None,
    ) -> Answer:  # fmt: skip
        """The page behind the redirects of an answer. caused_by: address of the page whose form leads there.

        headers, form: those of a POST, which 307 and 308 have sent again (Fetch, "HTTP-redirect fetch").
        """
        for _ in range(MOST_REDIRECTS):
            to = urljoin(answer.url, answer.location())
            if answer.exchange.status not in REDIRECTS or not answer.location():
                return answer
            if answer.exchange.status not in SAME_AGAIN or form is None:
                headers = form = None
            elif origin_of(to) != origin_of(answer.url):
                what = (
                    f"{answer.exchange.url}: answered {answer.exchange.status}, by which browsers send the form again"
                )
                where = sanitizing.url(to).partition("?")[0]
                raise EvidenceProblem(Problem("protocol", f"{what}, to {where}", "answer 303: then they ask by GET"))
            if stop(to):
                return answer
            answer = self._ask("POST" if form is not None else "GET", to, headers or {}, form, caused_by)
        raise EndlessRedirects(answer)

    def _ask(
        self, method: str, url: str, headers: dict[str, str], form: dict[str, str] | None, caused_by: str = ""
    ) -> Answer:
        cookies = RoleCookies(self.store, url, caused_by, method != "GET")
        kept_back = {name for name, _ in self.store.sent(url)} - {name for name, _ in cookies.sent(url)}
        for each in sorted(kept_back):
            where = sanitizing.url(url).partition("?")[0]
            self._deadline.note(f"{where}: browsers do not send {each} on the way from another site (SameSite)")
        carried = {"Accept": "text/html,*/*;q=0.8", "Cookie": cookies, **headers}
        request = Request(method, url.partition("#")[0], carried, form=form)
        answer = self._client(url).ask(request, self._deadline)
        self.store.take(answer.url, answer.headers)
        self.refused.update(answer.exchange.refused_cookies)
        lines = [value for name, value in answer.headers if name.lower() == "set-cookie"]
        self.set_by.update({line.partition("=")[0].strip(): answer for line in lines})
        return answer

    def _client(self, url: str) -> HttpClient:
        here = origin_of(url)
        for name, service in http_services(self._context.environment).items():
            if origin_of(service.url) == here:
                return client_of(self._context, name)
        if here not in secret_origins(self._context.environment):
            shown = sanitizing.plain(f"{here[0]}://{here[1]}:{here[2]}", 300)
            what = f"the login leads to {shown}, which is not declared: no request was sent to it"
            raise EvidenceProblem(
                Problem("configuration", what, "if the address belongs to your system, add it to auth.origins")
            )
        return client_at(self._context, f"{urlsplit(url).scheme}://{urlsplit(url).netloc}/", self._auth.tls)
