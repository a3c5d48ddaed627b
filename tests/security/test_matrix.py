"""Every route x whoever asks x every verb, from the table of routes; a route without a row fails.

`LEAST` is written by hand, beside the policy and not from it.
"""

import pytest
from tests.support.access import HOME_USER, Person
from tests.support.relays import BODIES, HOME_TOKEN, Site

from mainspring.api.routes import TABLE, TRANSFERS
from mainspring.domain import access
from mainspring.domain.answers import ANSWERS
from mainspring.domain.principals import ROLES

LEAST = {
    "GET /status": "viewer",
    "GET /me": "viewer",
    "GET /runs": "viewer",
    "GET /runs/{id}": "viewer",
    "DELETE /runs/{id}": "editor",
    "GET /runs/{id}/call": "viewer",
    "POST /runs/{id}/cancel": "runner",
    "POST /runs/{id}/preempt": "runner",
    "POST /runs/{id}/retry": "runner",
    "POST /runs/{id}/restore": "editor",
    "GET /runs/{run_id}/series/{key}": "viewer",
    "GET /runs/{run_id}/logs": "viewer",
    "GET /runs/{run_id}/reads": "viewer",
    "GET /runs/{run_id}/verdict": "viewer",
    "GET /runs/{run_id}/artifacts": "viewer",
    "GET /runs/{run_id}/provenance": "viewer",
    "PUT /runs/{run_id}/tags": "runner",
    "GET /runs/{before}/diff/{after}": "viewer",
    "GET /datasets": "viewer",
    "GET /datasets/{reference}": "viewer",
    "GET /datasets/{reference}/lineage": "viewer",
    "DELETE /datasets/{reference}": "editor",
    "POST /datasets/{reference}/restore": "editor",
    "PUT /datasets/{name}/aliases/{alias}": "editor",
    "GET /models": "viewer",
    "GET /models/{reference}": "viewer",
    "GET /models/{reference}/lineage": "viewer",
    "DELETE /models/{reference}": "editor",
    "POST /models/{reference}/restore": "editor",
    "PUT /models/{name}/aliases/{alias}": "editor",
    "DELETE /models/{name}/aliases/{alias}": "editor",
    "POST /models/{model}/promote": "editor",
    "POST /models/{reference}/test": "runner",
    "GET /registry": "viewer",
    "POST /registry": "runner",
    "GET /registry/{name}": "viewer",
    "PUT /registry/{name}": "runner",
    "POST /registry/{name}/rename": "editor",
    "GET /gates": "viewer",
    "GET /gates/{model}/{alias}": "viewer",
    "DELETE /gates/{model}/{alias}": "approver",
    "POST /models/{model}/predict": "runner",
    "POST /declarations": "editor",
    "GET /declarations/{kind}/{name}": "viewer",
    "GET /pipelines": "viewer",
    "GET /pipelines/{name}": "viewer",
    "DELETE /pipelines/{name}": "editor",
    "POST /pipelines/{name}/start": "runner",
    "POST /pipelines/{name}/pause": "editor",
    "POST /pipelines/{name}/resume": "editor",
    "GET /services": "viewer",
    "GET /services/{name}": "viewer",
    "PUT /services/{name}": "editor",
    "POST /services/{name}/stop": "editor",
    "POST /services/{name}/rollback": "editor",
    "POST /services/{name}/check": "runner",
    "GET /alarms": "viewer",
    "GET /renewals": "viewer",
    "GET /events": "viewer",
    "GET /why/{thing:path}": "viewer",
    "GET /deleted": "viewer",
    "GET /projects": "viewer",
    "POST /projects": "home",
    "PUT /projects/{name}": "home",
    "DELETE /projects/{name}": "home",
    "GET /users": "viewer",
    "POST /users": "home",
    "GET /users/{name}": "home",
    "DELETE /users/{name}": "home",
    "PUT /users/{name}/role": "admin",
    "DELETE /users/{name}/role": "admin",
    "GET /tokens": "viewer",
    "POST /tokens": "viewer",
    "DELETE /tokens/{id}": "viewer",
    "GET /secrets": "viewer",
    "GET /secrets/{name}": "viewer",
    "PUT /secrets/{name}": "editor",
    "DELETE /secrets/{name}": "editor",
    "GET /pools": "viewer",
    "GET /pools/{name}": "viewer",
    "PUT /pools/{name}": "home",
    "DELETE /pools/{name}": "home",
    "GET /nodes": "viewer",
    "POST /nodes/{place:path}/drain": "home",
    "POST /nodes/{place:path}/resume": "home",
    "GET /quotas": "home",
    "PUT /quotas/{tenant:path}": "home",
    "DELETE /quotas/{tenant:path}": "home",
    "GET /queue": "viewer",
    "GET /stays": "home",
    "GET /sinks": "admin",
    "GET /sinks/{name}": "admin",
    "PUT /sinks/{name}": "admin",
    "DELETE /sinks/{name}": "admin",
    "POST /sinks/{name}/test": "admin",
    "POST /sinks/{name}/resend": "admin",
    "POST /keys/rotate": "home",
    "GET /audit": "home",
    "GET /audit/heads": "home",
    "GET /blobs/{digest}": "viewer",
    "PUT /blobs/{digest}": "runner",
    "POST /blobs/{digest}/hold": "runner",
    "GET /datasets/{reference}/files/{name}": "viewer",
}
"""Route -> the least role in the project; ``home``: an admin of all projects."""

SELF_SERVICE = {"POST /tokens"}
"""Allowed by the policy for oneself only, so that somebody else's name is refused by the use case."""

