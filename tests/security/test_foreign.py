"""Every route that names something: what another project has cannot be read, changed or told from nothing (IDOR).

The routes come from the tables; one whose place in the path has no row here fails.
"""

import hashlib
import re

import pytest
from sqlalchemy import select
from tests.support.access import HOME_USER, Person
from tests.support.relays import BODIES, Site

from mainspring.api.routes import TABLE, TRANSFERS
from mainspring.domain import access, messages, records, sinks
from mainspring.domain.errors import MainspringError
from mainspring.store.rows import add
from mainspring.store.tables import alarms, metadata

ROUTES = {f"{entry.method} {entry.path}": entry for entry in (*TABLE, *TRANSFERS) if "{" in entry.path}
CANARY = "canary-5d81"
CONTENT = CANARY.encode()
DIGEST = hashlib.sha256(CONTENT).hexdigest()

PLACES = {
    "runs": {
        "id": lambda it: [it.run.id, it.run.id[:14], it.run.id[-10:], it.hidden.id],
        "run_id": lambda it: [it.run.id, it.hidden.id, it.gate.id],
        "key": lambda _: ["auc"],
        "before": lambda it: [it.run.id, it.run.id[-10:]],
        "after": lambda it: [it.run.id],
    },
    "datasets": {
        "reference": lambda _: ["orders", "orders@1", "orders@clean", "gone@1"],
        "name": lambda _: ["orders", "part-0.parquet"],
        "alias": lambda _: ["clean"],
    },
    "models": {
        "reference": lambda _: ["delays", "delays@1", "delays@best"],
        "name": lambda _: ["delays"],
        "model": lambda _: ["delays", "delays@1"],
        "alias": lambda _: ["best", "champion"],
    },
    "registry": {"name": lambda _: ["delays"]},
    "gates": {"model": lambda _: ["delays"], "alias": lambda _: ["champion"]},
    "declarations": {"kind": lambda _: ["gate"], "name": lambda _: ["delays->champion"]},
    "pipelines": {"name": lambda _: ["nightly"]},
    "services": {"name": lambda _: ["web"]},
    "why": {"thing": lambda it: [it.run.id, it.run.id[-10:], "delays@best", "web", "nightly", it.alarm, it.hidden.id]},
    "projects": {"name": lambda _: ["air"]},
    "users": {"name": lambda _: ["anna"]},
    "tokens": {"id": lambda it: [it.inside.token_id]},
    "secrets": {"name": lambda _: ["database"]},
    "sinks": {"name": lambda _: ["ops"]},
    "blobs": {"digest": lambda _: [DIGEST]},
    "pools": {"name": lambda _: ["local"]},
}
"""First part of the path -> place in it -> what names something of the other project."""

WRITES_OWN = {"PUT /secrets/{name}", "PUT /sinks/{name}", "POST /blobs/{digest}/hold"}
"""Makes something of that name in one's own project, whatever others have."""

OF_HOME = {"PUT /users/{name}/role", "DELETE /users/{name}/role", "GET /pools/{name}"}
"""Users and pools are the home's: an admin of a project gives any user a role in it, by name; pools all may see."""

ADMINISTERED = {
    route
    for route in ROUTES
    if route.split("/")[1].split("{")[0] in {"pools", "nodes", "quotas"} and not route.startswith("GET")
}
"""Pools, machines and quotas are the home's, and an admin of one project changes none."""


