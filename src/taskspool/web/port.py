"""The listening sockets: bound before the server starts, so that the port is ours, and known, or the reason is told."""

from __future__ import annotations

import errno
import json
import socket
import sys
import urllib.request
from pathlib import Path

from taskspool.errors import RefusedToStart

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})
BACKLOG = 4096


def require_loopback(host: str) -> None:
    """Raises RefusedToStart for any address but this machine's own: there are no keys yet to tell callers apart."""
    if host not in LOOPBACK_HOSTS:
        raise RefusedToStart(
            f"will not listen on {host or 'every address'}: everybody who can reach it could submit and take tasks, "
            "and this version has no keys to tell them apart",
            hint="use --host 127.0.0.1; from another machine, tunnel: ssh -L 8091:127.0.0.1:8091 <this machine>",
            host=host,
        )


def listen(host: str, port: int) -> list[socket.socket]:
    """Sockets listening on ``host`` (loopback names: on 127.0.0.1 and, where there is one, on ::1 too).

    Port 0 takes a free one; see ``getsockname``. Raises RefusedToStart naming who holds the port.
    """
    require_loopback(host)
    if host == "::1":
        return [_bind(socket.AF_INET6, "::1", port)]
    first = _bind(socket.AF_INET, "127.0.0.1", port)
    bound_port = first.getsockname()[1]
    try:
        return [first, _bind(socket.AF_INET6, "::1", bound_port)]
    except _NoSuchAddress:
        return [first]
    except RefusedToStart:
        if port == 0:
            return [first]
        first.close()
        raise


class _NoSuchAddress(Exception):
    """This machine has no such address."""


def _bind(family: socket.AddressFamily, address: str, port: int) -> socket.socket:
    try:
        made = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise _NoSuchAddress(address) from error
    try:
        _set_options(made, family)
        made.bind((address, port))
        made.listen(BACKLOG)
        made.setblocking(False)
        return made
    except OSError as error:
        made.close()
        if error.errno == errno.EADDRNOTAVAIL:
            raise _NoSuchAddress(address) from error
        raise _refusal(address, port, error) from error


def _set_options(made: socket.socket, family: socket.AddressFamily) -> None:
    if sys.platform == "win32":
        made.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)  # else another program could share the port
    else:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # take over at once from one that has just stopped
    if family == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)


def _refusal(address: str, port: int, error: OSError) -> RefusedToStart:
    if error.errno in (errno.EACCES, getattr(errno, "WSAEACCES", errno.EACCES)):
        return RefusedToStart(f"may not listen on port {port}: {error.strerror}", port=port,
                              hint="ports below 1024 are reserved; choose another with --port")
    if error.errno not in (errno.EADDRINUSE, getattr(errno, "WSAEADDRINUSE", errno.EADDRINUSE)):
        return RefusedToStart(f"cannot listen on {address} port {port}: {error}", port=port)
    holder = who_holds(port)
    return RefusedToStart(f"port {port} is taken by {holder or 'another program'}", port=port,
                          hint=f"stop it, or choose another port: --port {port + 1 if port < 65_535 else 8091}")


def who_holds(port: int) -> str:
    """Who listens on ``port``, as far as it can be found out: '' when it cannot."""
    return " and ".join(filter(None, (_program(port), _greeting(port))))


def _greeting(port: int) -> str:
    """What /health on ``port`` says it is."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:{port}/health", timeout=1) as reply:
            health = json.loads(reply.read(65_536))
            if health.get("service") == "taskspool":
                return f"a taskspool bridge on the folder {Path(str(health['tasks_dir'])).parent}"
    except (OSError, ValueError, AttributeError, KeyError):
        pass  # not one of ours, or not even HTTP: then there is nothing to tell
    return ""


def _program(port: int) -> str:
    """Name and pid of the program that listens on ``port``, from /proc (Linux only)."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            rows = [line.split() for line in Path(table).read_text().splitlines()[1:]]
        except OSError:
            continue
        inodes |= {f"socket:[{row[9]}]" for row in rows if row[3] == "0A" and int(row[1].split(":")[1], 16) == port}
    if not inodes:
        return ""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            for descriptor in (process / "fd").iterdir():
                if str(descriptor.readlink()) in inodes:
                    return f"{(process / 'comm').read_text().strip()} (pid {process.name})"
        except OSError:
            continue  # gone by now, or another user's
    return ""
