"""The holes of peers, each by its number: the same root cause is tried here and must stay closed.

Classes: locations that a client supplies, authorisation that is opted into, deny-lists and double
parsing, loaders everywhere, open first runs and hosts, secrets in the clear.
"""

import ast
import asyncio
import json
import os
import pickle
import sqlite3
import sys
from pathlib import Path

import httpx
import pytest
from starlette.routing import Route
from tests.support.access import HOME_USER, Person
from tests.support.relays import DeskRelay, make_desk_app

import mainspring
from mainspring.api.app import check_policies
from mainspring.api.entrance import Entrance
from mainspring.api.routes import TABLE
from mainspring.api.sessions import Sessions
from mainspring.control import usecases
from mainspring.domain import access, gates, messages, records
from mainspring.domain.answers import ANSWERS
from mainspring.domain.errors import Denied, Invalid, MainspringError, NotFound
from mainspring.domain.wire import HEADER, decode_request, encode_request
from mainspring.security.policy import ACTIONS, authorise
from mainspring.security.seals import Seal
from mainspring.security.tokens import digest_token, worker_token
from mainspring.security.unsafe import unpickle
from mainspring.store.blobs import FolderBlobs
from mainspring.store.files import LocalFileSystem

SOURCES = sorted(Path(mainspring.__file__).parent.rglob("*.py"))
VERBS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "INVENTED"]
TOKEN = "a" * 64

OUTSIDE = [
    "../secret",
    "..",
    "a/../../secret",
    "..\\secret",
    "\\..\\secret",
    "/etc/passwd",
    "//etc/passwd",
    "file:///etc/passwd",
    "file:secret",
    "s3://bucket/key",
    "http://evil.example/model",
    "C:\\secret",
    "C:secret",
    "\\\\server\\share",
    "a/./b",
    "a//b",
    "",
    "a\0b",
    "./a",
]
ENCODED = ["%2e%2e%2fsecret", "%252e%252e%252fsecret", "..%2fsecret", "a;/../secret", "a#/../secret", "a?/../secret"]


def put(desk, kind, manifest, digest="d"):
    command = messages.PutVersion(kind=kind, name="delays", digest=digest, manifest=manifest)
    return desk.ask(command, actor=HOME_USER)


@pytest.mark.parametrize("path", OUTSIDE)
def test_cve_2023_1177_a_models_source_is_no_place_of_the_server(desk, path):
    """MLflow 2023-1177, 2025-11201, 2026-2614: a version's location, once trusted, is read later."""
    with pytest.raises(Invalid) as caught:
        put(desk, "model", {path: "0" * 64})
    assert caught.value.code == "HOME-011"


@pytest.mark.parametrize("path", [*OUTSIDE, *ENCODED])
def test_cve_2023_2780_a_datasets_table_is_one_of_the_project(desk, path):
    """MLflow 2023-2356, 2023-2780, 2023-6977, 2024-3573: another spelling of the way out."""
    with pytest.raises(Invalid):
        put(desk, "dataset", {"table": path, "files": []})


@pytest.mark.parametrize("path", OUTSIDE)
def test_cve_2023_6975_a_datasets_files_lie_in_its_table(desk, path):
    with pytest.raises(Invalid):
        put(desk, "dataset", {"table": "delays", "files": [path]})


def test_a_table_of_another_project_is_no_table_of_this_one(desk):
    desk.ask(access.AddProject(name="rail"), actor=HOME_USER)
    with pytest.raises(Invalid, match="HOME-011"):
        put(desk, "dataset", {"table": "delays@rail", "files": []})
    command = messages.PutVersion(kind="dataset", name="x", digest="d", manifest={"table": "delays", "files": []})
    with pytest.raises(Invalid, match="HOME-011"):
        desk.ask(command, actor=HOME_USER, project="rail")