class Things:
    """One of everything in `air`; `outside` rules `rail`, and nothing else."""

    def __init__(self, desk):
        self.desk = desk
        for name in ("air", "rail"):
            desk.ask(access.AddProject(name=name), actor=HOME_USER)
        self.inside = Person(desk, "anna", "admin", project="air")
        self.outside = Person(desk, "ben", "admin", project="rail")
        desk.blobs.put(CONTENT)

        def put(command):
            return desk.ask(command, actor=HOME_USER, project="air")

        self.run = put(messages.BeginRun(kind="step", name="fit", params={"what": CANARY}, tags={"what": CANARY})).run
        held = {"run_id": self.run.id, "attempt": 1, "fence": self.run.fence}
        put(messages.Report(**held, offset=1, points=[("auc", 0, 0.0, 1.0)]))
        value = records.Value("json", DIGEST, len(CONTENT), CANARY)
        put(messages.FinishRun(**held, state="succeeded", outputs=value))
        self.gate = put(messages.BeginRun(kind="step", name="judge")).run
        self.hidden = put(messages.BeginRun(kind="step", name="old")).run
        put(messages.FinishRun(run_id=self.hidden.id, attempt=1, fence=self.hidden.fence, state="succeeded"))
        put(messages.PutVersion(kind="dataset", name="orders", digest="d", manifest=self.manifest("orders@air")))
        put(messages.PutVersion(kind="dataset", name="gone", digest="d", manifest={}))
        put(messages.MoveAlias(kind="dataset", name="orders", alias="clean", number=1))
        put(messages.PutVersion(kind="model", name="delays", digest="m", manifest={"model": DIGEST}))
        put(messages.MoveAlias(kind="model", name="delays", alias="best", number=1))
        put(messages.Deploy(name="web", model="delays@best"))
        snapshot = {"files": {}, "entry": f"{CANARY}:run", "python": "python3", "preload": []}
        flow = {"triggers": [], "folder": "/", "snapshot": snapshot}
        declared = (("gate", "delays->champion", {"note": CANARY}), ("pipeline", "nightly", flow))
        put(messages.Apply(declarations=[records.Declaration(*each) for each in declared]))
        put(access.AddSecret(name="database", value=CANARY))
        put(sinks.AddSink(name="ops", kind="webhook", url=f"https://ops.example.org/{CANARY}"))
        for route, command in (("DELETE /runs/{id}", {"id": self.hidden.id}), ("DELETE /datasets/{reference}", None)):
            fields = command or {"kind": "dataset", "reference": "gone@1"}
            build = ROUTES[route].build or ROUTES[route].command
            put(build(**fields, **({"dry_run": False} if command else {})))
        folder = desk.home.tables / "orders@air"
        folder.mkdir(parents=True)
        (folder / "part-0.parquet").write_bytes(CONTENT)

        def raise_alarm(turn):
            self.alarm = turn.new_id()
            alarm = records.Alarm(self.alarm, "web", "drift", "price", CANARY, {}, 1.0, project="air")
            add(turn.connection, alarms, alarm)

        desk.call(raise_alarm)
        self.site = Site(desk)

    @staticmethod
    def manifest(table):
        return {"table": table, "files": ["part-0.parquet"]}

    def read_all(self):
        """Return every row of `air`, as text."""
        found = {}

        def read(turn):
            for table in metadata.sorted_tables:
                if "project" in table.c:
                    rows = turn.connection.execute(select(table).where(table.c.project == "air"))
                    found[table.name] = sorted(map(str, rows))

        self.desk.call(read)
        return found


@pytest.fixture
def things(desk):
    return Things(desk)


def list_paths(entry, things):
    """Yield each path that names something of the other project, and one like it that names nothing."""
    rows = PLACES[entry.path.split("/")[1]]
    places = re.findall(r"\{([a-z_]+)(?::path)?\}", entry.path)
    values = {place: rows[place](things) for place in places}
    first = places[0]
    for value in values[first]:
        filled = [entry.path, entry.path]
        for at, shown in enumerate((value, disguise(value))):
            for place in places:
                text = shown if place == first else values[place][-1]
                filled[at] = re.sub(rf"\{{{place}(:path)?\}}", text, filled[at], count=1)
        yield value, filled[0], filled[1]


def disguise(value):
    """Return a name of the same form that nothing has."""
    if re.fullmatch("[0-9a-f]{10,64}", value):
        return "".join("0123456789abcdef"[15 - int(each, 16)] for each in value)
    return re.sub("^[a-z]+", lambda found: "z" * len(found[0]), value)


def send(things, entry, path, **options):
    body = {"json": BODIES.get(entry.command, {})} if getattr(entry, "has_body", False) else {}
    if entry.method == "PUT" and entry.path.startswith("/blobs"):
        body = {"content": b"something else"}
    return things.site(entry.method, f"/api/v1{path}", things.outside.token, **body, **options)


