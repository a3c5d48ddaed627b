"""Record what clients of this version of the wire send, and what they are answered.

Run it when `mainspring.domain.protocol.PROTOCOL` has risen: ``python tools/recordings.py``. It writes
tests/fixtures/wire/PROTOCOL/ with a server of its own; the tests send the same to every later version.
"""

from __future__ import annotations

import argparse
import getpass
import json
import os
import re
import secrets
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec

from mainspring.api.routes import PREFIX
from mainspring.domain import access, messages, records, upkeep
from mainspring.domain.answers import ANSWERS
from mainspring.domain.errors import MainspringError
from mainspring.domain.protocol import PROTOCOL
from mainspring.domain.wire import HEADER
from mainspring.sdk.client import Client
from mainspring.sdk.owners import start_owner
from mainspring.security.tokens import home_token
from mainspring.store.homes import place_home

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "tests" / "fixtures" / "wire" / str(PROTOCOL)
HOME_TOKEN = "the home's token"
_TOKEN = re.compile(r"ms[pw]_[0-9a-f]{16}_[0-9a-f]{64}")
_WORDS = ("title", "description", "default", "minimum", "maximum", "minLength", "maxLength", "pattern")

Exchange = dict[str, Any]

READS = """
    /status /me /runs?fields=id,name&order_by=-created_at&limit=1 /runs?filter=state%20%3D
    /runs/RUN /runs/RUN/series/auc /runs/RUN/logs?offset=0 /runs/RUN/reads /runs/RUN/verdict
    /datasets /datasets?name=orders /datasets/orders /models /models/delays@best /models/none
    /declarations/gate/delays-%3Echampion /services /services/web /alarms?service=web /renewals
    /events?after=0&limit=2 /why/RUN /projects /users /users/anna /tokens /secrets
    /audit?after=0&limit=2 /audit/heads /deleted
""".split()  # noqa: SIM905 - read as lines

WRITES = (
    ("POST", "/projects", '{"name": "sky"}'),
    ("DELETE", "/projects/sky", None),
    ("PUT", "/datasets/orders/aliases/clean", '{"number": 1, "reason": "it is"}'),
    ("PUT", "/models/delays/aliases/best", '{"number": 2}'),
    ("POST", "/models/delays/promote", '{"alias": "champion", "data": "orders"}'),
    ("POST", "/declarations", '{"declarations": [{"kind": "gate", "name": "delays->next", "body": {}}]}'),
    ("PUT", "/services/web", '{"model": "delays@best", "rollout": "direct"}'),
    ("POST", "/services/web/rollback", '{"reason": "worse"}'),
    ("POST", "/services/web/check", '{"until": 1.0}'),
    ("POST", "/services/web/stop", None),
    ("POST", "/users", '{"name": "ben", "role": "viewer"}'),
    ("PUT", "/users/ben/role", '{"role": "editor"}'),
    ("DELETE", "/users/ben/role", None),
    ("POST", "/tokens", '{"principal": "ben", "scopes": ["read"], "expires_s": 60}'),
    ("DELETE", "/tokens/none", None),
    ("DELETE", "/users/ben", None),
    ("PUT", "/secrets/key", '{"value": "a value of some length"}'),
    ("GET", "/secrets/key", None),
    ("DELETE", "/secrets/key", None),
    ("POST", "/keys/rotate", None),
    ("POST", "/runs/RUN/cancel", '{"reason": "enough"}'),
    ("DELETE", "/runs/RUN", None),
    ("POST", "/runs/RUN/restore", None),
    ("DELETE", "/models/delays@1?dry_run=true", None),
    ("POST", "/models/delays@1/restore", None),
)


