"""The one way out: where a name may lead, what an answer may do, and what errors may tell."""

import ast
import socket
from pathlib import Path

import pytest
from tests.support.receivers import DeafReceiver, SmtpReceiver

import mainspring
from mainspring.domain.errors import Denied, Invalid, Unavailable
from mainspring.security import fetch as fetching
from mainspring.security.certificates import make_certificate
from mainspring.security.fetch import MOST_ANSWER_BYTES, fetch, split_url

INSIDE = [
    "127.0.0.1",
    "127.8.9.1",
    "localhost",
    "2130706433",
    "0x7f000001",
    "0177.0.0.1",
    "127.1",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[fd12::1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
]
NEVER = [
    "169.254.169.254",
    "169.254.0.1",
    "[::ffff:169.254.169.254]",
    "[64:ff9b::a9fe:a9fe]",
    "[fe80::1]",
    "[fd00:ec2::254]",
    "100.100.100.200",
    "168.63.129.16",
    "224.0.0.1",
    "255.255.255.255",
    "240.0.0.1",
    "[ff02::1]",
    "[::]",
    "[::7f00:1]",
]
NO_URLS = [
    "",
    "ops.example.org",
    "//ops.example.org/hook",
    "file:///etc/passwd",
    "gopher://ops.example.org",
    "ftp://ops.example.org",
    "http://",
    "http:///hook",
    "http://ops example.org",
    "http://ops.example.org\\@127.0.0.1/",
    "http://me:canary-pass@ops.example.org/",
    "http://ops.example.org/#part",
    "http://ops.example.org:99999/",
    "http://ops.example.org:0/",
    "http://ops.example.org:port/",
    "http://[::1",
    "http://-ops.example.org",
    "http://exämple.org",
    "http://ops.example.org/\r\nX-Evil: 1",
    "http://ops.example.org/\x00",
    "http://ops%2eexample.org/",
    f"http://ops.example.org/{'a' * 2000}",
]


@pytest.fixture
def allow(monkeypatch):
    """Allow private hosts, as whoever runs the owner does."""
    monkeypatch.delenv("MAINSPRING_PRIVATE_HOSTS", raising=False)
    return lambda *hosts: monkeypatch.setenv("MAINSPRING_PRIVATE_HOSTS", ", ".join(hosts))


def answer_names(monkeypatch, *answers):
    """Have the resolver answer one list of addresses after the other; return what it was asked."""
    asked = []

    def resolve(host, port, **_):
        addresses = answers[min(len(asked), len(answers) - 1)]
        asked.append(host)
        kinds = {address: socket.AF_INET6 if ":" in address else socket.AF_INET for address in addresses}
        return [(kinds[address], socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return asked


@pytest.mark.usefixtures("allow")
@pytest.mark.parametrize("host", INSIDE + NEVER)
def test_no_address_inside_is_reached(host):
    with pytest.raises(Denied, match="FETCH-001") as caught:
        fetch(f"http://{host}:8080/canary?key=canary", timeout_s=5.0)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("host", NEVER)
def test_some_addresses_are_not_reached_even_when_allowed(host, allow):
    allow(host, f"{host}:80", "metadata.example")
    with pytest.raises(Denied, match="FETCH-001"):
        fetch(f"http://{host}/", timeout_s=5.0)


def test_an_allowed_host_is_reached_at_its_port_only(receive, allow):
    allowed, other = receive(), receive()
    allow(allowed.place)
    assert fetch(f"{allowed.url}/hook", body=b"{}", timeout_s=20.0).status == 200
    with pytest.raises(Denied, match="FETCH-001"):
        fetch(other.url, timeout_s=20.0)
    assert other.heard == []


def test_a_name_that_leads_inside_is_refused(monkeypatch, allow):
    for addresses in (["10.0.0.1"], ["93.184.216.34", "127.0.0.1"], ["::1"], ["93.184.216.34", "169.254.169.254"]):
        answer_names(monkeypatch, addresses)
        with pytest.raises(Denied, match="FETCH-001"):
            fetch("http://ops.example.org/", timeout_s=5.0)
    allow("ops.example.org")
    answer_names(monkeypatch, ["169.254.169.254"])
    with pytest.raises(Denied, match="FETCH-001"):
        fetch("http://ops.example.org/", timeout_s=5.0)


def test_a_resolver_that_changes_its_mind_changes_nothing(monkeypatch, receive, allow):
    """DNS rebinding: the connection goes to the address that was checked, and the name is asked for once."""
    receiver = receive()
    port = receiver.place.rpartition(":")[2]
    allow(f"ops.example.org:{port}")
    asked = answer_names(monkeypatch, ["127.0.0.1"], ["127.0.0.2"])
    assert fetch(f"http://ops.example.org:{port}/", body=b"{}", timeout_s=20.0).status == 200
    assert asked == ["ops.example.org"]
    assert receiver.heard[0].headers["Host"] == f"ops.example.org:{port}"


def test_a_name_without_an_address_is_told(monkeypatch):
    def fail(*_, **__):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(Unavailable, match="FETCH-002"):
        fetch("http://nowhere.example.org/", timeout_s=5.0)


def test_a_redirect_is_told_and_not_followed(receive, allow):
    target = receive()
    receiver = receive(answer=lambda _: (307, "", {"Location": f"{target.url}/stolen"}))
    allow("127.0.0.1")
    assert fetch(receiver.url, body=b"{}", timeout_s=20.0).status == 307
    assert target.heard == []


def test_an_answer_has_a_bound(receive, allow):
    receiver = receive(answer=lambda _: (200, "x" * 5_000_000))
    allow("127.0.0.1")
    assert len(fetch(receiver.url, body=b"{}", timeout_s=20.0).body) == MOST_ANSWER_BYTES


def test_headers_have_a_bound(receive, allow):
    receiver = receive(answer=lambda _: (200, "", {f"X-{number}": "x" for number in range(1000)}))
    allow("127.0.0.1")
    with pytest.raises(Unavailable, match="FETCH-004"):
        fetch(receiver.url, body=b"{}", timeout_s=20.0)


@pytest.mark.parametrize("drip", [b"", b"H", b"HTTP/1.1 200 OK\r\nX: "])
def test_a_receiver_that_hangs_or_drips_is_cut_off(receive, allow, drip):
    receiver = receive(DeafReceiver, drip=drip)
    allow("127.0.0.1")
    with pytest.raises(Unavailable, match="FETCH-003"):
        fetch(f"http://{receiver.place}/", body=b"{}", timeout_s=1.0)


def test_one_that_hangs_in_the_handshake_is_cut_off(receive, allow):
    receiver = receive(DeafReceiver)
    allow("127.0.0.1")
    with pytest.raises(Unavailable, match="FETCH-003"):
        fetch(f"https://{receiver.place}/", body=b"{}", timeout_s=1.0)


def test_what_speaks_no_http_is_told(receive, allow):
    receiver = receive(SmtpReceiver)
    allow("127.0.0.1")
    with pytest.raises(Unavailable, match="FETCH-004"):
        fetch(f"http://{receiver.place}/", body=b"{}", timeout_s=20.0)


def test_a_certificate_must_be_trusted_and_name_the_host(receive, allow, home, monkeypatch):
    receiver = receive(certificate=make_certificate(home, ["ops.example.org"]))
    allow("127.0.0.1")
    with pytest.raises(Unavailable, match="FETCH-002") as caught:
        fetch(receiver.url, body=b"{}", timeout_s=20.0)
    assert "self-signed" in caught.value.what
    monkeypatch.setenv("SSL_CERT_FILE", str(home.token.parent / "tls.crt"))
    with pytest.raises(Unavailable, match="FETCH-002") as caught:
        fetch(receiver.url, body=b"{}", timeout_s=20.0)
    assert "IP address mismatch" in caught.value.what
    assert receiver.heard == []


def test_no_proxy_of_the_environment_is_asked(receive, allow, monkeypatch):
    proxy, receiver = receive(), receive()
    allow("127.0.0.1")
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy.url)
    fetch(receiver.url, body=b"{}", timeout_s=20.0)
    assert (len(receiver.heard), proxy.heard) == (1, [])


@pytest.mark.parametrize("url", NO_URLS)
def test_what_two_readers_could_understand_differently_is_refused(url):
    with pytest.raises(Invalid, match="FETCH-005") as caught:
        split_url(url)
    assert "canary-pass" not in str(caught.value)


def test_nothing_else_in_sinks_and_courier_reaches_out():
    package = Path(mainspring.__file__).parent
    ways = {"http.client", "httpx", "urllib.request", "requests", "asyncio"}
    for path in [*(package / "sinks").rglob("*.py"), package / "worker" / "courier.py"]:
        tree = ast.parse(path.read_text("utf-8"))
        imported = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
        imported |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
        assert not imported & ways, path
        assert "create_connection" not in path.read_text("utf-8"), path


def test_addresses_that_stand_for_others_are_unwrapped():
    assert fetching._METADATA
    assert str(fetching._unwrap(fetching.ipaddress.ip_address("64:ff9b::a9fe:a9fe"))) == "169.254.169.254"