@pytest.mark.parametrize("path", ENCODED)
def test_cve_2024_1560_nothing_is_decoded_twice(desk, path, tmp_path):
    """MLflow 2023-6831, 2024-1560, 2024-1593: a name is taken as it is, so ``%2e`` is three characters."""
    version = put(desk, "model", {path: "0" * 64}, digest=path) if "/.." not in path else None
    if version is not None:
        assert list(version.manifest) == [path]
    with pytest.raises(MainspringError):
        FolderBlobs(tmp_path, LocalFileSystem()).get(path)


@pytest.mark.parametrize(
    "digest", ["../../keys/token", "/etc/passwd", "0" * 63, "0" * 63 + "G", "0" * 64 + "/../x", ""]
)
def test_cve_2024_7340_a_blob_is_named_by_its_digest_alone(tmp_path, digest):
    """Weave 2024-7340: a traversal leaked the admin's key."""
    blobs = FolderBlobs(tmp_path, LocalFileSystem())
    for ask in (blobs.get, blobs.path):
        with pytest.raises(MainspringError):
            ask(digest)


@pytest.mark.parametrize("name", ["../x", "a/b", "a@b", "..", "", "a\0", "-x"])
def test_a_name_makes_no_folder_elsewhere(desk, name):
    put(desk, "model", {}, digest="m")
    with pytest.raises(MainspringError):
        desk.ask(messages.PutVersion(kind="dataset", name=name, digest="d", manifest={}), actor=HOME_USER)
    with pytest.raises(MainspringError):
        desk.ask(access.AddProject(name=name), actor=HOME_USER)


class Trap:
    """Leaves a mark when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_cve_2024_37052_a_pickle_that_is_not_ours_is_never_opened(tmp_path):
    """MLflow 2024-37052 to 37060, ClearML 2024-24590: pickles run what they name."""
    mark = tmp_path / "mark"
    content = pickle.dumps(Trap(mark))
    seal = Seal(b"k" * 32)
    for sealed in (content, b"\0" * 32 + content, Seal(b"other" * 8).seal(content), seal.seal(content)[:-1]):
        with pytest.raises(Denied, match="HOME-012"):
            unpickle(sealed, seal)
    assert not mark.exists()


def test_cve_2024_2912_no_request_is_unpickled(tmp_path):
    """BentoML 2024-2912, again as 2025-27520: the body of a request is data, whatever it claims to be."""
    mark = tmp_path / "mark"
    for body in (pickle.dumps(Trap(mark)), b"\x80\x04" + b"." * 20):
        with pytest.raises(Invalid, match="HOME-004"):
            decode_request(body)
    assert not mark.exists()


def test_cve_2025_27520_loaders_stand_in_one_module():
    """A fix that a refactoring undoes: no module but one names a loader that runs code."""
    loaders = {("pickle", "loads"), ("pickle", "load"), ("marshal", "loads"), ("joblib", "load"), ("yaml", "load")}
    loaders |= {("cloudpickle", "loads"), ("torch", "load"), ("dill", "loads"), ("pickle", "Unpickler")}
    loaders |= {("yaml", "unsafe_load"), ("yaml", "full_load")}
    found = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            value = getattr(node, "value", None)
            if isinstance(node, ast.Attribute) and isinstance(value, ast.Name) and (value.id, node.attr) in loaders:
                found.add(path.name)
            if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in {
                "pickle",
                "dill",
                "joblib",
            }:
                found |= {path.name for alias in node.names if "oad" in alias.name or alias.name == "Unpickler"}
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "eval":
                found.add(path.name)
    assert found == {"unsafe.py"}


def test_cve_2026_27905_no_archive_is_extracted():
    """BentoML 2026-27905 and tarfile's own filter: what is never extracted leads nowhere."""
    for path in SOURCES:
        tree = ast.parse(path.read_text("utf-8"))
        names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        assert not names & {"extractall", "unpack_archive", "extract_all"}, path


def test_cve_2026_0545_every_command_and_route_has_its_rule():
    """MLflow 2026-0545, 2026-2652, Ray 2023-48022: what was added later was open."""
    assert {command.__name__ for command in ANSWERS if command not in usecases.ASKED} <= {"Stop"}
    assert set(usecases.ASKED.values()) <= set(ACTIONS)
    with pytest.raises(RuntimeError, match="no policy"):
        check_policies([Route("/jobs", lambda _: None)])