def main() -> None:
    """Play both scenes to a server and write what went over the wire."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--anew", action="store_true", help="replace the recordings of this version: not once it is released"
    )
    if TARGET.exists() and not parser.parse_args().anew:
        sys.exit(f"{TARGET} is there; what was released is not recorded again")
    with tempfile.TemporaryDirectory() as folder:
        home = place_home(Path(folder) / "home")
        hidden = {
            folder: "/tmp/made",
            str(home.runtime): "/run/made",
            str(Path(sys.prefix)): "/venv",
            socket.gethostname(): "machine",
            f"user:{getpass.getuser()}": "user:anna",
        }
        client = _Recorder(home, start_owner)
        os.environ["MAINSPRING_HOME"] = str(home.root)
        play(client.try_ask)
        with _Server(home.root) as url:
            routes = list(send(url, home_token(home)))
        client.try_ask(messages.Stop())
        hidden[home_token(home)] = HOME_TOKEN
    missing = sorted(
        {each.__name__ for each in ANSWERS} - {each["request"]["command"]["type"] for each in client.heard}
    )
    if missing:
        sys.exit(f"the scene asks nothing of {', '.join(missing)}")
    TARGET.mkdir(parents=True, exist_ok=True)
    _write("commands.json", client.heard, hidden)
    _write("routes.json", routes, hidden)
    (TARGET / "shapes.json").write_text(_render(describe_shapes()), "utf-8")
    print(f"{len(client.heard)} commands and {len(routes)} requests of HTTP in {TARGET}")


def describe_shapes() -> dict[str, Any]:
    """Return the JSON schemas of all messages, without words and bounds; ``GetRun ->`` is the answer to one."""
    schemas, named = msgspec.json.schema_components([*ANSWERS, *ANSWERS.values()], ref_template="{name}")
    answers = zip(ANSWERS, schemas[len(ANSWERS) :], strict=True)
    found = {**named, **{f"{command.__name__} ->": schema for command, schema in answers}}
    return {name: _plain(each) for name, each in found.items()}


def _plain(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_plain(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: _plain(each) for name, each in schema.items() if name not in {*_WORDS, "properties"}}
    if "properties" in schema:  # whose names are no words of the schema
        found["properties"] = {name: _plain(each) for name, each in schema["properties"].items()}
    return found


class _Recorder(Client):
    """A client of the socket that keeps every frame."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.heard: list[Exchange] = []

    def try_ask(self, command: Any, **options: Any) -> Any:
        """Ask; None when it is refused, which is an answer too."""
        try:
            return self.ask(command, **options)
        except MainspringError as error:
            print(f"{type(command).__name__}: {error.code} {error.what}")
            return None

    def _take(self) -> Any:
        wire = super()._take()
        return wire if isinstance(wire, _Tap) else _Tap(wire, self.heard)


class _Tap:
    """A connection that is listened to."""

    def __init__(self, wire: Any, heard: list[Exchange]) -> None:
        self.pid = wire.pid
        self._wire = wire
        self._heard = heard

    def exchange(self, frame: bytes, silence_s: float) -> bytes:
        reply: bytes = self._wire.exchange(frame, silence_s)
        asked, told = (msgspec.msgpack.decode(each) for each in (frame[HEADER.size :], reply))
        self._heard.append({"request": asked, "reply": told})
        return reply

    def close(self) -> None:
        self._wire.close()


def play(ask: Callable[..., Any]) -> None:
    """Ask every command at least once, with every field that a client may send."""
    _play_runs(ask)
    _play_assets(ask)
    _play_people(ask)
    for command in (
        messages.ListEvents(kind="data", subject="orders@1", after=0, limit=10),
        messages.ListEvents(),
        messages.GetStatus(),
        access.ListAudit(after=1, limit=2),
        access.GetAuditHeads(),
        access.RotateKeys(),
        upkeep.SweepFiles(blobs=["0" * 64], files=["orders/none.parquet"], before=1.0, marked_at=1.0, numbers={}),
        upkeep.PurgeDeleted(before=1.0, dry_run=True),
        upkeep.PurgeDeleted(before=1.0),
    ):
        ask(command)


