"""HTTP, request by request: deny by default, strict inputs, one kind of error."""

import pytest
from starlette.routing import Route
from tests.support.relays import HOME_TOKEN, Site

from mainspring.api.app import Policy, check_policies
from mainspring.api.frame import MOST_JSON_BYTES
from mainspring.api.routes import TABLE
from mainspring.domain import access, messages

VERBS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "INVENTED"]
PATHS = ["/", "/api", "/nowhere", "/api/v1/", "/api/v1/commands/GetRun", *{f"/api/v1{entry.path}" for entry in TABLE}]
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def site(desk):
    return Site(desk)


def code_of(answer):
    return answer.status_code, answer.json().get("code")


@pytest.mark.parametrize(
    "header", [None, "Bearer", "Bearer ", f"Basic {HOME_TOKEN}", f"Bearer {HOME_TOKEN[:-1]}b", HOME_TOKEN]
)
def test_without_the_token_nothing_is_asked(site, header):
    headers = {} if header is None else {"Authorization": header}
    for path in PATHS:
        for verb in VERBS:
            answer = site(verb, path, None, headers=headers)
            assert answer.status_code == 401, (verb, path)
            assert answer.headers["www-authenticate"] == "Bearer"
    assert site.asked == []


def test_a_path_answers_its_verbs_and_names_them(site):
    for path in {entry.path for entry in TABLE}:
        known = {entry.method for entry in TABLE if entry.path == path}
        allowed = {*known, "OPTIONS", *(["HEAD"] if "GET" in known else [])}
        for verb in set(VERBS) - allowed:
            answer = site(verb, f"/api/v1{path}")
            assert answer.status_code == 405, (verb, path)
            assert verb == "HEAD" or code_of(answer) == (405, "API-007")
            assert set(answer.headers["allow"].split(", ")) == allowed
        asked = site("OPTIONS", f"/api/v1{path}")
        assert asked.status_code == 204
        assert set(asked.headers["allow"].split(", ")) == allowed
    assert site.asked == []


def test_head_tells_what_get_would(site):
    answer = site("HEAD", "/api/v1/status")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("verb", ["GET", "POST", "DELETE"])
def test_an_unknown_path_is_a_problem(site, verb):
    answer = site(verb, "/nowhere")
    assert code_of(answer) == (404, "API-002")
    assert answer.headers["content-type"] == "application/problem+json"


def test_health_is_public_and_says_nothing(site):
    assert site("GET", "/health", None).json() == {"status": "ok"}
    assert site.asked == []


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8430", "", "a b"])
def test_another_host_name_is_refused(site, host):
    answer = site("GET", "/api/v1/status", headers={"Host": host})
    assert code_of(answer) == (400, "API-017")
    assert site.asked == []


def test_errors_are_problems_with_their_fix(site):
    answer = site("GET", "/api/v1/runs/feed")
    assert code_of(answer) == (404, "RUN-001")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["fix"] == "mainspring runs"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("limit", ["0", "-1", "1001", "all", "", "²", "1_0", " 1", "9" * 5000, "null"])
def test_a_limit_out_of_range_is_refused(site, limit):
    assert code_of(site("GET", "/api/v1/runs", params={"limit": limit})) == (400, "API-003")
    assert site.asked == []


@pytest.mark.parametrize("wait_s", ["-1", "30.1", "nan", "inf", "1e300", "long", ""])
def test_nobody_waits_for_longer_than_half_a_minute(site, wait_s):
    for path in ("/events", "/runs/feed/logs"):
        assert code_of(site("GET", f"/api/v1{path}", params={"wait_s": wait_s})) == (400, "API-003")
    assert site.asked == []


@pytest.mark.parametrize(
    "query", ["colour=red", "limit=1&limit=2", "project=a&project=b", "fields=id,colour", "fields=", "filter=%00"]
)
def test_a_query_is_read_strictly(site, query):
    assert code_of(site("GET", f"/api/v1/runs?{query}")) == (400, "API-003")
    assert site.asked == []


def test_the_word_null_is_no_null(site, desk):
    desk.ask(messages.PutVersion(kind="dataset", name="null", digest="d", manifest={}))
    assert code_of(site("GET", "/api/v1/deleted?kind=null")) == (400, "API-003")
    assert [each["name"] for each in site("GET", "/api/v1/datasets?name=null").json()] == ["null"]


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"null",
        b'"x"',
        b'{"name": 1}',
        b'{"name": "air", "colour": "red"}',
        b"{}",
        b'{"name": "a\\u0000b"}',
        b'{"name": "\\ud800"}',
        b"\xff\xfe",
        b'{"name": ' + b"[" * 1_000_000,
        b"[" * 1_000_000,
        b'{"a":' * 150_000,
    ],
)
def test_a_body_is_read_strictly(site, body):
    answer = site("POST", "/api/v1/projects", content=body, headers=JSON)
    assert code_of(answer) == (400, "API-008")
    assert site.asked == []


