"""The one way out, against real servers on this machine; only the resolver is ours, as an attacker's would be."""

import asyncio
import datetime
import gzip
import ssl
import threading
import time
import tracemalloc

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from django.core.exceptions import ImproperlyConfigured

from tests.web.receiver import receiver
from webapp.outgoing.client import OutgoingFailed, ask
from webapp.outgoing.rules import OutgoingRefused, outbound_rules
from webapp.outgoing.transport import checked_async_transport

NAME = "hooks.ward.example"


@pytest.fixture
def server():
    """A web server on this machine."""
    with receiver() as found:
        yield found


@pytest.fixture
def allowed(server, settings):
    """The name and this machine's own network are on the operator's list."""
    settings.OUTBOUND_ALLOW = [f"{NAME}:{server.server_port}", "127.0.0.0/8"]
    return f"http://{NAME}:{server.server_port}/hook"


def leads_to(*addresses):
    return lambda host, port: list(addresses)


HERE = leads_to("127.0.0.1")


def send(url, resolve=HERE, **more):
    return ask("POST", url, content=b"{}", headers={"X-Mark": "1"}, resolve=resolve, **more)


def test_a_listed_host_in_a_listed_network_is_reached(server, allowed):
    assert send(allowed).status == 204
    ((path, body, headers),) = server.seen
    assert (path, body, headers["X-Mark"], headers["Host"]) == ("/hook", b"{}", "1", f"{NAME}:{server.server_port}")


def test_by_default_nothing_is(server, settings):
    settings.OUTBOUND_ALLOW = []
    with pytest.raises(OutgoingRefused, match="MEDS3_OUTBOUND_ALLOW"):
        send(f"http://127.0.0.1:{server.server_port}/")
    assert server.seen == []


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.8",
        "192.168.1.1",
        "172.16.0.1",
        "100.64.0.1",
        "127.0.0.1",
        "::1",
        "fc00::8",
        "::ffff:10.0.0.8",
        "::ffff:127.0.0.1",
        "2002:0a00:0008::1",
        "64:ff9b::a00:8",
        "0.0.0.0",
    ],
)
def test_a_private_address_behind_a_listed_name_is_refused(server, settings, address):
    settings.OUTBOUND_ALLOW = [f"{NAME}:{server.server_port}"]
    with pytest.raises(OutgoingRefused):
        send(f"http://{NAME}:{server.server_port}/", leads_to(address))
    assert server.seen == []


@pytest.mark.parametrize(
    "address",
    ["169.254.169.254", "169.254.0.9", "fe80::1%lo", "fe80::1", "::ffff:169.254.169.254", "224.0.0.1", "ff02::1",
     "100.100.100.200", "fd00:ec2::254", "64:ff9b::a9fe:a9fe"],
)  # fmt: skip
def test_some_addresses_are_refused_whatever_the_list_says(server, settings, address):
    settings.OUTBOUND_ALLOW = [f"{NAME}:{server.server_port}", "0.0.0.0/0", "::/0"]
    with pytest.raises(OutgoingRefused, match="never reached"):
        send(f"http://{NAME}:{server.server_port}/", leads_to(address))


def test_one_bad_address_among_good_ones_is_enough(server, allowed):
    with pytest.raises(OutgoingRefused):
        send(allowed, leads_to("127.0.0.1", "169.254.169.254"))
    assert server.seen == []


def test_a_name_that_is_bound_anew_is_judged_where_it_is_connected_to(server, allowed, settings):
    settings.OUTBOUND_ALLOW = [f"{NAME}:{server.server_port}", "127.0.0.2/32"]
    answers = iter([["127.0.0.2"], ["127.0.0.1"]])

    def rebinding(host, port):
        return next(answers)

    # The first answer is allowed and nobody listens there; the server is at the second: it must not be asked for.
    with pytest.raises(OutgoingFailed, match="No connection"):
        send(allowed, rebinding)
    assert next(answers) == ["127.0.0.1"]
    assert server.seen == []


@pytest.mark.parametrize("target", ["http://127.0.0.1:{0}/inside", "http://169.254.169.254/latest", "/inside"])
def test_a_redirect_is_an_answer_and_not_followed(server, allowed, target):
    def answer(handler):
        handler.send_response(307)
        handler.send_header("Location", target.format(server.server_port))
        handler.end_headers()

    server.answer = answer
    found = send(allowed)
    assert (found.status, found.is_success, len(server.seen)) == (307, False, 1)


@pytest.mark.parametrize(
    "url",
    [
        "http://elsewhere.example/",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://[::1]/",
        "http://user:pass@hooks.ward.example/",
        "ftp://hooks.ward.example/",
        "file:///etc/passwd",
        "unix:///run/redis.sock",
        "http://",
        "hooks.ward.example",
        "",
        "http://hooks.ward.example:99999/",
    ],
)
def test_other_addresses_are_refused_before_anybody_is_asked(settings, url):
    settings.OUTBOUND_ALLOW = [NAME]

    def nobody(host, port):
        raise AssertionError("asked")

    with pytest.raises(OutgoingRefused):
        send(url, nobody)


def test_case_and_a_dot_at_the_end_make_no_other_host(server, allowed):
    assert send(allowed.replace(NAME, "HOOKS.Ward.example.")).status == 204
    with pytest.raises(OutgoingRefused):
        send(allowed.replace(NAME, "hooks.ward.example.evil.example"))


