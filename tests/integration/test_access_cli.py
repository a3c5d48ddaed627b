"""The nouns of who may, through the command line and a real owner."""

import json
import sqlite3
import subprocess
import sys

import pytest

CANARY = "canary-9d1c-value"


@pytest.fixture
def call(client, home):
    def run(*words, given="", code=0):
        done = subprocess.run(
            [sys.executable, "-m", "mainspring", *words],
            input=given,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done

    return run


def test_users_tokens_and_projects(call):
    call("projects", "add", "rail")
    assert [row["name"] for row in json.loads(call("projects", "--json").stdout)] == ["default", "rail"]
    call("users", "add", "anna", "--role", "editor")
    call("-P", "rail", "users", "grant", "anna", "viewer")
    shown = json.loads(call("users", "show", "anna", "--json").stdout)
    assert shown["user"]["roles"] == {"default": "editor", "rail": "viewer"}
    call("-P", "rail", "users", "revoke", "anna")
    token = call("tokens", "add", "anna", "--expires", "30d", "--scope", "read").stdout.strip()
    assert token.startswith("msp_")
    (listed,) = json.loads(call("tokens", "--user", "anna", "--json").stdout)
    assert listed["scopes"] == ["read"]
    assert token.rpartition("_")[2] not in json.dumps(listed)
    assert call("tokens", "show", listed["id"]).stdout.count("\n") >= 5
    call("tokens", "remove", listed["id"])
    assert "revoked" in call("tokens").stdout
    call("users", "remove", "anna")
    assert "AUTH-014" in call("users", "show", "anna", code=3).stderr
    call("projects", "remove", "rail")
    assert "AUTH-009" in call("-P", "rail", "runs", code=3).stderr


def test_a_secret_is_read_from_standard_input_and_never_shown(call, home):
    call("secrets", "add", "database", given=f"{CANARY}\n")
    for words in (["secrets"], ["secrets", "show", "database"], ["secrets", "--json"], ["audit", "--json"]):
        text = call(*words).stdout
        assert "database" in text
        assert CANARY not in text
    assert "SECRET-004" in call("secrets", "add", "empty", given="", code=2).stderr
    assert "1 envelopes" in call("secrets", "rotate").stdout
    assert [path.name for path in home.envelope_keys.iterdir()] == ["0002.key"]
    call("secrets", "remove", "database")
    assert not [path for path in home.root.rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes()]


def test_the_audit_is_verified_exported_and_compared(call, client, home, tmp_path):
    for name in ("anna", "ben", "carl"):
        call("users", "add", name)
    head = call("audit", "verify").stdout.split("head ")[1].strip()
    exported = tmp_path / "audit.jsonl"
    exported.write_text(call("audit", "export").stdout)
    assert len(exported.read_text().splitlines()) == 3
    call("audit", "verify", "--file", str(exported))
    call("audit", "verify", "--head", head)
    lines = exported.read_text().splitlines()
    exported.write_text("\n".join([lines[0], lines[2]]) + "\n")
    assert "deleted: entry 2 missing" in call("audit", "verify", "--file", str(exported), code=1).stderr
    exported.write_text("{}\n")
    assert "AUDIT-002" in call("audit", "verify", "--file", str(exported), code=2).stderr
    with sqlite3.connect(home.metadata) as record:
        record.execute("UPDATE audit SET subject = 'dora' WHERE seq = 2")
    record.close()
    refused = call("audit", "verify", code=1)
    assert "AUDIT-001" in refused.stderr
    assert "edited: entry 2 (principals.write dora by user:" in refused.stderr
    found = json.loads(call("audit", "verify", "--json", code=1).stdout)
    assert [(each["kind"], each["seq"]) for each in found["breaches"]] == [("edited", 2)]