def browse(app, verb, path, **headers):
    async def send():
        transport = httpx.ASGITransport(app, client=("127.0.0.1", 40_000))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8430") as client:
            return await client.request(verb, path, headers=headers)

    return asyncio.run(send())


@pytest.fixture
def app(desk):
    return make_desk_app(DeskRelay(desk), Entrance(digest_token(TOKEN), Sessions()))


@pytest.mark.parametrize("verb", VERBS)
def test_cve_2026_27482_every_verb_of_every_route_asks_who(app, verb):
    """Ray 2026-27482: POST and PUT were guarded, DELETE was not."""
    for path in ("/", "/nowhere", "/login", "/logout", *(f"/api/v1{entry.path}" for entry in TABLE)):
        answer = browse(app, verb, path)
        assert answer.status_code in {400, 401, 405} or (verb, path) == ("OPTIONS", "/login"), (verb, path)
        assert answer.status_code != 405 or path == "/login"


@pytest.mark.parametrize("host", ["evil.example", "169.254.169.254", "127.0.0.1.nip.example", "[::ffff:7f00:1]x"])
def test_cve_2025_14279_a_rebound_host_is_refused(app, host):
    """MLflow 2025-14279: a page's own name, pointed at loopback."""
    assert browse(app, "GET", "/api/v1/status", Authorization=f"Bearer {TOKEN}", Host=host).status_code == 400


def test_cve_2024_25723_nobody_becomes_admin_on_the_first_run(desk, app):
    """ZenML 2024-25723 and its open activation: a new server has no account, nor a way to make one from outside."""
    assert desk.ask(access.ListUsers(), actor=HOME_USER) == []
    for path in ("/api/v1/activate", "/setup", "/signup", "/login?code=", "/login?code=admin"):
        for verb in ("GET", "PUT", "POST"):
            assert browse(app, verb, path).status_code in {401, 405}
    assert desk.ask(access.ListUsers(), actor=HOME_USER) == []


@pytest.mark.parametrize("token", ["", " ", "admin", "password", "default", "0" * 64, "null", "undefined"])
def test_cve_2025_11200_there_is_no_password_and_no_default_one(app, token):
    """MLflow 2025-11200, 2025-1474: empty and weak passwords."""
    assert browse(app, "GET", "/api/v1/status", Authorization=f"Bearer {token}").status_code == 401
    basic = "Basic YWRtaW46cGFzc3dvcmQ="
    assert browse(app, "GET", "/api/v1/status", Authorization=basic).status_code == 401


def test_cve_2024_24595_no_credential_is_in_the_clear_in_the_record(desk):
    """ClearML 2024-24595: passwords stood in the database."""
    issued = desk.ask(access.IssueToken(principal=Person(desk, "anna", "viewer").name), actor=HOME_USER, key="k")
    desk.ask(access.AddSecret(name="database", value="canary-cve-value"), actor=HOME_USER, key="k2")
    with sqlite3.connect(desk.home.metadata) as record:
        dump = "\n".join(record.iterdump())
    record.close()
    assert "canary-cve-value" not in dump
    assert b"canary-cve-value".hex().upper() not in dump.upper()
    assert issued.token.rpartition("_")[2] not in dump


def test_cve_2024_27132_markup_in_names_stays_text(app, desk):
    """MLflow 2024-27132 (XSS): no answer is HTML, none may be sniffed as such."""
    desk.ask(messages.BeginRun(kind="step", name="<script>alert(1)</script>"), actor=HOME_USER)
    answer = browse(app, "GET", "/api/v1/runs", Authorization=f"Bearer {TOKEN}")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    missing = browse(app, "GET", "/api/v1/runs/<script>", Authorization=f"Bearer {TOKEN}")
    assert missing.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("text", ["' OR '1'='1", "x'; DROP TABLE runs; --", "%", "_", "\\", "x\0y", "a" * 10_000])
