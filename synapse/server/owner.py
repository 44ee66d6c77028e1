"""Whose the other end of a TCP connection on this machine is, as Linux tells: asked for by its addresses, which costs the
same however many connections there are; or read out of the tables of all of them."""

import ipaddress
import socket
import struct
from typing import NamedTuple

Address = tuple[str, int]
_SOCK_DIAG, _BY_FAMILY, _REQUEST = 4, 20, 1  # NETLINK_SOCK_DIAG, SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST: see sock_diag(7)
_ANY_STATE, _ANY_COOKIE = 0xFFFFFFFF, b"\xff" * 8


class Owner(NamedTuple):
    """Whose a TCP connection's other end is: the user, and the socket's inode."""

    uid: int
    inode: int


def tcp_owner(theirs: Address, ours: Address) -> Owner | None:
    """The owner of the other end of a connection over loopback; None when the kernel knows none.

    An end that was closed already is nobody's any more, and the kernel calls that user 0: who is gone is not root.
    """
    found = asked(theirs, ours)
    if found is None and asked(ours, theirs) is None:  # it does not even know ours: it does not answer such questions
        found = looked_up(theirs, ours)
    return found if found is not None and found.inode else None


def asked(local: Address, remote: Address) -> Owner | None:
    """The owner of the socket with these addresses, by a question about it alone; None when there is no answer."""
    for family, width in ((socket.AF_INET, 4), (socket.AF_INET6, 16)):
        try:
            here, there = _packed(local, width), _packed(remote, width)
            with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _SOCK_DIAG) as kernel:
                which = struct.pack("!HH16s16s", local[1], remote[1], here, there)
                question = struct.pack("=BBBBI", family, socket.IPPROTO_TCP, 0, 0, _ANY_STATE) + which
                question += struct.pack("=I", 0) + _ANY_COOKIE
                kernel.send(struct.pack("=IHHII", 16 + len(question), _BY_FAMILY, _REQUEST, 0, 0) + question)
                answer = kernel.recv(8192, socket.MSG_DONTWAIT)
        except (OSError, ValueError):
            continue
        # Where there is no such connection the kernel may answer with who listens there.
        if struct.unpack_from("=IH", answer)[1] == _BY_FAMILY and answer[20 : 20 + len(which)] == which:
            return Owner(*struct.unpack_from("=II", answer, 80))
    return None


def looked_up(local: Address, remote: Address) -> Owner | None:
    """The same, by the tables."""
    for table, width in (("tcp", 4), ("tcp6", 16)):
        try:
            wanted = b" %s %s " % (_hex(local, width), _hex(remote, width))
            with open(f"/proc/self/net/{table}", "rb") as file:
                content = file.read()
        except (OSError, ValueError):
            continue
        found = content.find(wanted)
        if found >= 0:
            # behind the state: queues, timer, retransmits, uid, timeout, inode
            fields = content[found + len(wanted) : content.find(b"\n", found)].split()
            return Owner(int(fields[4]), int(fields[6]))
    return None


def _packed(address: Address, width: int) -> bytes:
    ip = ipaddress.ip_address(address[0].partition("%")[0])
    if isinstance(ip, ipaddress.IPv4Address) and width == 16:
        ip = ipaddress.IPv6Address(f"::ffff:{ip}")
    if isinstance(ip, ipaddress.IPv6Address) and width == 4 and ip.ipv4_mapped is None:
        raise ValueError(f"{ip} is no IPv4 address")
    return ip.packed[-width:]


def _hex(address: Address, width: int) -> bytes:
    """An address as the kernel prints it: words of four bytes in the machine's own order."""
    words = struct.unpack(f"={width // 4}I", _packed(address, width))
    return b"%s:%04X" % (b"".join(b"%08X" % word for word in words), address[1])
