"""The way in over HTTP: tokens, one-time links, cookies, other sites, proxies, guesses."""

import asyncio

import httpx
import pytest
from tests.support.access import HOME_USER, Person
from tests.support.relays import DeskRelay, make_desk_app

from mainspring.api.entrance import Entrance
from mainspring.api.sessions import CODE_S, COOKIE, SESSION_S, Sessions
from mainspring.domain import access, messages
from mainspring.security.attempts import MOST_ADDRESSES, MOST_FAILURES, Attempts
from mainspring.security.tokens import digest_token

HOME_TOKEN = "a" * 64
BASE = "http://127.0.0.1:8430"
STATUS = "/api/v1/status"


class Time:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class Server:
    """The application over the use cases of a desk."""

    def __init__(self, desk, clock, **options):
        self.sessions = Sessions(clock)
        entrance = Entrance(digest_token(HOME_TOKEN), self.sessions, clock=clock, **options)

        self.app = make_desk_app(DeskRelay(desk), entrance)

    def __call__(self, verb, path, *, peer="127.0.0.1", cookies=None, **options):
        async def send():
            transport = httpx.ASGITransport(self.app, client=(peer, 40_000))
            async with httpx.AsyncClient(transport=transport, base_url=BASE, cookies=cookies) as client:
                return await client.request(verb, path, **options)

        return asyncio.run(send())

    def status(self, token=None, **options):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return self("GET", STATUS, headers={**headers, **options.pop("headers", {})}, **options)


@pytest.fixture
def clock():
    return Time()


@pytest.fixture
def server(desk, clock):
    return Server(desk, clock)


def code_of(answer):
    return answer.status_code, answer.json().get("code")


def sign_in(server):
    answer = server("GET", "/login", params={"code": server.sessions.make_code()})
    assert answer.status_code == 200
    return answer.cookies[COOKIE]


def test_the_home_token_and_a_principals_token_open_the_same_door(server, desk):
    anna = Person(desk, "anna", "viewer")
    assert server.status(HOME_TOKEN).status_code == 200
    assert server.status(anna.token).status_code == 200
    assert code_of(server.status()) == (401, "API-001")


def test_each_bad_token_is_one_clear_answer(server, desk):
    desk.ask(access.AddProject(name="rail"), actor=HOME_USER)
    expired, revoked = Person(desk, "e", "viewer", expires_s=1.0), Person(desk, "r", "viewer")
    foreign = Person(desk, "f", "admin", project="rail")
    desk.clock.advance(2.0)
    desk.ask(access.RevokeToken(id=revoked.token_id), actor=HOME_USER)
    assert code_of(server.status("msp_short")) == (401, "AUTH-001")
    assert code_of(server.status("msp_" + "0" * 16 + "_" + "0" * 64)) == (401, "AUTH-002")
    assert code_of(server.status(expired.token)) == (401, "AUTH-003")
    assert code_of(server.status(revoked.token)) == (401, "AUTH-004")
    assert code_of(server.status(foreign.token)) == (403, "AUTH-007")
    assert server("GET", f"{STATUS}?project=rail", headers={"Authorization": f"Bearer {foreign.token}"}).is_success
    for answer in (server.status("msp_short"), server.status(expired.token)):
        assert answer.headers["www-authenticate"] == "Bearer"


def test_a_viewer_is_not_told_where_things_lie(server, desk):
    anna = Person(desk, "anna", "admin")
    assert str(desk.home.root) not in server.status(anna.token).text
    assert server.status(HOME_TOKEN).json()["home"] == str(desk.home.root)


def test_a_scope_holds_over_http(server, desk):
    anna = Person(desk, "anna", "admin", scopes=("services",))
    assert code_of(server.status(anna.token)) == (403, "AUTH-006")
    assert server("GET", "/api/v1/services", headers={"Authorization": f"Bearer {anna.token}"}).json() == []


def test_a_link_works_once(server):
    code = server.sessions.make_code()
    answer = server("GET", "/login", params={"code": code})
    attributes = answer.headers["set-cookie"].lower()
    assert "httponly" in attributes
    assert "samesite=strict" in attributes
    assert "secure" not in attributes  # loopback has no TLS
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert server("GET", STATUS, cookies={COOKIE: answer.cookies[COOKIE]}).status_code == 200
    assert code_of(server("GET", "/login", params={"code": code})) == (401, "AUTH-016")
    assert code_of(server("GET", "/login")) == (401, "AUTH-016")


def test_links_and_sessions_end_in_time(server, clock):
    code, cookie = server.sessions.make_code(), sign_in(server)
    clock.now += CODE_S
    assert code_of(server("GET", "/login", params={"code": code})) == (401, "AUTH-016")
    clock.now += SESSION_S
    assert code_of(server("GET", STATUS, cookies={COOKIE: cookie})) == (401, "API-001")


def test_a_session_ends_when_its_browser_signs_out(server):
    cookie = sign_in(server)
    assert server("POST", "/logout", cookies={COOKIE: cookie}, headers={"Origin": BASE}).status_code == 200
    assert code_of(server("GET", STATUS, cookies={COOKIE: cookie})) == (401, "API-001")