def _play_runs(ask: Callable[..., Any]) -> None:
    fingerprint = records.Fingerprint(1, {"f": "a" * 8}, {"rows": "b" * 8}, {"python": "3.12"})
    resources = records.Resources(cpus=1)
    begun = {"params": {"rate": 0.1, "deep": {"a": [1, None]}}, "tags": {"team": "air"}, "resources": resources}
    top = ask(messages.BeginRun(kind="pipeline", name="train", **begun, details={"how": "by hand"})).run
    key = {"key": "f" * 32, "cache": True, "fingerprint": fingerprint}
    run = ask(messages.BeginRun(kind="step", name="fit", parent_id=top.id, **key, host="elsewhere", pid=7)).run
    held = {"run_id": run.id, "attempt": run.attempt, "fence": run.fence}
    ask(messages.Heartbeat(leases=[(run.id, run.attempt, run.fence)]))
    ask(messages.Report(**held, offset=1, points=[("auc", 1, 2.0, 0.5)], params={"seed": 1}, tags={"a": "b"}))
    value = records.Value("json", "0" * 64, 2, "{}")
    ended = {"outputs": value, "details": {"rows": 3}, "cpu_s": 0.1, "memory_bytes": 1000}
    ask(messages.FinishRun(**held, state="succeeded", **ended))
    ask(messages.FinishRun(**{**held, "fence": run.fence + 1}, state="failed"))
    failed = ask(messages.BeginRun(kind="step", name="judge", parent_id=top.id)).run
    problem = records.Problem("RUN-006", "it raised", "the code raised", "mend it", "Traceback", {"line": 3})
    ask(messages.FinishRun(run_id=failed.id, attempt=1, fence=failed.fence, state="failed", problem=problem))
    study = messages.Study("auc", "max", "asha")
    call = records.Call(payload="0" * 64, arguments={"a": 1}, paths=("/code",), preload=("json",), code_digest="c")
    spec = {"kind": "trial", "name": "try", "call": call, "dedupe": "once", "retries": 1, "timeout_s": 60.0}
    some = records.Resources(cpus=1, memory_bytes=1000)
    queued = ask(messages.SubmitRuns(runs=[messages.RunSpec(**spec, study=study, resources=some)])) or []
    for command in (
        messages.LeaseRun(worker_id="w", pid=7, token="none"),
        messages.GetRun(id=run.id),
        messages.GetRun(id=run.id[-8:]),
        messages.ListRuns(kind="step", parent_id=top.id, state="succeeded", name="fit", limit=5),
        messages.SearchRuns("params.rate > 0.05 and state = running", "-created_at", 10, count=True),
        messages.SearchRuns("state = "),
        messages.WaitRuns(ids=[run.id, failed.id], wait_s=1.0),
        messages.GetSeries(run_id=run.id, key="auc"),
        messages.GetLogs(run_id=run.id, offset=0),
        messages.ListReads(run_id=run.id),
        messages.GetVerdict(run_id=failed.id),
        messages.Explain(thing=run.id),
        messages.CancelRuns(ids=[each.id for each in queued] or [top.id], reason="enough"),
        messages.CancelRuns(ids=[top.id]),
        upkeep.DeleteRuns(ids=[failed.id], dry_run=True),
        upkeep.DeleteRuns(ids=[top.id]),
        upkeep.DeleteRuns(filter="name = nothing"),
        upkeep.ListDeleted(kind="run"),
        upkeep.RestoreRuns(ids=[top.id]),
    ):
        ask(command)


def _play_assets(ask: Callable[..., Any]) -> None:
    rows = ask(
        messages.PutVersion(kind="dataset", name="orders", digest="d1", manifest={"rows": 3}, details={"by": "hand"})
    )
    put = {"kind": "model", "name": "delays", "manifest": {}, "inputs": (rows.id,), "event_time": 1.0}
    for number in (1, 2):
        ask(messages.PutVersion(**put, digest=f"m{number}"))
    gate = records.Declaration("gate", "delays->champion", {"target": "late", "alpha": 0.1})
    for command in (
        messages.GetVersion(kind="dataset", reference="orders"),
        messages.GetVersion(kind="model", reference="delays@9"),
        messages.ListVersions(kind="model", name="delays", limit=5),
        messages.ListVersions(kind="dataset"),
        messages.MoveAlias(kind="model", name="delays", alias="best", number=1, reason="it is better"),
        messages.Apply(declarations=[gate], dry_run=True),
        messages.Apply(declarations=[gate]),
        messages.GetDeclaration(kind="gate", name="delays->champion"),
        messages.MoveAlias(kind="model", name="delays", alias="champion", number=1),
        messages.Promote(model="delays@1", alias="champion", data="orders@1", reason="first"),
        messages.Deploy(name="web", model="delays@best", rollout="direct"),
        messages.GetService(name="web"),
        messages.ListServices(),
        messages.CheckService(name="web", until=1.0),
        messages.RollbackService(name="web", reason="worse"),
        messages.StopService(name="web"),
        messages.ListAlarms(service="web", limit=5),
        messages.ListRenewals(service="web", limit=5),
        messages.Explain(thing="delays@best"),
        upkeep.DeleteVersions(kind="model", reference="delays@2", dry_run=True),
        upkeep.DeleteVersions(kind="model", reference="delays@2"),
        upkeep.RestoreVersions(kind="model", reference="delays@2"),
        upkeep.DeleteModel(reference="delays@2"),
        upkeep.ListDeleted(),
        upkeep.RestoreModel(reference="delays@2"),
    ):
        ask(command)