def tell(answer, value):
    """Return an answer without the name that was asked for."""
    headers = {name: text for name, text in answer.headers.items() if name != "content-length"}
    text = answer.text.replace(value, "NAME").replace(disguise(value), "NAME")
    if answer.status_code < 300:
        text = re.sub("[0-9a-f]{32}", "ID", text)  # of what was made
    return answer.status_code, headers, text


@pytest.mark.parametrize("route", sorted(set(ROUTES) - OF_HOME - ADMINISTERED))
def test_what_is_foreign_is_as_if_it_were_not(things, route):
    entry = ROUTES[route]
    before, tried = things.read_all(), 0
    for value, foreign, nothing in list_paths(entry, things):
        for params in ({"project": "rail"}, {"project": "air"}):
            one, other = (send(things, entry, path, params=params) for path in (foreign, nothing))
            assert tell(one, value) == tell(other, value), (foreign, params)
            assert CANARY not in one.text + str(one.headers)
            allowed = route in WRITES_OWN and params["project"] == "rail"
            assert (one.status_code < 300) is allowed, (foreign, params, one.text)
            tried += 1
    assert tried
    assert things.read_all() == before


@pytest.mark.parametrize("route", sorted(ADMINISTERED))
def test_who_rules_one_project_does_not_rule_the_home(things, route):
    path = re.sub(r"\{[a-z_]+(:path)?\}", "local", ROUTES[route].path)
    for project in ("rail", "air"):
        assert send(things, ROUTES[route], path, params={"project": project}).status_code == 403


@pytest.mark.parametrize("route", ROUTES)
def test_its_own_project_reaches_it(things, route):
    """What is refused above is there: the same request answers whoever may."""
    entry = ROUTES[route]
    if entry.method != "GET" or entry.path.startswith(("/users", "/runs/{run_id}/verdict", "/runs/{id}/call")):
        return
    statuses = set()
    for _, path, _ in list_paths(entry, things):
        answer = things.site("GET", f"/api/v1{path}", things.inside.token, params={"project": "air"})
        statuses.add(answer.status_code)
    assert 200 in statuses, route


def test_a_project_that_is_foreign_is_as_if_it_were_not(things):
    for entry in (*TABLE, *TRANSFERS):
        path = re.sub(r"\{[a-z_]+(:path)?\}", "name", entry.path)
        answers = [send(things, entry, path, params={"project": name}) for name in ("air", "zzz")]
        assert [each.status_code for each in answers] == [403, 403]
        assert answers[0].text.replace("air", "zzz") == answers[1].text, entry


def test_the_key_of_another_brings_nobody_his_answer(things):
    headers = {"Idempotency-Key": "the-same"}
    body = {"json": {"reason": "enough"}, "headers": headers}
    path = f"/api/v1/runs/{things.gate.id}/cancel"
    first = things.site("POST", path, things.inside.token, params={"project": "air"}, **body)
    assert first.status_code == 200
    for project in ("air", "rail"):
        answer = things.site("POST", path, things.outside.token, params={"project": project}, **body)
        assert answer.status_code in {403, 404}
        assert "judge" not in answer.text


@pytest.mark.parametrize("revived", [False, True], ids=["new", "revived"])
def test_a_version_that_names_a_foreign_table_is_refused(things, revived):
    """Else its files could be read through it."""
    put = messages.PutVersion(kind="dataset", name="mine", digest="d", manifest=things.manifest("mine@rail"))
    if revived:
        things.outside.ask(put)
        deletes = ROUTES["DELETE /datasets/{reference}"].command
        things.outside.ask(deletes(kind="dataset", reference="mine@1"))
    put.manifest = things.manifest("orders@air")
    with pytest.raises(MainspringError) as caught:
        things.outside.ask(put)
    assert caught.value.code == "HOME-011"
    path = "/api/v1/datasets/mine@1/files/part-0.parquet"
    answer = things.site("GET", path, things.outside.token, params={"project": "rail"})
    assert answer.status_code == 404
    assert CANARY not in answer.text
