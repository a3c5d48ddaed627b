"""Every list comes in pages: none is missed or told twice, none is without bounds, no page of another query."""

import itertools
import re
from typing import get_origin

import pytest
from msgspec.structs import replace
from tests.support.relays import Site

from mainspring.api.routes import TABLE
from mainspring.domain import (
    access,
    experiments,
    files,
    gates,
    messages,
    planning,
    pools,
    preemptions,
    quotas,
    records,
    registry,
    retries,
    searches,
    sinks,
    tracking,
    triggers,
    upkeep,
)
from mainspring.domain.answers import ANSWERS
from mainspring.domain.errors import Invalid
from mainspring.domain.lists import PAGES, read_all
from mainspring.store.rows import add
from mainspring.store.runs import add_run
from mainspring.store.tables import alarms, renewals

WHOLE = {
    messages.SubmitRuns: "as many as were handed in",
    messages.WaitRuns: "as many as were named",
    messages.CancelRuns: "as many as were named",
    preemptions.PreemptRuns: "as many as were named",
    retries.RetryRuns: "as many as were named",
    upkeep.RestoreRuns: "as many as were named",
    upkeep.RestoreVersions: "the versions of one name",
    messages.GetSeries: "the points of one metric of one run",
    tracking.ListArtifacts: "what one run has logged",
    files.ListFiles: "what one run has logged",
    files.RemoveFiles: "what one run has logged",
    messages.ListReads: "what one tree of runs has read",
    pools.ListPools: "a home has at most 100",
    pools.ListNodes: "as many as the machines of its pools",
    quotas.ListQuotas: "as many as the tenants about which something was agreed",
    sinks.ListSinks: "a project has at most 50",
}
"""Lists that come at once, and what bounds them."""

NAMES = [f"n{number}" for number in range(5)]


def make(desk, name, project="default"):
    """Make one of everything that is listed."""

    def put(command):
        return desk.ask(command, project=project)

    put(messages.BeginRun(kind="step", name=name))
    put(experiments.OpenRun(name=name))
    put(messages.PutVersion(kind="dataset", name=name, digest="d", manifest={}))
    for number in range(2):
        put(messages.PutVersion(kind="model", name="same", digest=f"{name}{number}", manifest={}))
    put(messages.Deploy(name=name, model="same"))
    for kind in ("dataset", "model"):
        put(messages.PutVersion(kind=kind, name=f"old-{name}", digest=name, manifest={}))
        put(upkeep.DeleteVersions(kind=kind, reference=f"old-{name}@1"))
    put(access.AddSecret(name=name, value="a secret of length"))
    body = {"triggers": [], "folder": "/", "snapshot": {"files": {}, "entry": "flow:run", "python": "python3"}}
    put(messages.Apply(declarations=[records.Declaration("pipeline", name, body)]))
    put(messages.Apply(declarations=[records.Declaration("gate", f"{name}->champion", {})]))
    put(registry.RegisterModel(name=f"empty-{name}"))
    user = f"{project}-{name}"
    put(access.AddUser(name=user, role="viewer"))
    put(access.IssueToken(principal=user))

    def insert(turn):
        add_run(turn.connection, records.Run(turn.new_id(), project, "step", name, "succeeded", place="local"))
        alarm = records.Alarm(turn.new_id(), name, "drift", name, "moved", {}, 1.0, project=project)
        add(turn.connection, alarms, alarm)
        add(turn.connection, renewals, records.Renewal(turn.new_id(), name, "refused", "alarm", 1.0, project=project))

    desk.call(insert)


LISTS = [
    messages.ListRuns(),
    messages.SearchRuns(),
    messages.SearchRuns("name ~ n", "name"),
    searches.FindRuns(experiments=(0,)),
    searches.FindRuns(experiments=(0,), filter="run_name LIKE 'n%'", order_by=("tags.none", "run_name DESC")),
    messages.ListVersions(kind="dataset"),
    messages.ListVersions(kind="model"),
    messages.ListVersions(kind="model", name="same"),
    messages.ListServices(),
    triggers.ListPipelines(),
    gates.ListGates(),
    registry.ListModels(),
    messages.ListAlarms(),
    messages.ListAlarms(service="n1"),
    messages.ListRenewals(),
    messages.ListEvents(),
    upkeep.ListDeleted(),
    upkeep.ListDeleted(kind="dataset"),
    messages.ListEvents(kind="data"),
    access.ListProjects(),
    access.ListUsers(),
    access.ListTokens(),
    access.ListTokens(principal="default-n1"),
    access.ListSecrets(),
    access.ListAudit(),
    planning.ListStays(),
]


