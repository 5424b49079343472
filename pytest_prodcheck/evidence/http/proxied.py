"""A connection through a declared proxy, by `requests`: it goes where it is told, and ends at its deadline."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import socket
    import ssl

    import requests

    from pytest_prodcheck.evidence.http.request_heads import Prepared
    from pytest_prodcheck.evidence.network.transport import Route


class ProxiedLine:
    """A `requests` session whose connections follow a route; it reads no environment variables, keeps no cookies."""

    def __init__(self, route: Route, tls: ssl.SSLContext, proxy: str, verify: bool) -> None:
        self._route = route
        self._session = _session(route, tls)
        self._proxies = {"http": proxy, "https": proxy}
        self._verify = verify

    def send(self, prepared: Prepared, timeout: float) -> ProxiedAnswer:
        """Sends a request and reads the head of its answer."""
        import requests

        request = requests.Request(prepared.method, prepared.url, headers=dict(prepared.headers), data=prepared.body)
        return ProxiedAnswer(
            self._session.send(
                request.prepare(),
                stream=True,
                timeout=timeout,
                verify=self._verify,
                proxies=self._proxies,
                allow_redirects=False,
            )
        )

    def close(self) -> None:
        """Closes the connection."""
        self._session.close()
        self._route.release()


class ProxiedAnswer:
    """An answer whose head has been read."""

    def __init__(self, response: requests.Response) -> None:
        self._response = response
        self.status = response.status_code
        self.headers = [(name, str(value)) for name, value in response.raw.headers.items()]

    def read(self, size: int) -> bytes:
        """At most so many bytes of the body.

        Not `stream()`: urllib3 reads lines of chunked bodies without a bound, http.client bounds them.
        """
        data: bytes = self._response.raw.read(size, decode_content=False)
        return data

    def close(self) -> None:
        """Gives up what was not read."""
        self._response.close()


def _session(route: Route, tls: ssl.SSLContext) -> requests.Session:
    from http.cookiejar import DefaultCookiePolicy

    import requests

    class Session(requests.Session):
        def get_redirect_target(self, resp: requests.Response) -> None:
            """None: requests would read the whole of a redirect's body, however large, to prepare the next request."""

    session = Session()
    session.trust_env = False
    session.max_redirects = 0
    session.headers.clear()
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    adapter = _adapter(route, tls)
    for scheme in ("http://", "https://"):
        session.mount(scheme, adapter)
    return session


def _adapter(route: Route, tls: ssl.SSLContext) -> requests.adapters.HTTPAdapter:
    from requests.adapters import HTTPAdapter

    pools = _pools(route)

    class Adapter(HTTPAdapter):
        def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
            super().init_poolmanager(*args, **kwargs, ssl_context=tls)
            self.poolmanager.pool_classes_by_scheme = pools

        def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
            manager = super().proxy_manager_for(proxy, **kwargs, ssl_context=tls)
            manager.pool_classes_by_scheme = pools
            return manager

        def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
            """Trust is in the context: requests would add its own bundle of CAs to a private one."""

    return Adapter(pool_connections=4, pool_maxsize=1)


def _pools(route: Route) -> dict[str, Any]:
    from urllib3.connection import HTTPConnection, HTTPSConnection
    from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

    from pytest_prodcheck.evidence.network.http_heads import WholeHeadResponse

    class Routed:
        """Opens the connection where the route says and puts the deadline on it, also when it is used again."""

        response_class: Any = WholeHeadResponse
        host: str
        port: int
        sock: Any

        def _new_conn(self) -> socket.socket:
            return route.open(self.host.strip("[]").rstrip("."), self.port)

        def request(self, *args: Any, **kwargs: Any) -> None:
            if self.sock is None:
                self.connect()  # type: ignore[attr-defined]
            if not route.peer:
                route.guard(self.sock)
            route.sent, route.sent_at = True, time.monotonic()
            super().request(*args, **kwargs)  # type: ignore[misc]

    class Http(Routed, HTTPConnection):
        pass

    class Https(Routed, HTTPSConnection):
        pass

    class HttpPool(HTTPConnectionPool):
        ConnectionCls = Http

    class HttpsPool(HTTPSConnectionPool):
        ConnectionCls = Https

        def _validate_conn(self, conn: Any) -> None:
            if conn.is_closed:  # the parent would also warn about verify = "off", which every verdict names anyway
                conn.connect()

    return {"http": HttpPool, "https": HttpsPool}