def test_services_of_the_stack_are_refused_though_listed(server, settings):
    port = server.server_port
    settings.OUTBOUND_ALLOW = [f"{NAME}:{port}", f"127.0.0.1:{port}", "127.0.0.0/8"]
    settings.REDIS = f"redis://cache.inside:{port}/0"
    for url in (f"http://{NAME}:{port}/", f"http://127.0.0.1:{port}/"):
        with pytest.raises(OutgoingRefused, match="this instance"):
            send(url)
    settings.REDIS = "unix:///run/redis.sock"
    settings.PUBLIC_URL = f"http://{NAME}:{port}"
    with pytest.raises(OutgoingRefused, match="this instance"):
        send(f"http://{NAME}:{port}/")
    assert server.seen == []


def test_redis_is_refused_for_pages_and_for_counts_too(server, settings):
    port = server.server_port
    settings.OUTBOUND_ALLOW = [f"{NAME}:{port}", "127.0.0.0/8"]
    address = f"redis://:password@{NAME}:{port}/1"
    before = settings.CHANNEL_LAYERS, settings.CACHES
    for layers, caches in (
        ({"default": {"CONFIG": {"hosts": [{"address": address}]}}}, before[1]),
        (before[0], {"default": {"LOCATION": address}}),
        (before[0], {"default": {"LOCATION": ["redis://elsewhere.example:6379", address]}}),
    ):
        settings.CHANNEL_LAYERS, settings.CACHES = layers, caches
        with pytest.raises(OutgoingRefused, match="this instance"):
            send(f"http://{NAME}:{port}/")
    settings.CHANNEL_LAYERS, settings.CACHES = before
    assert server.seen == []


def test_a_packed_answer_is_not_unpacked(server, allowed):
    packed = gzip.compress(gzip.compress(bytes(64 << 20)))
    assert len(packed) < 4096

    def answer(handler):
        handler.send_response(200)
        handler.send_header("Content-Encoding", "gzip, gzip")
        handler.send_header("Content-Length", str(len(packed)))
        handler.end_headers()
        handler.wfile.write(packed)

    server.answer = answer
    tracemalloc.start()
    try:
        assert send(allowed).content == packed
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()
    assert server.seen[0][2]["Accept-Encoding"] == "identity"


def test_a_slow_answer_ends_in_time_and_a_large_one_is_not_read(server, allowed):
    over = threading.Event()

    def drip(handler):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        for at in range(200):  # each wait is short, all of them are not
            handler.wfile.write(b"X-%d: y\r\n" % at)
            if over.wait(0.05):
                return

    server.answer = drip
    begun = time.monotonic()
    with pytest.raises(OutgoingFailed, match="in time"):
        send(allowed, seconds=0.5)
    assert time.monotonic() - begun < 5
    over.set()

    def much(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(1 << 20))
        handler.end_headers()
        handler.wfile.write(b"x" * (1 << 20))

    server.answer = much
    with pytest.raises(OutgoingFailed, match="larger"):
        send(allowed)


def test_no_proxy_of_the_environment_is_asked(server, allowed, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert send(allowed).status == 204


def test_tls_is_verified_for_the_name(server, settings, tmp_path, monkeypatch):
    certificate, key = made_certificate(NAME, tmp_path)
    asked = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.sni_callback = lambda socket, name, _: asked.append(name)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    port = server.server_port
    settings.OUTBOUND_ALLOW = [f"{NAME}:{port}", f"other.ward.example:{port}", "127.0.0.0/8"]
    assert send(f"https://{NAME}:{port}/").status == 204
    assert asked == [NAME]
    with pytest.raises(OutgoingFailed, match="certificate"):
        send(f"https://other.ward.example:{port}/")
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(OutgoingFailed, match="certificate"):
        send(f"https://{NAME}:{port}/")


def made_certificate(name, folder):
    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "certificate.pem", folder / "key.pem"


def test_an_engines_connections_go_by_the_same_rules(server, allowed, settings):
    async def ask(url, resolve):
        transport = checked_async_transport(resolve=resolve)
        async with httpx.AsyncClient(transport=transport, trust_env=False) as client:
            return (await client.post(url, content=b"{}")).status_code

    assert asyncio.run(ask(allowed, leads_to("127.0.0.1"))) == 204
    for url, resolve in (
        (allowed, leads_to("169.254.169.254")),
        (f"http://127.0.0.1:{server.server_port}/", leads_to("127.0.0.1")),
    ):
        with pytest.raises(OutgoingRefused):
            asyncio.run(ask(url, resolve))
    settings.OUTBOUND_ALLOW = [f"{NAME}:{server.server_port}"]
    with pytest.raises(OutgoingRefused):
        asyncio.run(ask(allowed, leads_to("127.0.0.1")))
    assert len(server.seen) == 1


@pytest.mark.parametrize("entry", ["http://host", "host/path", "host:port", "10.0.0.1/8", "a b", "user@host", "[::1"])
def test_a_list_that_cannot_be_read_is_said(settings, entry):
    settings.OUTBOUND_ALLOW = [entry]
    with pytest.raises(ImproperlyConfigured, match="MEDS3_OUTBOUND_ALLOW"):
        outbound_rules()
