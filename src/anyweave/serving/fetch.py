"""Media by URL: off unless hosts are listed, and never from the server's own network.

A name is resolved once, all its addresses must be public, and the connection goes to the address
that was checked, so a second DNS answer changes nothing. Redirects follow the same rules.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from urllib.parse import SplitResult, urljoin, urlsplit

from anyweave.serving.errors import ApiError, bad_request

_MAX_REDIRECTS = 3
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_LOCAL_NAT64 = ipaddress.IPv6Network("64:ff9b:1::/48")
_PORTS = {"https": 443, "http": 80}


class Fetcher:
    """Fetches from `hosts` alone: exact names, or ``*.example.org`` for all subdomains. An entry
    ``http://name`` allows that host without encryption.
    """

    def __init__(self, hosts: Sequence[str], *, max_bytes: int, seconds: float = 20.0) -> None:
        self._hosts = tuple(host.lower() for host in hosts)
        self._max_bytes, self._seconds = max_bytes, seconds

    def fetch(self, url: str, where: str) -> bytes:
        """The body of `url`. Raises `ApiError` for anything not allowed or not received."""
        deadline = time.monotonic() + self._seconds
        for _ in range(_MAX_REDIRECTS + 1):
            target = self._allowed(url, where)
            try:
                body, url = self._get(target, url, deadline, where)
            except (OSError, http.client.HTTPException, ValueError) as error:
                kind = type(error).__name__
                raise bad_request(f"{target.hostname} gave no medium ({kind})", where) from error
            if body is not None:
                return body
        raise bad_request(f"more than {_MAX_REDIRECTS} redirects", where)

    def _allowed(self, url: str, where: str) -> SplitResult:
        if not self._hosts:
            raise bad_request(
                "this server fetches nothing by URL; send the medium itself as "
                "data:image/png;base64,... (its operator can allow hosts with --media-host)",
                where,
                "remote_media_disabled",
            )
        try:
            target = urlsplit(url)
            port = target.port
        except ValueError:
            raise bad_request("this is no URL", where) from None
        host = (target.hostname or "").lower()
        listed = any(_matches(host, target.scheme, entry) for entry in self._hosts)
        usual = port in (None, _PORTS.get(target.scheme))
        if not listed or not usual or "@" in target.netloc:
            raise bad_request(
                f"{target.scheme}://{target.netloc} is not among the hosts that this server "
                "fetches from; send the medium as a data: URL",
                where,
                "remote_media_refused",
            )
        return target

    def _get(
        self, target: SplitResult, url: str, deadline: float, where: str
    ) -> tuple[bytes | None, str]:
        """The body, or None and the redirect's target."""
        assert target.hostname is not None
        address = public_address(target.hostname, _PORTS[target.scheme], where)
        connection = _Pinned(target, address, _left(deadline))
        # A socket's own timeout begins again with every byte.
        alarm = threading.Timer(_left(deadline), connection.cut)
        alarm.daemon = True
        alarm.start()
        try:
            path = (target.path or "/") + (f"?{target.query}" if target.query else "")
            connection.request("GET", path, headers={"Accept": "image/*, audio/*, video/*"})
            answer = connection.getresponse()
            if answer.status in (301, 302, 303, 307, 308):
                return None, urljoin(url, answer.headers.get("Location", ""))
            if answer.status != 200:
                raise bad_request(f"{target.hostname} answers {answer.status}", where)
            body = bytearray()
            while piece := answer.read1(65_536):
                body += piece
                if len(body) > self._max_bytes:
                    raise bad_request(f"more than {self._max_bytes:,} bytes", where, "too_large")
            _left(deadline)  # what was cut is no medium
            return bytes(body), url
        finally:
            alarm.cancel()
            connection.close()


def public_address(host: str, port: int, where: str) -> str:
    """The address to connect to. Raises `ApiError` unless all addresses of `host` are public."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [str(entry[4][0]) for entry in found]
    if not addresses or not all(map(_is_public, addresses)):
        raise bad_request(
            f"{host} leads into a private network; nothing is fetched from there",
            where,
            "remote_media_refused",
        )
    return addresses[0]


def _is_public(text: str) -> bool:
    address: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(text)
    if isinstance(address, ipaddress.IPv6Address):
        # An IPv4 address inside an IPv6 one counts as the IPv4 address.
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
        elif address in _LOCAL_NAT64:
            return False
        address = inner or address
    return address.is_global and not (address.is_multicast or address.is_reserved)


def _matches(host: str, scheme: str, entry: str) -> bool:
    wanted, name = entry.split("://", 1) if "://" in entry else ("https", entry)
    if scheme != wanted:
        return False
    return host.endswith(name[1:]) if name.startswith("*.") else host == name


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


class _Pinned(http.client.HTTPConnection):
    """A connection to a checked address, under the name that was asked for."""

    def __init__(self, target: SplitResult, address: str, timeout: float) -> None:
        assert target.hostname is not None
        super().__init__(target.hostname, _PORTS[target.scheme], timeout=timeout)
        self._address, self._secure = address, target.scheme == "https"
        self._open: socket.socket | None = None

    def connect(self) -> None:
        self._open = socket.create_connection((self._address, self.port), self.timeout)
        if self._secure:
            context = ssl.create_default_context()
            self._open = context.wrap_socket(self._open, server_hostname=self.host)
        self.sock = self._open

    def cut(self) -> None:
        """End it, whatever another thread waits for."""
        if self._open is not None:  # `sock` is None once an answer has taken it over
            with suppress(OSError):
                self._open.shutdown(socket.SHUT_RDWR)


__all__ = ["ApiError", "Fetcher", "public_address"]
