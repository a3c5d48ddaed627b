"""Models between two records: whole or not at all, held to their digests, judged anew where they arrive."""

import json
import os
import subprocess
import sys

import pytest
from tests.integration.test_promotion import GATE, fit, make_parcels
from tests.support.homes import end_owner
from tests.support.servers import UpProcess
from tests.support.shapes import check_shape

import mainspring as ms
from mainspring.domain import messages
from mainspring.domain.errors import Conflict, Failed, Invalid
from mainspring.sdk.client import Client
from mainspring.sdk.exchange import send_model
from mainspring.sdk.owners import start_owner
from mainspring.sdk.remote import RemoteClient
from mainspring.security.tokens import home_token
from mainspring.store.homes import place_home


@pytest.fixture
def elsewhere(tmp_path):
    """A server of another home, and a client of that home itself."""
    other = place_home(tmp_path / "elsewhere")
    up = UpProcess(MAINSPRING_HOME=str(other.root), MAINSPRING_URL="")
    inside = Client(other, start_owner)
    visitor = RemoteClient(up.url, home_token(other))
    yield up, inside, visitor
    visitor.close()
    inside.close()
    up.end()
    end_owner(other)


@pytest.fixture
def judged(client):
    """A champion of this home, with its verdict."""
    past, recent = ms.write(make_parcels(3_000), "parcels").split(by="at", last="7d")
    ms.apply(GATE)
    model = ms.register(fit(past.polars(), rounds=5), "delays", example=past)
    assert ms.promote(model, "champion", data=recent)
    return model, past


def test_a_model_is_pushed_with_its_evidence_and_judged_there(judged, elsewhere, client, monkeypatch):
    model, past = judged
    _, inside, visitor = elsewhere
    arrived = send_model("delays@champion", client, visitor, place="here")
    assert (arrived.name, arrived.number, arrived.digest) == ("delays", 1, model.version.digest)
    assert send_model("delays@1", client, visitor, place="here") == arrived, "asked again, it is the same"
    origin = arrived.details["origin"]
    assert past.reference in [each["reference"] for each in origin["datasets"]]
    assert [each["passed"] for each in origin["verdicts"]] == [True]
    assert arrived.details["trained_on"] == [], "names of another record are none of this one"
    assert arrived.aliases == ()
    for name, digest in arrived.manifest.items():
        assert inside.blobs.get(digest) == client.blobs.get(model.version.manifest[name])

    inside.ask(messages.Apply(declarations=[GATE.declaration()]))
    with pytest.raises(Conflict, match="GATE-003"):
        inside.ask(messages.MoveAlias(kind="model", name="delays", alias="champion", number=1))
    seen = messages.PutVersion(kind="dataset", name="copy", digest=past.version.digest, manifest={"table": "copy"})
    inside.ask(seen)
    with pytest.raises(Invalid, match="GATE-012"):
        inside.ask(messages.Promote(model="delays@1", alias="champion", data="copy"))

    monkeypatch.setenv("MAINSPRING_HOME", str(inside.home.root))
    fresh = ms.write(make_parcels(2_000, seed=9), "fresh")
    assert ms.promote("delays@1", "champion", data=fresh)
    assert ms.Model("delays@champion").card.count("came from delays@1 of here") == 1


def test_a_truncated_file_never_arrives(judged, elsewhere, client):
    model, _ = judged
    _, inside, visitor = elsewhere
    name, digest = next(iter(model.version.manifest.items()))
    path = client.blobs.path(digest)
    whole = path.read_bytes()
    path.chmod(0o600)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(Failed) as caught:
        send_model("delays@1", client, visitor)
    assert caught.value.code == "MODEL-052"
    assert f"{name} of delays@1 is cut or changed: {len(whole) // 2:,} bytes" in caught.value.what
    assert inside.ask(messages.ListVersions(kind="model")) == []
    path.write_bytes(whole)
    assert send_model("delays@1", client, visitor).digest == model.version.digest, "and goes on where it stopped"


def test_what_is_pushed_is_judged_there_and_the_verdict_is_told(judged, elsewhere, client, monkeypatch):
    _, past = judged
    up, inside, _ = elsewhere
    ms.register(fit(past.polars(), rounds=1), "delays", example=past)
    home, found = client.home.root, []
    monkeypatch.setenv("MAINSPRING_HOME", str(inside.home.root))
    ms.apply(GATE)
    fresh = ms.write(make_parcels(2_000, seed=9), "fresh")
    for reference in ("delays@1", "delays@2"):
        command = ["models", "push", reference, up.url, "--promote", "champion", "--data", fresh.reference]
        pushed = subprocess.run(
            [sys.executable, "-m", "mainspring", *command],
            input=home_token(inside.home),
            env={**os.environ, "MAINSPRING_HOME": str(home)},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        found.append((pushed.returncode, pushed.stderr.splitlines()[-1].split()[0]))
        assert up.url in pushed.stdout, pushed.stdout + pushed.stderr
    assert found == [(0, "PASSED"), (5, "REFUSED")]
    assert inside.ask(messages.GetVersion(kind="model", reference="delays@champion")).number == 1


def test_a_model_is_pulled_from_the_command_line(judged, elsewhere, client, monkeypatch):
    model, _ = judged
    up, inside, visitor = elsewhere

    def run(*words, home):
        return subprocess.run(
            [sys.executable, "-m", "mainspring", "models", *words, up.url, "--json"],
            input=home_token(inside.home),
            env={**os.environ, "MAINSPRING_HOME": str(home)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    pushed = run("push", "delays@1", home=client.home.root)
    assert pushed.returncode == 0, pushed.stderr
    assert check_shape("mainspring models push", pushed.stdout)["digest"] == model.version.digest
    lines = messages.PutVersion(kind="model", name="lines", digest="d" * 64, manifest={}, details={"format": "onnx"})
    visitor.ask(lines)
    pulled = run("pull", "lines@1", home=client.home.root)
    assert pulled.returncode == 0, pulled.stderr
    assert check_shape("mainspring models pull", pulled.stdout)["details"]["origin"]["place"] == up.url
    assert client.ask(messages.GetVersion(kind="model", reference="lines@1")).digest == "d" * 64
    again = run("pull", "lines@1", home=client.home.root)
    assert json.loads(again.stdout) == json.loads(pulled.stdout)
