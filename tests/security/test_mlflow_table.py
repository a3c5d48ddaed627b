"""Every endpoint of MLflow's protocol: nobody without a token, no cookie, no other verb, one shape of refusal."""

import re

import pytest
from tests.support.relays import Site

from mainspring.api.mlflow.errors import STATUS
from mainspring.api.mlflow.routes import TABLE
from mainspring.api.sessions import COOKIE, Sessions

PATHS = [(each, re.sub(r"\{[^}]+\}", "x", each.path)) for each in TABLE]


@pytest.fixture
def site(desk):
    return Site(desk, sessions=Sessions())


def test_nobody_gets_in_without_a_token_or_by_a_cookie(site):
    cookie = site.sessions.open("")
    for endpoint, path in PATHS:
        for options in ({}, {"cookies": {COOKIE: cookie}}):
            for root in ("", "/projects/default"):
                answer = site(endpoint.method, root + path, None, **options)
                if endpoint.public:
                    assert answer.status_code == 200, path
                else:
                    assert answer.status_code == 401, (endpoint.name, root)
                    assert answer.json()["error_code"] == "UNAUTHENTICATED"
    assert site.asked == []


def test_pages_of_other_sites_are_refused(site):
    for endpoint, path in PATHS:
        answer = site(endpoint.method, path, headers={"Origin": "https://evil.example.org"})
        assert answer.status_code == 403, endpoint.name
        if path != "/health":  # below the root it is ours
            assert answer.json()["error_code"] == "PERMISSION_DENIED"
    assert site.asked == []


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "a b"])
def test_another_host_name_is_refused_in_mlflows_shape(site, host):
    for root in ("", "/projects/default"):
        answer = site("POST", f"{root}/api/2.0/mlflow/runs/create", headers={"Host": host})
        assert (answer.status_code, set(answer.json())) == (400, {"error_code", "message"})
        assert answer.json()["error_code"] == "INVALID_PARAMETER_VALUE"
        assert (f"not called {host!r}" if " " not in host else "not called") in answer.json()["message"]
        assert answer.headers["mainspring-code"] == "API-017"
    assert site.asked == []


def test_a_request_without_fields_is_answered_in_mlflows_shape(site):
    for endpoint, path in PATHS:
        answer = site(endpoint.method, path)
        assert answer.status_code < 500 or answer.json()["error_code"] == "NOT_IMPLEMENTED", (
            endpoint.name,
            answer.text,
        )
        if answer.status_code >= 400:
            told = answer.json()
            assert set(told) == {"error_code", "message"}, endpoint.name
            assert STATUS[told["error_code"]] == answer.status_code
            assert told["error_code"] != "ENDPOINT_NOT_FOUND", endpoint.name
            assert told["message"]


def test_a_verb_that_a_path_does_not_know_is_no_endpoint(site):
    known = {(each.method, each.path) for each in TABLE}
    patterns = [(each.method, re.compile(re.sub(r"\{[^}]+\}", ".*", each.path))) for each in TABLE]
    for endpoint, path in PATHS:
        for verb in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            taken = any(method == verb and pattern.fullmatch(path) for method, pattern in patterns)
            if taken or (verb, endpoint.path) in known or path in {"/health"}:
                continue
            answer = site(verb, path)
            assert (answer.status_code, answer.json()["error_code"]) == (404, "ENDPOINT_NOT_FOUND"), (verb, path)
