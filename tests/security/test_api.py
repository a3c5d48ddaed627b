"""HTTP reads: deny by default, for every route and verb."""

import asyncio

import httpx
import pytest
from starlette.routing import Route

from mainspring.api.app import READS, Policy, check_policies, make_app
from mainspring.api.entrance import Entrance
from mainspring.api.sessions import Sessions
from mainspring.domain import messages
from mainspring.domain.errors import NotFound
from mainspring.security.tokens import digest_token

TOKEN = "a" * 64
ACCEPTED = {"Authorization": f"Bearer {TOKEN}"}
VERBS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "INVENTED"]
PATHS = ["/", "/api", "/nowhere", "/api/v1/", *(f"/api/v1{path}" for path in READS)]


class Owner:
    """Keeps what it is asked; knows one run."""

    def __init__(self):
        self.asked = []

    def __call__(self, command, *, project="", token=""):
        assert (project, token) == ("", "")
        self.asked.append(command)
        if isinstance(command, messages.GetRun) and command.id != "a3f19b":
            raise NotFound("RUN-001", f"no run matches {command.id!r}")
        return {"asked": type(command).__name__}


class Browser:
    """Sends requests straight into the application."""

    def __init__(self, app):
        self.transport = httpx.ASGITransport(app)

    def request(self, verb, path, **options):
        async def send():
            async with httpx.AsyncClient(transport=self.transport, base_url="http://127.0.0.1:8430") as client:
                return await client.request(verb, path, **options)

        return asyncio.run(send())

    def get(self, path, **options):
        return self.request("GET", path, **options)


@pytest.fixture
def owner():
    return Owner()


@pytest.fixture
def client(owner):
    return Browser(make_app(owner, Entrance(digest_token(TOKEN), Sessions())))


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", f"Basic {TOKEN}", f"Bearer {TOKEN[:-1]}b", TOKEN])
def test_without_the_token_nothing_is_asked(client, owner, header):
    headers = {} if header is None else {"Authorization": header}
    for path in PATHS:
        for verb in VERBS:
            answer = client.request(verb, path, headers=headers)
            assert answer.status_code == (401 if verb in {"GET", "HEAD"} else 405), (verb, path)
        assert client.get(path, headers=headers).json()["code"] == "API-001"
    assert client.get("/", headers=headers).headers["www-authenticate"] == "Bearer"
    assert owner.asked == []


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb not in {"GET", "HEAD"}])
def test_with_the_token_only_reads_are_answered(client, owner, verb):
    for path in PATHS:
        assert client.request(verb, path, headers=ACCEPTED).status_code == 405
    assert owner.asked == []


def test_each_read_asks_its_command(client, owner):
    for path in READS:
        filled = path.replace("{id}", "a3f19b").replace("{key}", "auc").replace("{name}", "delays")
        answer = client.get(f"/api/v1{filled.replace('{thing:path}', 'delays@champion')}", headers=ACCEPTED)
        assert answer.status_code == 200, path
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.json() == {"asked": type(owner.asked[-1]).__name__}
    assert isinstance(owner.asked[-1], messages.Explain)
    assert owner.asked[-1].thing == "delays@champion"


def test_health_is_public_and_says_nothing(client, owner):
    answer = client.get("/health")
    assert answer.json() == {"status": "ok"}
    assert owner.asked == []


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8430", ""])
def test_another_host_name_is_refused(client, owner, host):
    answer = client.get("/api/v1/status", headers={**ACCEPTED, "Host": host})
    assert answer.status_code == 400
    assert owner.asked == []


def test_errors_are_problems_with_their_fix(client):
    answer = client.get("/api/v1/runs/feed", headers=ACCEPTED)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "RUN-001"
    assert answer.json()["fix"] == "mainspring runs"


@pytest.mark.parametrize("limit", ["0", "-1", "1001", "all", "1e3", "", "²", "9" * 5000])
def test_a_limit_out_of_range_is_refused(client, owner, limit):
    answer = client.get("/api/v1/runs", params={"limit": limit}, headers=ACCEPTED)
    assert answer.status_code == 400
    assert answer.json()["code"] == "API-003"
    assert owner.asked == []


def test_an_unknown_path_is_told_only_to_who_holds_the_token(client):
    answer = client.get("/nowhere", headers=ACCEPTED)
    assert answer.status_code == 404
    assert answer.json()["code"] == "API-002"


def test_a_route_without_a_policy_stops_the_start():
    with pytest.raises(RuntimeError, match="has no policy"):
        check_policies([Route("/open", lambda _: None)])
    assert {policy.name for policy in Policy} == {"PUBLIC", "CODE", "TOKEN"}