def _play_people(ask: Callable[..., Any]) -> None:
    run = ask(messages.BeginRun(kind="step", name="use")).run
    held = {"run_id": run.id, "attempt": run.attempt, "fence": run.fence}
    for command in (
        access.WhoAmI(),
        access.AddProject(name="rail"),
        access.ListProjects(),
        access.AddUser(name="anna", kind="user", role="editor", identity="https://issuer.example#7"),
        access.AddUser(name="robot", kind="service", role="viewer", everywhere=True),
        access.AddUser(name="anna"),
        access.GetUser(name="anna"),
        access.GetUser(identity="https://issuer.example#7"),
        access.ListUsers(),
        access.GrantRole(name="anna", role="approver", everywhere=True),
        access.RevokeRole(name="anna", everywhere=True),
        access.ListTokens(),
        access.AddSecret(name="database", value="a value of some length"),
        access.ListSecrets(),
        access.GetSecret(name="database"),
        access.UseSecret(name="database", **held),
        access.RemoveSecret(name="database"),
        access.RemoveProject(name="rail"),
    ):
        ask(command)
    issued = ask(access.IssueToken(principal="anna", name="laptop", scopes=("read",), expires_s=3600.0))
    ask(access.WhoAmI(), token=issued.token)
    ask(access.AddProject(name="sea"), token=issued.token)
    ask(access.RevokeToken(id=issued.record.id))
    ask(access.ListTokens(principal="anna"))
    ask(access.RemoveUser(name="robot"))


def send(url: str, token: str) -> Iterator[Exchange]:
    """Send requests as other people's tools do: JSON, and a command as a remote client sends it."""
    json_of = {"Content-Type": "application/json"}
    with httpx.Client(base_url=url, timeout=60) as client:

        def exchange(method: str, path: str, content: str | None = None, **headers: str) -> Exchange:
            sent = {"Authorization": f"Bearer {token}", **(json_of if content else {}), **headers}
            answer = client.request(method, f"{PREFIX}{path}", content=content, headers=sent)
            told = answer.json() if answer.content else None
            request = {"method": method, "path": f"{PREFIX}{path}", "headers": sent, "content": content}
            return {"request": request, "reply": {"status": answer.status_code, "content": told}}

        run = exchange("GET", "/runs?filter=name%20%3D%20fit&limit=2&count=true&project=default")
        yield run
        run_id = run["reply"]["content"]["runs"][0]["id"]
        for path in READS:
            yield exchange("GET", path.replace("RUN", run_id))
        for method, path, body in WRITES:
            yield exchange(method, path.replace("RUN", run_id), body, **{"Idempotency-Key": secrets.token_hex(16)})
        yield _send_command(client, token, messages.GetRun(id=run_id))


def _send_command(client: httpx.Client, token: str, command: Any) -> Exchange:
    headers = {
        "Authorization": f"Bearer {token}",
        "Content-Type": "application/msgpack",
        "Mainspring-Protocol": str(PROTOCOL),
    }
    path = f"{PREFIX}/commands/{type(command).__name__}?project=default"
    answer = client.post(path, content=msgspec.msgpack.encode(command), headers=headers)
    told = msgspec.msgpack.decode(answer.content)
    request = {"method": "POST", "path": path, "headers": headers, "command": msgspec.to_builtins(command)}
    return {"request": request, "reply": {"status": answer.status_code, "content": told}}


class _Server:
    """`mainspring up` of a home, as a context that gives its URL."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def __enter__(self) -> str:
        command = [sys.executable, "-m", "mainspring", "up", "--port", "0", "--json"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        text = ""
        for line in self._process.stdout:
            text += line
            if line.rstrip() == "}":
                break
        return str(json.loads(text)["url"])

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.communicate(timeout=30)


def _write(name: str, heard: list[Exchange], hidden: dict[str, str]) -> None:
    text = _render(heard)
    for old, new in hidden.items():
        text = text.replace(old, new)
    numbers = {token: number for number, token in enumerate(dict.fromkeys(_TOKEN.findall(text)))}
    text = _TOKEN.sub(lambda found: f"msp_{numbers[found[0]]:016x}_{'0' * 64}", text)
    (TARGET / name).write_text(text, "utf-8")


def _render(content: Any) -> str:
    """One item a line."""
    if isinstance(content, list):
        return "[\n" + ",\n".join(json.dumps(each, sort_keys=True) for each in content) + "\n]\n"
    lines = (f"{json.dumps(name)}: {json.dumps(each, sort_keys=True)}" for name, each in sorted(content.items()))
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    main()
