"""Azure storage keeps the contract of blob stores; the server comes from npm."""

import base64
import hashlib
import hmac
import secrets
from email.utils import formatdate
from shutil import which
from urllib.parse import urlsplit

import pytest
from tests.integration.test_remote_values import laptop, travel  # noqa: F401 - the fixture
from tests.support.places import ObjectStoreContract
from tests.support.stores import BUCKET, SECRET, Process, free_ports, request

from mainspring.store.buckets import look_in_bucket

pytestmark = pytest.mark.engines

ACCOUNT = "canary"
KEY = base64.b64encode(SECRET.encode() * 2).decode()


class AzureStorage:
    """Azurite, with an account of its own."""

    scheme = "az"

    def __init__(self, folder):
        folder.mkdir()
        (port,) = free_ports(1)
        self.endpoint = f"http://127.0.0.1:{port}/{ACCOUNT}"
        program = which("azurite-blob")
        assert program, "azurite-blob is not on the path: make test-engines"
        command = ["env", f"AZURITE_ACCOUNTS={ACCOUNT}:{KEY}", program, "--silent", "--skipApiVersionCheck"]
        command += ["--disableTelemetry", "--blobHost", "127.0.0.1", "--blobPort", str(port), "--location", str(folder)]
        self._process = Process(command, folder / "azurite.log")
        self._process.wait_until(lambda: self._send("PUT", f"/{BUCKET}", "restype=container"))

    def environment(self, who="admin"):
        del who
        return {
            "AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT,
            "AZURE_STORAGE_ACCOUNT_KEY": KEY,
            "AZURE_STORAGE_ENDPOINT": self.endpoint,
        }

    def write(self, bucket, key, content):
        if content is None:
            self._send("DELETE", f"/{bucket}/{key}")
        else:
            self._send("PUT", f"/{bucket}/{key}", body=content)

    def end(self):
        self._process.end()

    def _send(self, method, path, query="", body=b""):
        headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2021-12-02"}
        if method == "PUT" and not query:
            headers["x-ms-blob-type"] = "BlockBlob"
        kind = "application/octet-stream" if method == "PUT" else ""
        named = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
        resource = f"/{ACCOUNT}{urlsplit(self.endpoint + path).path}" + (
            f"\n{query.replace('=', ':')}" if query else ""
        )
        lines = [method, "", "", str(len(body)) if body else "", "", kind, "", "", "", "", "", ""]
        text = "\n".join(lines) + "\n" + named + resource
        mark = hmac.new(base64.b64decode(KEY), text.encode(), hashlib.sha256).digest()
        headers |= {"Authorization": f"SharedKey {ACCOUNT}:{base64.b64encode(mark).decode()}"}
        if kind:
            headers |= {"Content-Type": kind, "Content-Length": str(len(body))}
        request(
            self.endpoint + path + (f"?{query}" if query else ""), method, body if method == "PUT" else None, headers
        )


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    started = AzureStorage(tmp_path_factory.mktemp("azure") / "server")
    yield started
    started.end()


class TestAzure(ObjectStoreContract):
    test_tables_commit_and_scan_there = None  # this server knows no beginning of a list, which tables need


def test_changes_of_its_objects_are_seen(server, monkeypatch):
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    folder = secrets.token_hex(8)
    place = f"az://{BUCKET}/{folder}"
    monkeypatch.setenv("MAINSPRING_BUCKETS", place)
    looks = []
    for content in (b"a", b"b", None):
        server.write(BUCKET, f"{folder}/in/new.csv", content)
        looks.append(look_in_bucket(f"{place}/**/*.csv"))
    assert [each.files for each in looks] == [1, 1, 0]
    assert len({each.stamp for each in looks}) == 3


class TestHomeInAzure:
    """A client of a server whose home lies there."""

    @pytest.fixture
    def blob_place(self, server, monkeypatch):
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        return f"az://{BUCKET}/{secrets.token_hex(8)}"

    def test_values_travel(self, laptop, monkeypatch):  # noqa: F811 - the fixture of that name
        travel(laptop, monkeypatch, "AZURE_")
