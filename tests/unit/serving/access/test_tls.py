from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest

from churn.domain.errors import UserError
from serving.access.following import INTERVAL_S
from serving.access.tls import Tls, TlsOptions
from tests.certificates import Authority


@contextmanager
def listening(context: ssl.SSLContext) -> Iterator[int]:
    """A server that answers each connection with one byte; gives its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    plain, _ = listener.accept()
                except OSError:
                    return
                with suppress(OSError), plain, context.wrap_socket(plain, server_side=True) as secure:
                    secure.sendall(b"!")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def shaken(port: int, authority: Authority, *, own: tuple[Path, Path] | None = None, **limits: Any) -> None:
    """Connects, and is answered. Raises OSError otherwise."""
    context = ssl.create_default_context(cadata=authority.pem.decode())
    for name, value in limits.items():
        setattr(context, name, value)
    if own:
        context.load_cert_chain(*own)
    plain = socket.create_connection(("127.0.0.1", port), timeout=5)
    try:
        secure = context.wrap_socket(plain, server_hostname="127.0.0.1")
        answered = secure.recv(1) == b"!"
        secure.close()
    finally:
        plain.close()
    if not answered:
        raise ConnectionError("closed without an answer")


def subject(tls_port: int) -> str:
    from cryptography import x509

    pem = ssl.get_server_certificate(("127.0.0.1", tls_port), timeout=5)
    return x509.load_pem_x509_certificate(pem.encode()).subject.rfc4514_string()


def renewed(tls: Tls) -> bool | None:
    time.sleep(INTERVAL_S + 0.05)
    return tls.refresh()


def test_a_client_that_trusts_the_authority_is_answered(tmp_path: Path) -> None:
    authority = Authority()
    with listening(Tls(TlsOptions(*authority.issue(tmp_path))).ssl_context()) as port:
        shaken(port, authority)
        shaken(port, authority, maximum_version=ssl.TLSVersion.TLSv1_2)
        with pytest.raises(ssl.SSLCertVerificationError):
            shaken(port, Authority("another"))


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_tls_1_1_is_refused(tmp_path: Path) -> None:
    authority = Authority()
    tls = Tls(TlsOptions(*authority.issue(tmp_path)))
    assert tls.ssl_context().minimum_version == ssl.TLSVersion.TLSv1_2
    old = {"minimum_version": ssl.TLSVersion.TLSv1, "maximum_version": ssl.TLSVersion.TLSv1_1}
    with listening(tls.ssl_context()) as port, pytest.raises(OSError):
        shaken(port, authority, **old)


def test_with_a_client_authority_only_its_clients_are_answered(tmp_path: Path) -> None:
    authority, clients = Authority(), Authority("clients")
    (tmp_path / "clients.pem").write_bytes(clients.pem)
    tls = Tls(TlsOptions(*authority.issue(tmp_path), tmp_path / "clients.pem"))
    with listening(tls.ssl_context()) as port:
        shaken(port, authority, own=clients.issue(tmp_path, "website"))
        with pytest.raises(OSError):
            shaken(port, authority)
        with pytest.raises(OSError):
            shaken(port, authority, own=authority.issue(tmp_path, "stranger"))


def test_a_renewed_certificate_is_shown_without_a_restart(tmp_path: Path) -> None:
    authority = Authority()
    certificate, key = authority.issue(tmp_path)
    tls = Tls(TlsOptions(certificate, key))
    with listening(tls.ssl_context()) as port:
        assert subject(port) == "CN=server"
        for new, old in zip(authority.issue(tmp_path, "renewed"), (certificate, key), strict=True):
            new.replace(old)
        assert subject(port) == "CN=server"
        assert renewed(tls)
        assert subject(port) == "CN=renewed"
        shaken(port, authority)
        key.write_text("nonsense")
        assert renewed(tls) is False
        assert tls.problem
        shaken(port, authority)


def test_a_renewed_client_authority_shuts_the_old_clients_out(tmp_path: Path) -> None:
    authority, old, new = Authority(), Authority("old clients"), Authority("new clients")
    (tmp_path / "clients.pem").write_bytes(old.pem)
    tls = Tls(TlsOptions(*authority.issue(tmp_path), tmp_path / "clients.pem"))
    before, after = old.issue(tmp_path, "before"), new.issue(tmp_path, "after")
    with listening(tls.ssl_context()) as port:
        shaken(port, authority, own=before)
        (tmp_path / "clients.pem").write_bytes(new.pem)
        assert renewed(tls)
        shaken(port, authority, own=after)
        shaken(port, authority, own=after, maximum_version=ssl.TLSVersion.TLSv1_2)
        with pytest.raises(OSError):
            shaken(port, authority, own=before)


def _no_certificate(folder: Path) -> TlsOptions:
    return TlsOptions(folder / "none.crt", Authority().issue(folder)[1])


def _another_key(folder: Path) -> TlsOptions:
    authority = Authority()
    return TlsOptions(authority.issue(folder, "one")[0], authority.issue(folder, "other")[1])


def _expired(folder: Path) -> TlsOptions:
    return TlsOptions(*Authority().issue(folder, lasts=timedelta(seconds=-1)))


def _not_yet(folder: Path) -> TlsOptions:
    return TlsOptions(*Authority().issue(folder, lasts=timedelta(days=31)))


def _open_key(folder: Path) -> TlsOptions:
    certificate, key = Authority().issue(folder)
    key.chmod(0o644)
    return TlsOptions(certificate, key)


def _nonsense(folder: Path) -> TlsOptions:
    certificate, key = Authority().issue(folder)
    certificate.write_text("nonsense")
    return TlsOptions(certificate, key)


def _locked_key(folder: Path) -> TlsOptions:
    from cryptography.hazmat.primitives import serialization as form

    certificate, key = Authority().issue(folder)
    loaded = form.load_pem_private_key(key.read_bytes(), None)
    locked = form.BestAvailableEncryption(b"secret")
    key.write_bytes(loaded.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, locked))
    return TlsOptions(certificate, key)


def _no_authority(folder: Path) -> TlsOptions:
    (folder / "clients.pem").write_text("nonsense")
    return TlsOptions(*Authority().issue(folder), folder / "clients.pem")


@pytest.mark.parametrize(
    ("made", "where", "says"),
    [
        (_no_certificate, "CHURN_TLS_CERTIFICATE", "No such file"),
        (_another_key, "CHURN_TLS_CERTIFICATE", "does not belong"),
        (_expired, "CHURN_TLS_CERTIFICATE", "expired"),
        (_not_yet, "CHURN_TLS_CERTIFICATE", "not valid before"),
        (_open_key, "CHURN_TLS_KEY", "chmod 600"),
        (_nonsense, "CHURN_TLS_CERTIFICATE", "PEM"),
        (_locked_key, "CHURN_TLS_CERTIFICATE", "without a password"),
        (_no_authority, "CHURN_TLS_CLIENT_CA", "PEM"),
    ],
)
def test_files_that_cannot_serve_are_refused_at_the_start(
    tmp_path: Path, made: Callable[[Path], TlsOptions], where: str, says: str
) -> None:
    with pytest.raises(UserError) as refused:
        Tls(made(tmp_path))
    assert refused.value.where == where
    assert says in str(refused.value)


def test_half_of_the_settings_are_refused() -> None:
    assert TlsOptions.load({}) is None
    with pytest.raises(UserError, match="CHURN_TLS_KEY"):
        TlsOptions.load({"CHURN_TLS_CERTIFICATE": "server.crt"})
    with pytest.raises(UserError, match="CHURN_TLS_CERTIFICATE"):
        TlsOptions.load({"CHURN_TLS_CLIENT_CA": "clients.pem"})


def test_grpc_takes_the_same_files_and_their_renewal(tmp_path: Path) -> None:
    authority, clients, new = Authority(), Authority("clients"), Authority("new")
    (tmp_path / "clients.pem").write_bytes(clients.pem)
    certificate, key = authority.issue(tmp_path)
    tls = Tls(TlsOptions(certificate, key, tmp_path / "clients.pem"))
    own = clients.issue(tmp_path, "website")
    with _grpc(tls) as port:
        assert _asked(port, authority, own) == b"!"
        with pytest.raises(grpc.RpcError):
            _asked(port, authority, None)
        with pytest.raises(grpc.RpcError):
            _asked(port, new, own)
        for fresh, old in zip(new.issue(tmp_path, "renewed"), (certificate, key), strict=True):
            fresh.replace(old)
        assert renewed(tls)
        assert _asked(port, new, own) == b"!"


@contextmanager
def _grpc(tls: Tls) -> Iterator[int]:
    def configured() -> Any:
        arguments = tls.grpc_renewed()
        return grpc.ssl_server_certificate_configuration(*arguments) if arguments else None

    pairs, roots, needed = tls.grpc
    first = grpc.ssl_server_certificate_configuration(pairs, roots)
    credentials = grpc.dynamic_ssl_server_credentials(first, configured, require_client_authentication=needed)
    server = grpc.server(futures.ThreadPoolExecutor(1))
    method = grpc.unary_unary_rpc_method_handler(lambda _request, _context: b"!")
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("Test", {"Ask": method}),))
    port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    yield port
    server.stop(0).wait()


def _asked(port: int, authority: Authority, own: tuple[Path, Path] | None) -> bytes:
    certificate, key = (path.read_bytes() for path in own) if own else (None, None)
    credentials = grpc.ssl_channel_credentials(authority.pem, key, certificate)
    # a subchannel would be shared, with its credentials, by channels of equal options
    options = [("grpc.use_local_subchannel_pool", 1)]
    with grpc.secure_channel(f"127.0.0.1:{port}", credentials, options) as channel:
        answer: bytes = channel.unary_unary("/Test/Ask")(b"?", timeout=5)
        return answer
