"""TLS for HTTP and gRPC from the same files, checked at the start and renewed without a restart."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from churn.domain.errors import UserError
from serving.access.following import Followed, read_file, refuse_open_secret

CERTIFICATE, KEY, CLIENT_CA = "CHURN_TLS_CERTIFICATE", "CHURN_TLS_KEY", "CHURN_TLS_CLIENT_CA"


class TlsOptions(msgspec.Struct, frozen=True):
    """PEM files. `certificate` begins with the server's own and goes on with its intermediates; with `client_ca`, a
    client needs a certificate of that authority (which says that it may connect, not who it is)."""

    certificate: Path
    key: Path
    client_ca: Path | None = None

    @classmethod
    def load(cls, env: Mapping[str, str]) -> TlsOptions | None:
        """Reads CHURN_TLS_*; None when none is set. Raises UserError for a half of a configuration."""
        given = {
            name: Path(env[name]).expanduser().absolute() for name in (CERTIFICATE, KEY, CLIENT_CA) if env.get(name)
        }
        if not given:
            return None
        for name in (CERTIFICATE, KEY):
            if name not in given:
                raise UserError(f"is not set although {next(iter(given))} is", where=name, remedy="TLS needs both")
        return cls(given[CERTIFICATE], given[KEY], given.get(CLIENT_CA))


class Pair(msgspec.Struct, frozen=True, eq=False):
    """What the files held when they were last good."""

    certificate: bytes
    key: bytes
    client_ca: bytes | None
    context: ssl.SSLContext

    def __repr__(self) -> str:
        return "Pair()"

    def __rich_repr__(self) -> list[tuple[str, str]]:  # what msgspec gives would show the key
        return []


class Tls:
    """The certificate that is shown now. `refresh` takes over a renewed one; handshakes after it see it.

    A session that was begun before may be resumed for as long as OpenSSL lets it, two hours at most."""

    def __init__(self, options: TlsOptions) -> None:
        """Raises UserError for files that are unreadable, do not match, have expired, or a key that others may read."""
        paths = tuple(path for path in (options.certificate, options.key, options.client_ca) if path)
        self._options = options
        self._followed = Followed(paths, lambda: _read(options))
        self._given: Pair | None = None

    def ssl_context(self) -> ssl.SSLContext:
        """For asyncio or uvicorn. TLS 1.2 at least; each handshake is answered with the newest files."""
        front = _context(self._options)

        def newest(connection: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _: ssl.SSLContext) -> None:
            connection.context = self._followed.value.context

        front.sni_callback = newest
        return front

    @property
    def grpc(self) -> tuple[list[tuple[bytes, bytes]], bytes | None, bool]:
        """The arguments of `grpc.ssl_server_credentials`: pairs of key and chain, root certificates, whether clients
        need one. gRPC's own lowest version is TLS 1.2 as well."""
        pair = self._followed.value
        return [(pair.key, pair.certificate)], pair.client_ca, pair.client_ca is not None

    def grpc_renewed(self) -> tuple[list[tuple[bytes, bytes]], bytes | None] | None:
        """The arguments of `grpc.ssl_server_certificate_configuration` when the files are new since the last call.

        For the fetcher of `grpc.dynamic_ssl_server_credentials`, which gRPC asks before each handshake."""
        pair = self._followed.value
        if pair is self._given:
            return None
        self._given = pair
        return self.grpc[:2]

    def refresh(self) -> bool | None:
        """Looks at the files, at most once a second: True when they were renewed, False when the new ones are not good
        (then the old ones stay in use), None when nothing changed."""
        return self._followed.refresh()

    @property
    def problem(self) -> str:
        """Why the newest files are not in use; empty when they are."""
        return self._followed.problem


def _read(options: TlsOptions) -> Pair:
    certificate, key = read_file(options.certificate, CERTIFICATE), read_file(options.key, KEY)
    client_ca = read_file(options.client_ca, CLIENT_CA) if options.client_ca else None
    refuse_open_secret(options.key, KEY)
    _check_dates(certificate)
    return Pair(certificate, key, client_ca, _context(options))


def _context(options: TlsOptions) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(options.certificate, options.key, password=lambda: b"")  # else it asks the terminal
    except (ssl.SSLError, ValueError) as error:
        if isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH":
            problem, remedy = (
                f"{options.key} does not belong to {options.certificate}",
                "give the key of this certificate",
            )
        else:
            problem, remedy = f"{options.certificate} and {options.key} are no pair in PEM without a password", ""
        raise UserError(problem, where=CERTIFICATE, remedy=remedy) from error
    if options.client_ca:
        context.verify_mode = ssl.CERT_REQUIRED
        try:
            context.load_verify_locations(options.client_ca)
        except ssl.SSLError as error:
            raise UserError(f"{options.client_ca} holds no certificate in PEM", where=CLIENT_CA) from error
    return context


def _check_dates(certificate: bytes) -> None:
    from cryptography import x509

    try:
        own = x509.load_pem_x509_certificate(certificate)
    except ValueError as error:
        raise UserError("holds no certificate in PEM", where=CERTIFICATE) from error
    now = datetime.now(UTC)
    if own.not_valid_after_utc <= now:
        problem = f"the certificate expired at {own.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
        raise UserError(problem, where=CERTIFICATE, remedy="renew it")
    if own.not_valid_before_utc > now:
        problem = f"the certificate is not valid before {own.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
        raise UserError(problem, where=CERTIFICATE, remedy="set the clock, or give one that is valid now")