VERBS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "INVENTED")
ENTRIES = (*TABLE, *TRANSFERS)
ROUTES = {f"{entry.method} {entry.path}": entry for entry in ENTRIES}
REFUSALS = {"AUTH-005", "AUTH-006", "AUTH-007", "AUTH-010"}


def test_each_route_has_a_row():
    assert list(LEAST) == list(ROUTES)
    assert len({entry.name for entry in ENTRIES}) == len(ENTRIES)


def fill(entry):
    path = entry.path.replace("{thing:path}", "nothing")
    while "{" in path:
        path = path[: path.index("{")] + "nothing" + path[path.index("}") + 1 :]
    return f"/api/v1{path}"


def send(site, entry, token, **options):
    body = {"json": BODIES.get(entry.command, {})} if getattr(entry, "has_body", False) else {}
    return site(entry.method, fill(entry), token, **body, **options)


@pytest.fixture
def site(desk):
    return Site(desk)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("role", ROLES)
def test_every_role(site, desk, route, role):
    """In the project; without one; in another project; everywhere."""
    entry, least = ROUTES[route], LEAST[route]
    desk.ask(access.AddProject(name="rail"), actor=HOME_USER)
    enough = least != "home" and ROLES.index(role) >= ROLES.index(least)
    here = Person(desk, "asker", role)
    answer = send(site, entry, here.token)
    assert (answer.status_code == 403) is not enough, answer.text
    assert enough or answer.json()["code"] in REFUSALS
    foreign = send(site, entry, here.token, params={"project": "rail"})
    assert (foreign.status_code, foreign.json()["code"]) in {(403, "AUTH-007"), (403, "AUTH-005")}
    elsewhere = Person(desk, "foreigner", role, project="rail")
    assert send(site, entry, elsewhere.token).json()["code"] in REFUSALS
    everywhere = Person(desk, "ruler", role, everywhere=True)
    may = ROLES.index(role) >= ROLES.index("admin" if least == "home" else least)
    refused = send(site, entry, everywhere.token).status_code == 403
    assert refused is not may or (route in SELF_SERVICE and role != "admin")


@pytest.mark.parametrize("route", ROUTES)
def test_every_token_that_is_none(site, desk, route):
    entry = ROUTES[route]
    for token in (None, "", "x", "msp_short", "msp_" + "0" * 16 + "_" + "0" * 64, HOME_TOKEN[:-1]):
        assert send(site, entry, token).status_code == 401
    expired = Person(desk, "expired", "admin", everywhere=True, expires_s=1.0)
    revoked = Person(desk, "revoked", "admin", everywhere=True)
    narrow = Person(desk, "narrow", "admin", everywhere=True, scopes=("secrets.use",))
    no_role = Person(desk, "nobody")
    desk.ask(access.RevokeToken(id=revoked.token_id), actor=HOME_USER)
    desk.clock.advance(2.0)
    assert send(site, entry, expired.token).json()["code"] == "AUTH-003"
    assert send(site, entry, revoked.token).json()["code"] == "AUTH-004"
    assert send(site, entry, narrow.token).json()["code"] == "AUTH-006"
    assert send(site, entry, no_role.token).json()["code"] == "AUTH-007"


@pytest.mark.parametrize("route", ROUTES)
def test_reading_tokens_read(site, desk, route):
    reader = Person(desk, "reader", "admin", everywhere=True, scopes=("read",))
    answer = send(site, ROUTES[route], reader.token)
    reads = LEAST[route] == "viewer" and ROUTES[route].method == "GET"
    assert (answer.status_code == 403) is not reads, answer.text


@pytest.mark.parametrize("path", sorted({entry.path for entry in ENTRIES}))
def test_every_verb(site, desk, path):
    """A verb that the table does not name is no way in for any role, and reaches no use case."""
    known = {entry.method: entry for entry in ENTRIES if entry.path == path}
    ruler = Person(desk, "ruler", "admin", everywhere=True)
    for verb in VERBS:
        if verb in known or (verb == "HEAD" and "GET" in known):
            continue
        filled = fill(next(iter(known.values())))
        asked = len(site.asked)
        assert site(verb, filled, None).status_code == 401
        assert site(verb, filled, ruler.token).status_code == (204 if verb == "OPTIONS" else 405)
        assert len(site.asked) == asked


@pytest.mark.parametrize("route", [route for route, entry in ROUTES.items() if entry.writes])
def test_every_write_resists_other_sites(site, desk, route):
    """CSRF: with a browser's cookie, a write needs our own origin; with a token, no foreign one."""
    entry = ROUTES[route]
    cookie = {"mainspring_session": site.sessions.open("")}
    for headers in ({}, {"Origin": "https://evil.example"}, {"Origin": "null"}):
        answer = send(site, entry, None, cookies=cookie, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "API-004")
    answer = send(site, entry, HOME_TOKEN, headers={"Origin": "https://evil.example"})
    assert (answer.status_code, answer.json()["code"]) == (403, "API-004")
    assert site.asked == []


COMMANDS = sorted(ANSWERS, key=lambda each: each.__name__)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda each: each.__name__)
def test_every_command_asks_who(site, desk, command):
    """The typed wire is as closed as the routes: nobody, strangers and those of other projects."""
    path = f"/api/v1/commands/{command.__name__}"
    headers = {"Content-Type": "application/msgpack", "Mainspring-Protocol": "1"}
    assert site("POST", path, None, headers=headers).status_code == 401
    assert site("GET", path, None).status_code == 401
    assert site("GET", path).status_code == 405
    assert site("POST", path, headers=headers, content=b"\x80").status_code == 400
    assert site.asked == []
