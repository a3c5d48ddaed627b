"""Sign-in at an issuer that is real HTTP with real keys; everything that can be wrong is refused by name."""

import asyncio
import base64
import hashlib
import json
import secrets
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import uvicorn
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from tests.support.access import HOME_USER
from tests.support.relays import DeskRelay, make_desk_app

from mainspring.api.entrance import Entrance
from mainspring.api.issuers import STATE
from mainspring.api.programs import Program, Programs
from mainspring.api.sessions import COOKIE, Sessions
from mainspring.cli.browsers import sign_in
from mainspring.domain import access
from mainspring.domain.errors import Invalid, Unavailable
from mainspring.security.jwks import KEEP_S, REST_S, IssuerKeys
from mainspring.security.oidc import MOST_PENDING, PENDING_S, SignIn
from mainspring.security.tokens import digest_token

BASE = "http://127.0.0.1:8430"
CLIENT = "mainspring"
RSA_KEY = rsa.generate_private_key(65537, 2048)
OTHER_RSA_KEY = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())


def encode(content):
    content = json.dumps(content).encode() if isinstance(content, dict) else content
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def number(value):
    return encode(value.to_bytes((value.bit_length() + 7) // 8))


def sign(claims, alg="RS256", kid="rsa", key=None):
    signed = f"{encode({'alg': alg, 'kid': kid, 'typ': 'JWT'})}.{encode(claims)}"
    if alg == "ES256":
        halves = decode_dss_signature((key or EC_KEY).sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        signature = b"".join(half.to_bytes(32) for half in halves)
    elif alg == "HS256":
        signature = hashlib.sha256(signed.encode()).digest()
    elif alg == "none":
        signature = b""
    else:
        signature = (key or RSA_KEY).sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
    return f"{signed}.{encode(signature)}"


class Issuer:
    """Answers discovery, keys and codes; `claims` and `signing` spoil what it signs."""

    def __init__(self):
        self.claims, self.signing, self.codes, self.name = {}, {}, {}, None
        self.rsa_name, self.asked_for_keys, self.token_url = "rsa", 0, ""
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.reply(issuer.discovery() if "openid-configuration" in self.path else issuer.keys())

            def do_POST(self):
                form = parse_qs(self.rfile.read(int(self.headers["content-length"])).decode())
                told = issuer.exchange({name: values[0] for name, values in form.items()})
                self.reply(told or {"error": "invalid_grant"}, 200 if told else 400)

            def reply(self, content, status=200):
                body = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *words):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def discovery(self):
        paths = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "keys"}
        found = {"issuer": self.name or self.url, **{name: f"{self.url}/{path}" for name, path in paths.items()}}
        return found | ({"token_endpoint": self.token_url} if self.token_url else {})

    def keys(self):
        self.asked_for_keys += 1
        public, point = RSA_KEY.public_key().public_numbers(), EC_KEY.public_key().public_numbers()
        return {
            "keys": [
                {"kty": "RSA", "kid": self.rsa_name, "n": number(public.n), "e": number(public.e)},
                {"kty": "EC", "kid": "ec", "crv": "P-256", "x": number(point.x), "y": number(point.y)},
            ]
        }

    def authorize(self, url):
        """Do what a person does at the issuer's page; return the way back."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        assert query["code_challenge_method"] == "S256"
        code = secrets.token_hex(8)
        self.codes[code] = query
        return {"state": query["state"], "code": code}

    def exchange(self, form):
        query = self.codes.pop(form["code"], None)
        challenge = encode(hashlib.sha256(form["code_verifier"].encode()).digest())
        if query is None or challenge != query["code_challenge"] or form["redirect_uri"] != query["redirect_uri"]:
            return None
        now = int(time.time())
        claims = {"iss": self.url, "aud": CLIENT, "sub": "2482", "nonce": query["nonce"], "iat": now, "exp": now + 300}
        claims = {name: value for name, value in {**claims, **self.claims}.items() if value is not None}
        return {"id_token": sign(claims, **self.signing), "token_type": "Bearer"}


@pytest.fixture
def issuer():
    made = Issuer()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def clock():
    """The time as it is, moved on by `later_s`."""

    def now():
        return time.time() + now.later_s

    now.later_s = 0.0
    return now


@pytest.fixture
def browse(desk, issuer, clock):
    desk.ask(access.AddUser(name="anna", role="viewer", identity=f"{issuer.url}#2482"), actor=HOME_USER)

    sign_in = SignIn(issuer.url, CLIENT, "", f"{BASE}/oidc/callback", clock)
    app = make_desk_app(DeskRelay(desk), Entrance(digest_token("a" * 64), Sessions()), sign_in=sign_in)

    def get(path, cookies=None, *, verb="GET", headers=None, **query):
        async def send():
            transport = httpx.ASGITransport(app, client=("127.0.0.1", 40_000))
            async with httpx.AsyncClient(transport=transport, base_url=BASE, cookies=cookies) as client:
                return await client.request(verb, path, params=query, headers=headers)

        return asyncio.run(send())

    return get


def come_back(browse, issuer, **changes):
    away = browse("/oidc/login")
    assert away.status_code == 303
    back = {**issuer.authorize(away.headers["location"]), **changes.pop("query", {})}
    cookies = changes.pop("cookies", {STATE: away.cookies[STATE]})
    return browse("/oidc/callback", cookies, **back), back, cookies


def code_of(answer):
    return answer.status_code, answer.json()["code"]


@pytest.mark.parametrize("signing", [{}, {"alg": "ES256", "kid": "ec"}])
def test_a_person_signs_in_with_either_kind_of_key(browse, issuer, signing, desk):
    issuer.signing = signing
    answer, _, _ = come_back(browse, issuer)
    assert answer.status_code == 200, answer.text
    assert "httponly" in answer.headers["set-cookie"].lower()
    session = {COOKIE: answer.cookies[COOKIE]}
    assert browse("/api/v1/status", session).status_code == 200
    desk.ask(access.RemoveUser(name="anna"), actor=HOME_USER)
    assert browse("/api/v1/status", session).status_code == 401


@pytest.mark.parametrize(
    ("code", "claims"),
    [
        ("OIDC-003", {"iss": "https://evil.example"}),
        ("OIDC-003", {"iss": None}),
        ("OIDC-004", {"aud": "another"}),
        ("OIDC-004", {"aud": None}),
        ("OIDC-004", {"aud": [CLIENT, "another"]}),
        ("OIDC-005", {"exp": int(time.time()) - 120}),
        ("OIDC-005", {"exp": None}),
        ("OIDC-005", {"iat": None}),
        ("OIDC-005", {"iat": int(time.time()) + 3600, "exp": int(time.time()) + 7200}),
        ("OIDC-005", {"nbf": int(time.time()) + 3600}),
        ("OIDC-006", {"nonce": "of another sign-in"}),
        ("OIDC-006", {"nonce": None}),
        ("OIDC-001", {"sub": None}),
        ("OIDC-001", {"sub": ""}),
    ],
)
def test_a_token_with_a_wrong_claim_is_refused_by_name(browse, issuer, code, claims):
    issuer.claims = claims
    answer, _, _ = come_back(browse, issuer)
    assert code_of(answer) == (401, code)
    assert COOKIE not in answer.cookies


@pytest.mark.parametrize(
    "signing",
    [
        {"key": OTHER_RSA_KEY},
        {"kid": "unknown"},
        {"kid": "ec"},
        {"alg": "none"},
        {"alg": "HS256"},
        {"alg": "RS512"},
        {"alg": "ES256", "kid": "rsa"},
        {"alg": "ES256", "kid": "ec", "key": ec.generate_private_key(ec.SECP256R1())},
    ],
)
def test_a_token_with_a_wrong_key_or_algorithm_is_refused(browse, issuer, signing):
    issuer.signing = signing
    answer, _, _ = come_back(browse, issuer)
    assert code_of(answer) == (401, "OIDC-002")


def test_keys_are_asked_for_once_and_made_up_names_do_not_reach_the_issuer(browse, issuer, clock):
    for _ in range(3):
        assert come_back(browse, issuer)[0].status_code == 200
    assert issuer.asked_for_keys == 1
    clock.later_s = REST_S
    for number in range(5):
        issuer.signing = {"kid": f"made up {number}"}
        assert code_of(come_back(browse, issuer)[0]) == (401, "OIDC-002")
    assert issuer.asked_for_keys == 2


def test_an_issuer_changes_its_key_without_a_restart(browse, issuer, clock):
    assert come_back(browse, issuer)[0].status_code == 200
    issuer.rsa_name, issuer.signing = "rsa of February", {"kid": "rsa of February"}
    clock.later_s = REST_S
    assert come_back(browse, issuer)[0].status_code == 200
    issuer.signing = {}
    assert code_of(come_back(browse, issuer)[0]) == (401, "OIDC-002"), "the old key was withdrawn"


def test_keys_are_forgotten_in_time_and_outlive_an_outage():
    now, told = [0.0], [[{"kid": "a"}]]

    def fetch():
        if told[0] is None:
            raise Unavailable("OIDC-008", "away")
        return told[0]

    keys = IssuerKeys(fetch, lambda: now[0])
    assert keys.find("a")
    told[0], now[0] = None, KEEP_S
    assert keys.find("a"), "an issuer that is away for a moment locks nobody out"
    now[0] = 2 * KEEP_S
    for _ in range(2):
        with pytest.raises(Unavailable, match="OIDC-008"):
            keys.find("a")
    told[0], now[0] = [{"kid": "b"}], 2 * KEEP_S + REST_S
    assert (keys.find("a"), keys.find("b")) == ([], [{"kid": "b"}])
    told[0] = []
    now[0] += KEEP_S
    assert keys.find("b") == []


def test_a_way_back_works_once_and_in_its_own_browser(browse, issuer):
    answer, back, cookies = come_back(browse, issuer)
    assert answer.status_code == 200
    assert code_of(browse("/oidc/callback", cookies, **back)) == (401, "OIDC-007")
    assert code_of(come_back(browse, issuer, cookies={})[0]) == (401, "OIDC-007")
    assert code_of(come_back(browse, issuer, cookies={STATE: "another"})[0]) == (401, "OIDC-007")
    assert code_of(come_back(browse, issuer, query={"state": "made up"})[0]) == (401, "OIDC-007")
    assert code_of(browse("/oidc/callback")) == (401, "OIDC-007")


def test_a_code_of_another_sign_in_is_not_exchanged(browse, issuer):
    """PKCE: a stolen code is worth nothing without the verifier of the sign-in that it belongs to."""
    stolen = issuer.authorize(browse("/oidc/login").headers["location"])["code"]
    answer, _, _ = come_back(browse, issuer, query={"code": stolen})
    assert code_of(answer) == (503, "OIDC-008")


def test_who_is_nobodys_identity_gets_no_session(browse, issuer):
    issuer.claims = {"sub": "9999"}
    answer, _, _ = come_back(browse, issuer)
    assert code_of(answer) == (401, "OIDC-009") or code_of(answer) == (403, "OIDC-009")
    assert COOKIE not in answer.cookies


def test_an_issuer_that_is_none_is_named(browse, issuer):
    issuer.name = "https://evil.example"
    assert code_of(browse("/oidc/login")) == (503, "OIDC-008")
    issuer.server.shutdown()
    issuer.server.server_close()
    with pytest.raises(Unavailable, match="OIDC-008"):
        SignIn(issuer.url, CLIENT, "", BASE).begin()
    for url in ("http://issuer.example", "ftp://issuer.example", "file:///etc/passwd", ""):
        with pytest.raises(Invalid, match="OIDC-008"):
            SignIn(url, CLIENT, "", BASE)


@pytest.mark.parametrize("host", ["127.0.0.2", "[::1]", "10.0.0.1", "169.254.169.254", "localhost"])
def test_an_issuer_leads_to_no_other_host_inside(browse, issuer, host):
    """Whoever starts the server has named the issuer's host, which may be one of the network; no other one is."""
    issuer.token_url = f"http://{host}:{issuer.server.server_port}/token"
    answer, _, _ = come_back(browse, issuer)
    assert code_of(answer) == (503, "OIDC-008")
    assert " is at " in answer.json()["detail"]


@pytest.mark.parametrize("text", ["", "a", "a.b", "a.b.c", "....", "e30.e30.", "!!.e30.e30", "W10.W10.W10"])
def test_what_is_no_token_is_refused(text):
    from mainspring.domain.errors import Denied
    from mainspring.security.oidc import verify_id_token

    with pytest.raises(Denied) as caught:
        verify_id_token(text, [], issuer="x", audience="y", nonce="z", now=0.0)
    assert caught.value.code in {"OIDC-001", "OIDC-002"}


# --- programs ------------------------------------------------------------------------------


VERIFIER, OWN_STATE = "v" * 43, "s" * 43
CHALLENGE = encode(hashlib.sha256(VERIFIER.encode()).digest())


def sign_in_for_a_program(browse, issuer, **changes):
    wanted = {"port": "40123", "state": OWN_STATE, "challenge": CHALLENGE, **changes}
    away = browse("/oidc/login", **wanted)
    if away.status_code != 303:
        return away
    return browse("/oidc/callback", {STATE: away.cookies[STATE]}, **issuer.authorize(away.headers["location"]))


def redeem(browse, code, verifier=VERIFIER):
    return browse("/oidc/program", verb="POST", headers={"Mainspring-Code": code, "Mainspring-Verifier": verifier})


def test_a_program_gets_a_token_that_its_browser_never_sees(browse, issuer, desk):
    back = sign_in_for_a_program(browse, issuer)
    assert back.status_code == 303
    place = urlsplit(back.headers["location"])
    assert (place.scheme, place.netloc) == ("http", "127.0.0.1:40123")
    brought = {name: values[0] for name, values in parse_qs(place.query).items()}
    assert set(brought) == {"code", "state"}
    assert brought["state"] == OWN_STATE
    assert COOKIE not in back.cookies
    token = redeem(browse, brought["code"]).json()["token"]
    assert desk.ask(access.WhoAmI(), token=token).principal == "user:anna"
    assert token not in back.headers["location"]
    assert code_of(redeem(browse, brought["code"])) == (401, "OIDC-007"), "a code is worth its token once"


def test_a_code_of_a_program_is_worth_nothing_to_another(browse, issuer):
    back = sign_in_for_a_program(browse, issuer)
    code = parse_qs(urlsplit(back.headers["location"]).query)["code"][0]
    assert code_of(redeem(browse, code, "w" * 43)) == (401, "OIDC-007")
    assert code_of(redeem(browse, code)) == (401, "OIDC-007"), "who guesses uses it up"
    assert code_of(redeem(browse, "made up")) == (401, "OIDC-007")


@pytest.mark.parametrize(
    "changes",
    [{"port": "80"}, {"port": "70000"}, {"port": "x@evil.example"}, {"port": ""}, {"state": "short"},
     {"challenge": ""}, {"challenge": "a" * 42 + "="}],
)  # fmt: skip
def test_a_program_that_asks_wrongly_is_sent_nowhere(browse, issuer, changes):
    assert code_of(sign_in_for_a_program(browse, issuer, **changes)) == (401, "OIDC-007")


def test_programs_that_wait_are_bounded_and_end_in_time():
    now = [0.0]
    programs = Programs(lambda: now[0])
    program = Program(40123, OWN_STATE, CHALLENGE)
    for number in range(MOST_PENDING + 1):
        programs.begin(str(number), program)
    assert programs.take("0") is None
    assert programs.take("1") == program
    assert programs.take("1") is None
    now[0] = PENDING_S
    assert programs.take("2") is None


@pytest.fixture
def site(browse, issuer, desk):
    """The same over a real port, as a program sees it."""
    sign_in = SignIn(issuer.url, CLIENT, "", "http://127.0.0.1/unused")
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    sign_in._redirect_url = f"{url}/oidc/callback"
    app = make_desk_app(DeskRelay(desk), Entrance(digest_token("a" * 64), Sessions()), sign_in=sign_in)
    config = uvicorn.Config(app, log_level="warning", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    yield url
    server.should_exit = True
    thread.join(30)
    listener.close()


def test_the_command_line_signs_in_with_a_browser(site, issuer, desk, monkeypatch):
    def browser(address):
        def visit():
            with httpx.Client(trust_env=False) as client:
                away = client.get(address)
                back = issuer.authorize(away.headers["location"])
                home = client.get(f"{site}/oidc/callback", params=back)
                assert client.get(home.headers["location"].replace(OWN_STATE, "x")).status_code == 200

        threading.Thread(target=visit, daemon=True).start()

    monkeypatch.setattr("webbrowser.open", browser)
    token = sign_in(site, "", 60.0)
    assert desk.ask(access.WhoAmI(), token=token).principal == "user:anna"


def test_nobody_who_signs_in_is_one_clear_error(site, monkeypatch):
    monkeypatch.setattr("webbrowser.open", lambda _: None)
    with pytest.raises(Unavailable, match="OIDC-008"):
        sign_in(site, "", 0.2)