@pytest.fixture
def full(desk):
    for name in NAMES:
        desk.ask(access.AddProject(name=name))
        make(desk, name)
    make(desk, "foreign", "n0")
    return desk


_PAGED = {messages.RunPage, searches.FoundRuns}


def test_every_list_has_its_pages():
    lists = {command for command, answer in ANSWERS.items() if get_origin(answer) is list or answer in _PAGED}
    assert set(PAGES) == {type(each) for each in LISTS}
    assert {command for command in lists if "limit" in command.__struct_fields__} == set(PAGES)
    routed = {entry.command for entry in TABLE}
    assert {command for command in lists - set(PAGES) if command in routed} <= set(WHOLE)


def name_of(item):
    return getattr(item, "seq", None) or getattr(item, "id", None) or item.name


def test_pages_hold_everything_once(full):
    for wanted in LISTS:
        most = PAGES[type(wanted)].most
        whole = [name_of(each) for each in read_all(full.ask, replace(wanted, limit=most))]
        assert len(set(whole)) == len(whole) > 0, wanted
        for limit in (1, 2, len(whole), len(whole) + 1):
            found = [name_of(each) for each in read_all(full.ask, replace(wanted, limit=limit))]
            assert found == whole, (wanted, limit)


def test_what_comes_meanwhile_disturbs_no_page(full):
    numbers = itertools.count()

    def ask(command):
        answer = full.ask(command)
        name = f"late{next(numbers)}"
        full.ask(access.AddProject(name=name))
        make(full, name)
        return answer

    for wanted in LISTS:
        before = [name_of(each) for each in read_all(full.ask, wanted)]
        asked = replace(wanted, limit=len(before) // 2 + 1)
        found = [name_of(each) for each in itertools.islice(read_all(ask, asked), 2 * len(before))]
        assert len(set(found)) == len(found), wanted
        if wanted == messages.ListVersions(kind="model"):
            before = []  # another version is the latest of its name now, and stands before the first page
        assert set(before) <= set(found), wanted


def test_a_list_has_bounds(desk):
    for wanted in LISTS:
        most = PAGES[type(wanted)].most
        for limit in (0, -1, most + 1, 2**40):
            with pytest.raises(Invalid) as caught:
                desk.ask(replace(wanted, limit=limit))
            assert caught.value.code == "API-025"
            assert caught.value.context == {"limit": limit, "most": most}
            assert f"{limit:,}" in caught.value.what


def test_a_page_of_another_query_is_refused(full):
    others = {
        full.ask(messages.ListRuns())[0].id,
        full.ask(messages.ListVersions(kind="model"))[0].id,
        full.ask(messages.ListAlarms(service="n2"))[0].id,
        full.ask(access.ListTokens(principal="default-n2"))[0].id,
        str(full.ask(messages.ListEvents())[0].seq),
        "'; drop table runs; --",
    }
    of_home = {access.ListProjects, access.ListUsers, access.ListTokens, planning.ListStays}
    for wanted in (each for each in LISTS if hasattr(each, "page")):
        pages = others - {name_of(each) for each in read_all(full.ask, wanted)}
        assert len(pages) >= 4
        if type(wanted) not in of_home:
            pages |= {name_of(each) for each in read_all(lambda command: full.ask(command, project="n0"), wanted)}
        for page in pages:
            with pytest.raises(Invalid) as caught:
                full.ask(replace(wanted, page=page))
            assert caught.value.code == "RUN-013", (wanted, page)


def test_http_names_the_next_page(full):
    site = Site(full)
    for entry in (each for each in TABLE if each.command in PAGES):
        whole = site("GET", f"/api/v1{entry.path}")
        assert "link" not in whole.headers
        found, url = [], f"/api/v1{entry.path}?limit=2"
        while url:
            answer = site("GET", url)
            assert answer.status_code == 200
            found += read_items(answer)
            link = re.fullmatch('<(.+)>; rel="next"', answer.headers.get("link", ""))
            url = link and link[1]
        assert len(found) > 2 or entry.path in {"/datasets", "/models"}
        assert [str(each) for each in found] == [str(each) for each in read_items(whole)]


def read_items(answer):
    told = answer.json()
    return told["runs"] if isinstance(told, dict) else told