def test_sql_in_a_name_or_id_is_text(desk, text):
    desk.ask(messages.BeginRun(kind="step", name="fit"), actor=HOME_USER)
    assert desk.ask(messages.ListRuns(name=text), actor=HOME_USER) == []
    for command in (messages.GetRun(id=text), access.GetUser(name=text), access.GetSecret(name=text)):
        with pytest.raises(MainspringError) as caught:
            desk.ask(command, actor=HOME_USER)
        assert caught.value.code in {"RUN-001", "AUTH-014", "SECRET-001"}
    assert len(desk.ask(messages.ListRuns(), actor=HOME_USER)) == 1


@pytest.mark.parametrize("depth", [1_000, 100_000])
def test_cve_2024_9056_deep_and_huge_requests_end_in_an_error(depth):
    """BentoML 2024-9056: what is sent must not cost more than it is worth."""
    frame = encode_request(1, messages.GetStatus())
    with pytest.raises(Invalid, match="HOME-004"):
        decode_request(frame[HEADER.size :] + b"\x91" * depth)
    with pytest.raises(Invalid, match="HOME-005"):
        encode_request(1, messages.GetRun(id="x" * (65 * 1024 * 1024)))


def test_cve_2026_2393_nothing_fetches_an_address_that_a_request_names():
    """MLflow 2026-2393, BentoML 2025-54381, Ray 2023-48023 (SSRF): the owner and the faces have no HTTP client."""
    package = Path(mainspring.__file__).parent
    owners = [path for path in SOURCES if path.relative_to(package).parts[0] in {"control", "api", "store"}]
    for path in owners:
        tree = ast.parse(path.read_text("utf-8"))
        imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert not {name.partition(".")[0] for name in imported} & {"httpx", "requests", "urllib3", "aiohttp"}, path
        assert not imported & {"urllib.request", "http.client"}, path


def test_a_workers_token_reaches_its_run_alone(desk):
    """A leaked token of a worker opens neither other runs nor what only people do."""
    spec = messages.RunSpec(kind="step", name="x", call=records.Call(job="gate"))
    mine = desk.ask(messages.SubmitRuns(runs=[spec]), actor=HOME_USER)[0]
    other = desk.ask(messages.BeginRun(kind="step", name="other"), actor=HOME_USER).run
    from mainspring.store import calls, runs

    shown = worker_token(desk.home, mine.id, 1)
    desk.call(lambda turn: calls.place(turn.connection, mine.id, digest_token(shown), turn.now()))
    desk.call(lambda turn: runs.change_run(turn.connection, runs.get_run(turn.connection, mine.id), state="running"))
    token = f"msw_{shown}"

    def ask(command):
        return desk.ask(command, token=token)

    assert ask(messages.GetRun(id=mine.id)).id == mine.id
    below = ask(messages.BeginRun(kind="step", name="below", parent_id=mine.id)).run
    assert ask(messages.FinishRun(run_id=below.id, attempt=1, fence=below.fence, state="failed")).state == "failed"
    for command in (
        messages.FinishRun(run_id=other.id, attempt=1, fence=other.fence, state="failed"),
        messages.CancelRuns(ids=[other.id]),
        messages.Heartbeat(leases=[(other.id, 1, 1)]),
        access.IssueToken(principal="anna"),
        messages.Apply(declarations=[records.Declaration("gate", "a->b", {})]),
        access.GrantRole(name="anna", role="admin"),
    ):
        with pytest.raises(Denied) as caught:
            ask(command)
        assert caught.value.code in {"AUTH-005", "AUTH-007", "AUTH-010"}, command
    with pytest.raises(Denied, match="AUTH-002"):
        desk.ask(messages.GetRun(id=mine.id), token=token[:-1] + ("1" if token[-1] == "0" else "0"))
    desk.call(lambda turn: runs.change_run(turn.connection, runs.get_run(turn.connection, mine.id), state="failed"))
    with pytest.raises(Denied, match="AUTH-003"):
        ask(messages.GetRun(id=mine.id))