def test_what_lies_too_deep_is_refused_before_the_owner_sees_it(site):
    deep = '{"model": "m", "monitor": ' + "[" * 500 + "]" * 500 + "}"
    assert code_of(site("PUT", "/api/v1/services/s", content=deep, headers=JSON)) == (400, "API-008")
    assert site.asked == []


def test_a_body_of_a_gigabyte_is_refused_before_it_is_read(site):
    headers = {**JSON, "Content-Length": str(10**9)}
    answer = site("POST", "/api/v1/projects", content=b"", headers=headers)
    assert code_of(answer) == (413, "API-009")


def test_a_body_without_a_length_is_cut_off_at_the_bound(site):
    sent = 0

    async def send():
        nonlocal sent
        for _ in range(1000):
            sent += 65536
            yield b" " * 65536

    assert code_of(site("POST", "/api/v1/projects", content=send(), headers=JSON)) == (413, "API-009")
    assert sent <= MOST_JSON_BYTES + 2 * 65536


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_a_form_of_another_site_is_no_json(site, kind):
    answer = site("POST", "/api/v1/projects", content=b'{"name": "air"}', headers={"Content-Type": kind})
    assert code_of(answer) == (415, "API-010")
    assert site.asked == []


def test_chosen_fields_only(site, desk):
    run = desk.ask(messages.BeginRun(kind="step", name="fit")).run
    assert site("GET", "/api/v1/runs", params={"fields": "id,name"}).json() == {
        "runs": [{"id": run.id, "name": "fit"}],
        "next": None,
        "count": None,
    }
    assert site("GET", f"/api/v1/runs/{run.id}?fields=name").json() == {"name": "fit"}
    assert code_of(site("GET", f"/api/v1/runs/{run.id}/series/a?fields=x")) == (400, "API-003")


def test_pages_and_counts(site, desk):
    made = [desk.ask(messages.BeginRun(kind="step", name="fit")).run.id for _ in range(5)]
    found, page = [], ""
    while page is not None:
        answer = site("GET", "/api/v1/runs", params={"limit": 2, "page": page, "count": "true"}).json()
        found += [run["id"] for run in answer["runs"]]
        assert answer["count"] == 5
        page = answer["next"]
    assert found == made[::-1]


def test_a_filter_with_a_fault_shows_where(site):
    answer = site("GET", "/api/v1/runs", params={"filter": "state = failed and"})
    assert code_of(answer) == (400, "RUN-011")
    assert answer.json()["context"]["position"] == 18


def test_a_key_has_its_effect_once(site, desk):
    headers = {**JSON, "Idempotency-Key": "k1"}
    assert site("POST", "/api/v1/projects", json={"name": "air"}, headers=headers).status_code == 201
    assert site("POST", "/api/v1/projects", json={"name": "air"}, headers=headers).status_code == 201
    assert code_of(site("POST", "/api/v1/projects", json={"name": "air"})) == (409, "AUTH-012")
    assert code_of(site("POST", "/api/v1/projects", json={"name": "rail"}, headers=headers)) == (409, "API-011")
    assert code_of(site("POST", "/api/v1/users", json={"name": "anna"}, headers=headers)) == (409, "API-011")
    assert [each.name for each in desk.ask(access.ListProjects())] == ["default", "air"]


@pytest.mark.parametrize("key", ["", "x" * 201, "a b", "\t"])
def test_a_key_that_cannot_be_used(site, key):
    answer = site("POST", "/api/v1/projects", json={"name": "air"}, headers={"Idempotency-Key": key})
    assert code_of(answer) == (400, "API-012")


@pytest.mark.parametrize("text", ["'; drop table runs; --", "' or 1=1 --", 'x" union select 1 --', "%27%20or%201=1"])
def test_injection_finds_nothing_and_breaks_nothing(site, desk, text):
    run = desk.ask(messages.BeginRun(kind="step", name="fit")).run
    for path in ("/runs/", "/services/", "/models/", "/users/", "/secrets/", "/why/"):
        assert site("GET", f"/api/v1{path}{text}").status_code in {400, 404}, path
    for path in ("/alarms?service=", "/datasets?name=", "/events?subject="):
        assert site("GET", f"/api/v1{path}{text}").json() == []
    assert site("GET", "/api/v1/runs", params={"order_by": text}).status_code == 400
    assert site("GET", f"/api/v1/runs/{run.id}").status_code == 200


def test_a_route_without_a_policy_stops_the_start():
    with pytest.raises(RuntimeError, match="has no policy"):
        check_policies([Route("/open", lambda _: None)])
    assert {policy.name for policy in Policy} == {"PUBLIC", "CODE", "HOOK", "TOKEN"}
