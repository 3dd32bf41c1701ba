"""Hosts by SSH, through fabric: a connection to a host whose key is known, and commands that end with us.

fabric takes any host key, reads ~/.ssh/config and its own files, and asks every agent unless it is told otherwise. Here
a host is what the inventory says and nothing else. fabric and paramiko are loaded when the first host is asked: the two
take longer than the rest of a command's start.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.adapters.redaction import redacted
from orchestrator.core.hosts import HostTrouble
from orchestrator.core.inventory import Host

if TYPE_CHECKING:
    import fabric
    import paramiko

KEEPALIVE_S = 15
SYSTEM_KNOWN_HOSTS = Path("/etc/ssh/ssh_known_hosts")


@contextmanager
def connected(host: Host, *, within_s: float) -> Iterator[fabric.Connection]:
    """The host, logged in, as long as the block lasts. Raises HostTrouble, which says what to do."""
    # paramiko's thread logs its errors with a traceback; ours is one line.
    logging.getLogger("paramiko").setLevel(logging.CRITICAL + 1)
    connection = _connection(host, within_s)
    try:
        _open(host, connection)
        yield connection
    finally:
        with suppress(Exception):  # closing what is broken already
            connection.close()


def _open(host: Host, connection: fabric.Connection) -> None:
    import paramiko

    try:
        connection.open()
        connection.transport.set_keepalive(KEEPALIVE_S)
    except paramiko.BadHostKeyException as error:
        raise _changed(host, error) from error
    except (paramiko.AuthenticationException, paramiko.PasswordRequiredException) as error:
        raise _refused(host, error) from error
    except (paramiko.SSHException, OSError, EOFError, ValueError) as error:
        raise _unreachable(host, error) from error


def _connection(host: Host, within_s: float) -> fabric.Connection:
    """The connection of fabric, told everything that it would otherwise look for in files of its own."""
    jump = _one(host, host.jump, None, within_s) if host.jump else False
    return _one(host, host.ssh, jump, within_s)


def _one(host: Host, address: str, jump: fabric.Connection | bool | None, within_s: float) -> fabric.Connection:
    import fabric
    from paramiko import SSHConfig

    key = Path(host.key_file).expanduser() if host.key_file else None
    if key is not None and not key.is_file():
        message = f"key_file {host.key_file} is not there"
        raise HostTrouble(message, trouble="login refused", remedy="correct host.key_file in the inventory")
    connection = fabric.Connection(
        address,
        config=fabric.Config(ssh_config=SSHConfig(), lazy=True),
        gateway=jump or False,
        forward_agent=False,
        connect_timeout=within_s,
        connect_kwargs={
            "allow_agent": host.agent,
            "look_for_keys": key is None and not host.agent,
            "key_filename": [str(key)] if key else [],
            "banner_timeout": within_s,
            "auth_timeout": within_s,
            "channel_timeout": within_s,
        },
    )
    _know(connection.client, host)
    return connection


@dataclass(frozen=True, slots=True)
class Strict:
    """What paramiko's RejectPolicy does, with the key's fingerprint in the message, so that a person can compare it."""

    host: Host

    def missing_host_key(self, _: paramiko.SSHClient, name: str, key: paramiko.PKey) -> None:
        """Refuse. Raises HostTrouble."""
        raise _unknown(self.host, name, key)


def _know(client: paramiko.SSHClient, host: Host) -> None:
    """Believe the keys of known_hosts and no other. Raises HostTrouble."""
    from paramiko.hostkeys import InvalidHostKey

    client.set_missing_host_key_policy(Strict(host))
    own = Path(host.known_hosts).expanduser() if host.known_hosts else None
    places = [own] if own else [SYSTEM_KNOWN_HOSTS, Path("~/.ssh/known_hosts").expanduser()]
    for place in places:
        try:
            # load_system_host_keys never writes the file; a missing one holds no key.
            client.load_system_host_keys(str(place))
        except FileNotFoundError:
            continue
        except InvalidHostKey as error:
            told = " ".join(str(error.line).split())[:80]
            message = f"{place} has a line that is no key: {told}"
            raise HostTrouble(message, trouble="unknown key", remedy="mend that line, or take it out") from error
        except (OSError, UnicodeDecodeError) as error:
            message = f"{place} cannot be read ({error.strerror if isinstance(error, OSError) else 'not text'})"
            raise HostTrouble(message, trouble="unknown key", remedy="known_hosts must be readable") from error


def _file(host: Host) -> str:
    return host.known_hosts or "~/.ssh/known_hosts"


def _printed(key: paramiko.PKey) -> str:
    """The key as ssh-keygen -l prints it."""
    digest = base64.b64encode(hashlib.sha256(key.asbytes()).digest()).decode().rstrip("=")
    return f"{key.get_name()} SHA256:{digest}"


def _unknown(host: Host, name: str, key: paramiko.PKey) -> HostTrouble:
    return HostTrouble(
        f"{name} shows {_printed(key)}, and {_file(host)} has no key of it",
        trouble="unknown key",
        remedy=f"compare it with what `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` says on {host.name} itself,"
        f" then add the key to {_file(host)}",
    )


def _changed(host: Host, error: paramiko.BadHostKeyException) -> HostTrouble:
    return HostTrouble(
        f"{error.hostname} shows {_printed(error.key)}, and {_file(host)} has {_printed(error.expected_key)}",
        trouble="changed key",
        remedy=f"somebody may stand in between: find out whether {host.name} was made anew; only then"
        f" `ssh-keygen -R '{error.hostname}' -f {_file(host)}` and add its new key",
    )


def _refused(host: Host, error: Exception) -> HostTrouble:
    ways = "the agent" if host.agent else host.key_file or "the keys in ~/.ssh"
    return HostTrouble(
        f"{host.ssh} does not let us in with {ways} ({_line(error)})",
        trouble="login refused",
        remedy="put the public key into authorized_keys there, or name another with key_file or agent = true",
    )


def _unreachable(host: Host, error: Exception) -> HostTrouble:
    import paramiko

    if isinstance(error, paramiko.SSHException) and "encrypted" in str(error):
        return _refused(host, error)
    way = f" through {host.jump}" if host.jump else ""
    return HostTrouble(
        f"{host.ssh}{way}: {_line(error)}",
        trouble="unreachable",
        remedy=f"ssh {host.ssh} must work from here; is {host.name} up, and its address right?",
    )


def _line(error: Any) -> str:
    """What an error says, on one line."""
    if isinstance(error, TimeoutError | socket.timeout):
        return "no answer in time"
    if isinstance(error, EOFError):
        return "the connection was closed"
    tried = getattr(error, "errors", None)
    if isinstance(tried, dict) and tried:
        # paramiko tried every address: one word will do.
        return _line(next(iter(tried.values())))
    if isinstance(error, OSError) and error.strerror and error.errno is not None and error.errno > 0:
        return str(error.strerror)
    return redacted(" ".join(str(error).split())) or type(error).__name__
