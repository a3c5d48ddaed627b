"""Certificates that a home makes for itself, told by their fingerprint."""

from __future__ import annotations

import hashlib
import ipaddress
import os
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from mainspring.domain.home import Home

if TYPE_CHECKING:
    from cryptography.x509 import GeneralName

DAYS = 365


def make_certificate(home: Home, names: Sequence[str]) -> tuple[Path, Path]:
    """Return a self-signed certificate for some names and its key, made when there is none that holds.

    Parameters
    ----------
    home : Home
        Keeps both in ``keys``, the key with mode 0600.
    names : sequence of str
        Host names and addresses.

    Returns
    -------
    tuple of Path and Path
        Certificate and key, in PEM.
    """
    from cryptography import x509

    folder = home.token.parent
    certificate, key = folder / "tls.crt", folder / "tls.key"
    if certificate.exists() and key.exists():
        known = x509.load_pem_x509_certificate(certificate.read_bytes())
        listed = known.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        if (
            listed == x509.SubjectAlternativeName([_name(each) for each in names])
            and known.not_valid_after_utc > _now()
        ):
            return certificate, key
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write(certificate, key, names)
    return certificate, key


def read_fingerprint(certificate: Path) -> str:
    """Return the SHA-256 of the first certificate of a file, as browsers show it.

    Raises
    ------
    OSError, ValueError
        There is no certificate to read.
    """
    text = certificate.read_text("ascii")
    end = "-----END CERTIFICATE-----"
    first = text[text.index("-----BEGIN") : text.index(end) + len(end)]
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(first)).hexdigest().upper()
    return ":".join(digest[at : at + 2] for at in range(0, 64, 2))


def _write(certificate: Path, key: Path, names: Sequence[str]) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    private = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mainspring")])
    now = _now()
    made = (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=DAYS))
        .add_extension(x509.SubjectAlternativeName([_name(each) for each in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(private, hashes.SHA256())
    )
    content = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    for path, text in ((key, content), (certificate, made.public_bytes(serialization.Encoding.PEM))):
        draft = path.with_name(f"{path.name}.draft")
        draft.unlink(missing_ok=True)
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(text)
        draft.replace(path)


def _name(text: str) -> GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _now() -> datetime:
    return datetime.now(UTC)