def test_nobody_but_an_approver_changes_a_gate_or_passes_it_over(desk):
    """Four eyes: who trains does not set the bar."""
    editor, approver = Person(desk, "e", "editor"), Person(desk, "a", "approver")
    gate = records.Declaration("gate", "delays->champion", {"alpha": 0.05})
    with pytest.raises(Denied, match="AUTH-005"):
        editor.ask(messages.Apply(declarations=[gate]))
    assert editor.ask(messages.Apply(declarations=[gate], dry_run=True)).changes[0][0] == "+"
    put(desk, "model", {}, digest="m")
    put(desk, "dataset", {}, digest="d")
    assert editor.ask(messages.MoveAlias(kind="model", name="delays", alias="other", number=1)).aliases == ("other",)
    assert approver.ask(messages.Apply(declarations=[gate])).changes[0][0] == "+"
    assert editor.ask(messages.Promote(model="delays", alias="champion", data="delays")).kind == "gate"
    for held in (
        messages.MoveAlias(kind="model", name="delays", alias="champion", number=1, force=True, reason="now"),
        gates.RemoveGate(model="delays", alias="champion", reason="in the way"),
    ):
        with pytest.raises(Denied, match="AUTH-005"):
            editor.ask(held)
    assert authorise(HOME_USER, "gates.change", "default") is None


def test_nobody_speaks_for_the_gate(desk):
    """A forged end of a gate would move an alias: neither a run of that kind nor a word about one is taken."""
    runner, approver = Person(desk, "r", "runner"), Person(desk, "a", "approver")
    put(desk, "model", {}, digest="m")
    put(desk, "dataset", {}, digest="d")
    forged = {
        "model": "delays@1", "alias": "champion", "champion": None, "data": "delays@1", "gate": True, "reason": "",
    }  # fmt: skip
    passed = {"passed": True, "summary": "forged", "evidence": {}}
    gate = approver.ask(messages.Promote(model="delays", alias="champion", data="delays"))
    held = {"run_id": gate.id, "attempt": gate.attempt, "fence": gate.fence}
    call = records.Call(job="gate", arguments=forged)
    begun = runner.ask(messages.BeginRun(kind="step", name="mine")).run
    own = {"run_id": begun.id, "attempt": begun.attempt, "fence": begun.fence}
    for command in (
        messages.BeginRun(kind="gate", name="delays->champion", params=forged),
        messages.BeginRun(kind="check", name="web"),
        messages.SubmitRuns(runs=[messages.RunSpec(kind="gate", name="x", call=records.Call(payload="0" * 64))]),
        messages.SubmitRuns(runs=[messages.RunSpec(kind="step", name="x", call=call)]),
        messages.FinishRun(**own, state="failed", call=call),
        messages.Report(**held, offset=1, params=forged | {"alias": "other"}),
        messages.FinishRun(**held, state="succeeded", details=passed),
        messages.Heartbeat(leases=[(gate.id, 1, gate.fence)]),
    ):
        for person in (runner, approver):
            with pytest.raises(Denied, match="AUTH-017"):
                person.ask(command)
    with pytest.raises(Denied, match="AUTH-017"):
        desk.ask(messages.BeginRun(kind="gate", name="x", params=forged), actor=HOME_USER)
    assert desk.ask(messages.GetRun(id=gate.id)).params["alias"] == "champion"
    with pytest.raises(NotFound, match="MODEL-001"):
        desk.ask(messages.GetVersion(kind="model", reference="delays@champion"))
    assert approver.ask(messages.CancelRuns(ids=[gate.id]))[0].state == "cancelled"


def test_the_list_of_holes_is_told(capsys):
    names = {name for name in globals() if name.startswith("test_cve_")}
    with capsys.disabled():
        print(f" [{len(names)} CVE classes by name] ", end="")
    assert len(names) >= 15
    assert json.dumps(sorted(names))
    assert sys.modules[__name__].__doc__
