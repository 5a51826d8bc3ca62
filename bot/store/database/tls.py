"""Encrypted connections to PostgreSQL: the trusted authorities, what protects a connection, and advice for failures."""

from __future__ import annotations

import ipaddress
import ssl
from pathlib import Path
from typing import Any, Literal

import psycopg

SYSTEM = "system"
"""The value of libpq's ``sslrootcert`` that stands for the authorities that the operating system trusts."""
Level = Literal["local", "plain", "encrypted", "authority", "name"]
"""What protects a connection: nothing leaves the machine, nothing, encryption, also a certificate that an authority
signed, or also the host's name in that certificate."""

_ADVICE = (
    ("root certificate file", "Add sslrootcert=FILE with the certificate of the server's authority to the address"),
    ("certificate verify failed", "Add sslrootcert=FILE with the certificate of the server's authority to the address"),
    (
        "does not match host name",
        "Write the name in the server's certificate into the address, or use sslmode=verify-ca",
    ),
    ("does not support SSL", "Turn TLS on at the server, or remove sslmode from the address"),
    ("SSL required", "Write sslmode=require into the address in place of sslmode=disable"),
    ("no encryption", "Let the server accept this host, or write sslmode=require into the address"),
    (
        "channel binding is required",
        "Remove channel_binding=require from the address, because a pooler does not offer it",
    ),
    ("wrong version number", "Remove sslnegotiation=direct from the address, because the server does not offer it"),
    ("SSL error", "Check the server's certificate, and sslmode and sslrootcert in the address"),
)
"""Words of libpq, of PostgreSQL and of PgBouncer when a connection fails over its encryption, and what to do.

libpq has no codes for these failures, and no other text for them than the English one.
"""


def advice(reason: str) -> str | None:
    """Return what to do about a connection that failed over its encryption; None if it failed over something else."""
    return next((advice for words, advice in _ADVICE if words in reason), None)


def system_authorities() -> str:
    """Return the file with the certificates that the operating system trusts; ``system`` if there is none.

    The OpenSSL that comes with psycopg looks for them in a folder that no system has.
    """
    paths = ssl.get_default_verify_paths()
    files = (paths.cafile, Path(paths.capath, "ca-certificates.crt") if paths.capath else None)
    return next((str(file) for file in files if file is not None and Path(file).is_file()), SYSTEM)


def level(connection: psycopg.AsyncConnection[Any]) -> Level:
    """Return what protects an open connection."""
    given = {option.keyword: option.val for option in connection.pgconn.info}
    if connection.pgconn.ssl_in_use:
        checked: dict[bytes | None, Level] = {b"verify-ca": "authority", b"verify-full": "name"}
        return checked.get(given.get(b"sslmode"), "encrypted")
    address = connection.pgconn.hostaddr.decode()
    return "local" if not address or ipaddress.ip_address(address).is_loopback else "plain"
