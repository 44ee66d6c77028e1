"""Addresses that the hub may call: which URLs are well formed, and which machines they may lead to.

Nothing is looked up here: a name is judged by its addresses when it is called, by who calls it.
"""

import socket
from collections.abc import Container
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from yarl import URL

from synapse.errors import BadRequest, Refused

LONGEST = 2048  # characters of a URL
_LOCAL_NAMES = ("localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback")
_CARRIES_IPV4 = ((ip_network("64:ff9b::/96"), 0), (ip_network("::/96"), 0), (ip_network("2002::/16"), 80))
OWN = "port {} of this machine belongs to the hub or to an agent"
_MAY_BE_LIFTED = ("a private address", "this machine")
Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Reach:
    """How far a call may go besides public addresses: `loopback` is this machine, `private` the networks around it.

    `own` are the ports of the hub and its agents: on this machine they are never called, or a caller could speak through
    the hub as the hub's own user. `lifted_by` names the setting that allows more.
    """

    loopback: bool = True
    private: bool = False
    own: Container[int] = frozenset()
    lifted_by: str = ""

    def refusal(self, address: Address, port: int) -> str:
        """Why this address may not be called; "" when it may."""
        address = unwrapped(address)
        if address.is_loopback:
            if port in self.own:
                return OWN.format(port)
            return "" if self.loopback or self.private else "that is this machine"
        if address.is_unspecified or address.is_multicast or address.is_reserved:
            return "that is no address of one machine"
        if address.is_link_local:
            return "that is a link-local address"
        if not address.is_global or (isinstance(address, IPv6Address) and address.is_site_local):
            return "" if self.private else "that is a private address"
        return ""

    def check(self, host: str, port: int) -> None:
        """Refused when the host is an address, or a name of this machine, that may not be called."""
        address = literal(host)
        if address is not None:
            refusal = self.refusal(address, port)
            if refusal:
                raise forbidden(host, refusal, self.lifted_by)


def unwrapped(address: Address) -> Address:
    """The IPv4 address that an IPv6 address stands for, or the address itself."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    for network, shift in _CARRIES_IPV4:
        if address in network and int(address) > 1:
            return IPv4Address(int(address) >> shift & 0xFFFFFFFF)
    return address


def literal(host: str) -> Address | None:
    """The address that a host is, in any spelling that a machine would take for one; None for a name."""
    host = host.rstrip(".").lower()
    if host in _LOCAL_NAMES or host.endswith(".localhost"):
        return IPv4Address("127.0.0.1")
    try:
        return ip_address(host.partition("%")[0])
    except ValueError:
        pass
    if set(host) <= set("0123456789abcdefx."):
        try:
            return IPv4Address(socket.inet_aton(host))  # 2130706433, 0x7f.1, 127.1
        except OSError:
            pass
    return None


def forbidden(host: str, why: str, lifted_by: str = "") -> Refused:
    """What is said of an address that may not be called."""
    hint = ""
    if lifted_by and why.endswith(_MAY_BE_LIFTED):
        hint = f" `synapse config set {lifted_by} true` and `synapse restart` allow it."
    return Refused("forbidden_address", f"{host} is not called: {why}.{hint}", host=host)


def parse(text: str) -> URL:
    """A URL that can be called: http or https, a host, no user and password in it. BadRequest says what is wrong."""
    if not text or len(text) > LONGEST or not text.isprintable() or set(text) & set(' \\"<>^`{|}'):
        raise BadRequest(
            "bad_url", f"That is no URL that can be called: at most {LONGEST} characters, no spaces or controls."
        )
    try:
        url = URL(text)
        host, port = url.raw_host, url.port
    except ValueError as error:
        raise BadRequest("bad_url", f"{text[:80]!r} is no URL: {error}.") from None
    if url.scheme not in ("http", "https") or not host or not port:
        raise BadRequest(
            "bad_url", f"{text[:80]!r} cannot be called: it must begin with http:// or https:// and name a host."
        )
    if url.raw_user is not None or url.raw_password is not None:
        raise BadRequest(
            "bad_url", "A user or password in a URL ends up in logs: leave them out, give credentials apart."
        )
    return url.with_fragment(None)


def header(name: str, value: str) -> str:
    """A value that can stand in a header as it is; BadRequest for line breaks and other controls."""
    if not all(" " <= sign <= "~" or sign > "\x9f" for sign in value) or value != value.strip():
        raise BadRequest("bad_header", f"The {name} cannot be sent: no line breaks, controls or spaces around it.")
    try:
        value.encode("latin-1")
    except UnicodeEncodeError:
        raise BadRequest("bad_header", f"The {name} cannot be sent: a header holds Latin letters only.") from None
    return value