@pytest.mark.parametrize("origin", [None, "https://evil.example", "null", "http://127.0.0.1:9999", "http://localhost"])
def test_another_site_cannot_act_with_the_cookie(server, origin):
    """CSRF: a cookie alone, or with the origin of another page, changes nothing."""
    cookie = sign_in(server)
    headers = {} if origin is None else {"Origin": origin}
    assert code_of(server("POST", "/logout", cookies={COOKIE: cookie}, headers=headers)) == (403, "API-004")
    assert server("GET", STATUS, cookies={COOKIE: cookie}).status_code == 200


@pytest.mark.parametrize("path", ["/health", "/login", STATUS, "/nowhere"])
def test_a_page_of_another_site_reads_nothing_even_with_a_token(server, path):
    headers = {"Authorization": f"Bearer {HOME_TOKEN}", "Origin": "https://evil.example"}
    answer = server("GET", path, headers=headers)
    assert code_of(answer) == (403, "API-004")
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "[::1].evil.example", "localhost@evil"])
def test_a_rebound_name_is_refused_with_every_credential(server, host):
    cookie = sign_in(server)
    for headers in ({"Authorization": f"Bearer {HOME_TOKEN}"}, {}):
        answer = server("GET", STATUS, headers={**headers, "Host": host}, cookies={COOKIE: cookie})
        assert answer.status_code == 400


def test_guesses_are_slowed_down_and_do_not_lock_others_out(server, desk, clock):
    anna = Person(desk, "anna", "viewer")
    assert server.status(anna.token).status_code == 200
    guess = "msp_" + "0" * 16 + "_" + "0" * 64
    for _ in range(MOST_FAILURES):
        assert code_of(server.status(guess)) == (401, "AUTH-002")
    answer = server.status(guess)
    assert code_of(answer) == (429, "AUTH-008")
    assert 0 < int(answer.headers["retry-after"]) <= 60
    assert code_of(server("GET", "/login", params={"code": "guess"})) == (429, "AUTH-008")
    assert server.status(anna.token).status_code == 200
    assert server.status(HOME_TOKEN).status_code == 200
    assert code_of(server.status(guess, peer="127.0.0.2")) == (401, "AUTH-002")
    clock.now += 60.0
    assert code_of(server.status(guess)) == (401, "AUTH-002")


def test_counts_of_failures_are_bounded():
    attempts = Attempts()
    for number in range(MOST_ADDRESSES + 50):
        attempts.note(f"address {number}", 0.0)
    for second in range(100):
        attempts.note("one", float(second))
    assert len(attempts.failures) == MOST_ADDRESSES
    assert len(attempts.failures["one"]) == MOST_FAILURES


def test_a_proxy_is_believed_and_nobody_else(desk, clock):
    server = Server(desk, clock, proxies=["10.0.0.0/8"])
    for peer in ("127.0.0.1", "192.168.1.1", "11.0.0.1"):
        assert code_of(server.status(HOME_TOKEN, peer=peer)) == (403, "API-005")
    told = {"X-Forwarded-For": "1.2.3.4, 5.6.7.8", "X-Forwarded-Proto": "https"}
    assert server.status(HOME_TOKEN, peer="10.1.1.1", headers=told).status_code == 200
    code = server.sessions.make_code()
    answer = server("GET", "/login", params={"code": code}, peer="10.1.1.1", headers=told)
    assert "secure" in answer.headers["set-cookie"].lower()
    guess = "msp_" + "0" * 16 + "_" + "0" * 64
    for number in range(MOST_FAILURES):
        spoofed = {**told, "X-Forwarded-For": f"9.9.9.{number}, 5.6.7.8"}
        server.status(guess, peer="10.1.1.1", headers=spoofed)
    assert code_of(server.status(guess, peer="10.1.1.1", headers=told)) == (429, "AUTH-008")
    other = {**told, "X-Forwarded-For": "5.6.7.9"}
    assert code_of(server.status(guess, peer="10.1.1.1", headers=other)) == (401, "AUTH-002")


def test_without_a_proxy_its_headers_mean_nothing(server):
    guess = "msp_" + "0" * 16 + "_" + "0" * 64
    for number in range(MOST_FAILURES):
        server.status(guess, headers={"X-Forwarded-For": f"9.9.9.{number}"})
    assert code_of(server.status(guess, headers={"X-Forwarded-For": "8.8.8.8"})) == (429, "AUTH-008")


def bearer(person):
    return {"Authorization": f"Bearer {person.token}"}


def test_a_revoked_token_is_refused_from_the_next_request_on(server, desk):
    anna = Person(desk, "anna", "viewer")
    assert server.status(anna.token).status_code == 200
    desk.ask(access.RevokeToken(id=anna.token_id), actor=HOME_USER)
    assert code_of(server.status(anna.token)) == (401, "AUTH-004")


def test_no_answer_repeats_a_token(server, desk):
    anna = Person(desk, "anna", "viewer")
    for path in ("/nowhere", "/api/v1/runs/feed", f"/api/v1/runs/{anna.token}"):
        assert anna.token.rpartition("_")[2] not in server("GET", path, headers=bearer(anna)).text or anna.token in path
    assert desk.ask(messages.ListEvents(), actor=HOME_USER) == []
