"""A fake API server of Kubernetes: it keeps objects as the real one does, and runs pods as processes of this machine.

It knows what the engine uses: jobs, pods, secrets, nodes, events, logs and watches. Faults are ordered by `fail`.
"""

import base64
import contextlib
import json
import os
import re
import signal
import subprocess
import threading
import time
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

from mainspring.compute.adapters.kubernetes import KubernetesEngine

VARIABLE = "MAINSPRING_TEST_KUBERNETES"

_PATH = re.compile(
    r"/(?:api/v1|apis/batch/v1)/(?:namespaces/([^/]+)/)?(jobs|pods|secrets|services|nodes|events)(?:/([^/]+))?(/log)?\Z"
)
_KINDS = {"jobs": "Job", "pods": "Pod", "secrets": "Secret", "services": "Service", "nodes": "Node", "events": "Event"}


class FakeKubernetes:
    """One namespace, `team`, one node with eight cores and two devices; pods run at once, unless `holding`.

    Parameters
    ----------
    folder : Path
        Where pods write what they print.
    wrap : callable
        Given the listening socket's owner, puts TLS around it.
    """

    def __init__(self, folder, wrap=None):
        folder.mkdir(parents=True)
        self.folder = folder
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.version = 1
        self.objects = {kind: {} for kind in _KINDS}
        self.events = []
        self.oldest = 0
        self.asked = []
        self.holding = False
        self.waiting = None
        self.faults = []
        self.mute = False
        self.slow_s = 0.0
        self.token = "a-token"
        self.processes = {}
        self.ended = False
        self.put("nodes", make_node())
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.cluster = self
        self.server.daemon_threads = True
        if wrap is not None:
            wrap(self.server)
        self.scheme = "http" if wrap is None else "https"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()

    @property
    def url(self):
        return f"{self.scheme}://127.0.0.1:{self.server.server_port}"

    def end(self):
        """End the server and all pods."""
        self.ended = True
        self.server.shutdown()
        self.server.server_close()
        for process in list(self.processes.values()):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def fail(self, method, path, status, times=1, **headers):
        """Answer the next requests of a kind so; a status of 0 breaks off."""
        self.faults += [(method, re.compile(path), status, headers)] * times

    def lose_watches(self, *, told):
        """Forget what has changed so far: watches that ask for it hear 410, or nothing at all."""
        with self.changed:
            self.mute = not told
            self.oldest = self.version
            self.events.clear()
            self.changed.notify_all()

    def put(self, kind, thing, what="ADDED"):
        """Keep an object, and tell watches."""
        with self.changed:
            self.version += 1
            thing["metadata"]["resourceVersion"] = str(self.version)
            thing["metadata"].setdefault("uid", f"uid-{self.version}")
            if what == "DELETED":
                self.objects[kind].pop(thing["metadata"]["name"], None)
            else:
                self.objects[kind][thing["metadata"]["name"]] = thing
            self.events.append((self.version, kind, what, json.dumps(thing)))
            self.changed.notify_all()
            return thing

    def warn(self, name, reason, message):
        """Make an event about an object."""
        meta = {"name": f"event-{self.version}", "labels": {}}
        thing = {
            "metadata": meta,
            "type": "Warning",
            "reason": reason,
            "message": message,
            "lastTimestamp": tell_time(),
        }
        self.put("events", thing | {"involvedObject": {"name": name}})

    def list_names(self, kind):
        with self.lock:
            return sorted(self.objects[kind])

    # --- what controllers and a kubelet do ----------------------------------------------

    def begin_job(self, job):
        """Make the pods of a job, as its controller does."""
        if job["spec"].get("suspend"):
            return
        for index in range(job["spec"]["parallelism"]):
            template = json.loads(json.dumps(job["spec"]["template"]))
            name = f"{job['metadata']['name']}-{index}"
            meta = {"name": name, "labels": template["metadata"]["labels"] | {"job-name": job["metadata"]["name"]}}
            meta["annotations"] = {"batch.kubernetes.io/job-completion-index": str(index)}
            pod = {"kind": "Pod", "metadata": meta, "spec": template["spec"], "status": {"phase": "Pending"}}
            if self.waiting is not None:
                state = {"name": "worker", "state": {"waiting": self.waiting}}
                pod["status"]["containerStatuses"] = [state]
            elif self.holding:
                told = {
                    "type": "PodScheduled",
                    "status": "False",
                    "message": "0/1 nodes are available: 1 Insufficient cpu.",
                }
                pod["status"]["conditions"] = [told]
            self.put("pods", pod)
            if not self.holding and self.waiting is None:
                self.run_pod(pod)

    def resume(self):
        """Run what was held."""
        with self.lock:
            self.holding, self.waiting = False, None
            held = [pod for pod in self.objects["pods"].values() if pod["status"]["phase"] == "Pending"]
        for pod in held:
            pod["status"].pop("conditions", None)
            self.run_pod(pod)

    def run_pod(self, pod):
        """Be the kubelet of a pod, in a thread."""
        threading.Thread(target=self._run, args=(pod,), daemon=True).start()

    def _run(self, pod):
        container, name = pod["spec"]["containers"][0], pod["metadata"]["name"]
        place = self.folder / name
        place.mkdir(exist_ok=True)
        variables = {"PATH": os.environ["PATH"], "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
        for each in container["env"]:
            if "value" in each:
                variables[each["name"]] = (
                    each["value"].replace("/mainspring", str(place))
                    if each["name"] in {"HOME", "TMPDIR"}
                    else each["value"]
                )
            elif "fieldRef" in each["valueFrom"]:
                variables[each["name"]] = pod["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"]
            else:
                wanted = each["valueFrom"]["secretKeyRef"]
                secret = self.objects["secrets"][wanted["name"]]
                variables[each["name"]] = base64.b64decode(secret["data"][wanted["key"]]).decode()
        process = subprocess.Popen(
            container["command"],
            cwd=place,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.processes[name] = process
        running = {"name": "worker", "state": {"running": {"startedAt": tell_time()}}}
        pod["spec"]["nodeName"] = "node-1"
        pod["status"] = {"phase": "Running", "containerStatuses": [running]}
        self.put("pods", pod, "MODIFIED")
        with (self.folder / f"{name}.log").open("ab", 0) as log:
            for line in process.stdout:
                log.write(f"{tell_time()} ".encode() + line)
        code = process.wait()
        process.stdout.close()
        self.finish(pod, code if code >= 0 else 128 - code)

    def finish(self, pod, code, reason=""):
        """Tell how a pod ended, as kubelet and controller do."""
        done = {"exitCode": code, "reason": reason or ("Completed" if code == 0 else "Error")}
        pod["status"] = {
            "phase": "Succeeded" if code == 0 else "Failed",
            "containerStatuses": [{"name": "worker", "state": {"terminated": done}}],
        }
        gone = "deletionTimestamp" in pod["metadata"]
        self.put("pods", pod, "DELETED" if gone else "MODIFIED")
        self.settle_job(pod["metadata"]["labels"]["job-name"], good=code == 0 and not gone)

    def settle_job(self, name, *, good):
        """Say how a job ended: badly with its first pod that did, well with the last."""
        with self.lock:
            job = self.objects["jobs"].get(name)
            phases = [each["status"]["phase"] for each in self.objects["pods"].values() if is_of(each, name)]
            if job is not None and (not good or set(phases) == {"Succeeded"}):
                told = {"type": "Complete" if good else "Failed", "status": "True"}
                told |= (
                    {} if good else {"reason": "BackoffLimitExceeded", "message": "Job has reached the backoff limit"}
                )
                job["status"] = {"conditions": [told]}
                self.put("jobs", job, "MODIFIED")

    def delete(self, kind, name, grace_s):
        """Remove an object and what belongs to it; None when there is none."""
        with self.lock:
            thing = self.objects[kind].get(name)
            if thing is None:
                return None
            if kind == "jobs":
                self.put(kind, thing, "DELETED")
                for of in ("secrets", "services"):
                    if (owned := self.objects[of].get(name)) and owned["metadata"].get("ownerReferences"):
                        self.put(of, owned, "DELETED")
                for pod in [
                    each for each in self.objects["pods"].values() if each["metadata"]["labels"].get("job-name") == name
                ]:
                    self.delete("pods", pod["metadata"]["name"], 30.0)
                return thing
            process = self.processes.get(name) if kind == "pods" else None
            if process is None or process.poll() is not None:
                self.put(kind, thing, "DELETED")
                if kind == "pods" and thing["status"]["phase"] == "Pending":
                    self.settle_job(thing["metadata"]["labels"]["job-name"], good=False)
                return thing
            thing["metadata"]["deletionTimestamp"] = tell_time()
            self.put(kind, thing, "MODIFIED")
        threading.Thread(target=stop, args=(process, grace_s), daemon=True).start()
        return thing


def stop(process, grace_s):
    """End a process as a kubelet does, with all that its container holds."""
    process.send_signal(signal.SIGTERM if grace_s else signal.SIGKILL)
    try:
        process.wait(grace_s or 30)
    except subprocess.TimeoutExpired:
        end_tree(process.pid)


def end_tree(pid):
    """Kill a process and all below it, first what is below."""
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            end_tree(int(child))
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def is_of(pod, job):
    return pod["metadata"]["labels"].get("job-name") == job


def make_node():
    amounts = {"cpu": "8", "memory": "16Gi", "nvidia.com/gpu": "2"}
    ready = {"type": "Ready", "status": "True"}
    meta = {"name": "node-1", "labels": {"nvidia.com/gpu.product": "A100"}}
    return {"kind": "Node", "metadata": meta, "spec": {}, "status": {"allocatable": amounts, "conditions": [ready]}}


def tell_time():
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + f"{time.time_ns() % 1000:03d}Z"


class Handler(BaseHTTPRequestHandler):
    """Answers requests to the cluster of its server."""

    protocol_version = "HTTP/1.1"

    @property
    def cluster(self):
        return self.server.cluster

    def log_message(self, *_):
        pass

    def answer(self):
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        size = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(size)) if size else None
        self.cluster.asked.append((self.command, parts.path, query, body, dict(self.headers)))
        time.sleep(self.cluster.slow_s)
        if "watch" not in query and self.fail(parts.path):
            return
        if self.cluster.token and self.headers.get("Authorization") != f"Bearer {self.cluster.token}":
            self.refuse(401, "Unauthorized")
            return
        found = _PATH.match(parts.path)
        if found is None or found[1] not in {None, "team"}:
            self.refuse(404, f"{parts.path} not found")
            return
        _, kind, name, log = found.groups()
        if log:
            self.tell_log(name, query)
        elif self.command == "GET" and "watch" in query:
            self.watch(kind, query)
        elif self.command == "GET":
            self.get(kind, name, query)
        else:
            self.change(kind, name, query, body)

    do_GET = do_POST = do_PATCH = do_DELETE = answer  # noqa: N815 - the library asks for these names

    def fail(self, place):
        """Do what was ordered in place of an answer; tell whether something was."""
        for fault in list(self.cluster.faults):
            method, path, status, headers = fault
            if method == self.command and path.search(place):
                self.cluster.faults.remove(fault)
                if status:
                    self.refuse(status, f"ordered {status}", headers)
                else:
                    self.close_connection = True
                return True
        return False

    def get(self, kind, name, query):
        with self.cluster.lock:
            if name is None:
                items = [each for each in self.cluster.objects[kind].values() if matches(each, query)]
                meta = {"resourceVersion": str(self.cluster.version)}
                self.tell(200, {"kind": f"{_KINDS[kind]}List", "metadata": meta, "items": items})
            elif name in self.cluster.objects[kind]:
                self.tell(200, self.cluster.objects[kind][name])
            else:
                self.refuse(404, f'{kind} "{name}" not found')

    def change(self, kind, name, query, body):
        if self.command == "POST":
            name = body["metadata"]["name"]
            with self.cluster.lock:
                if name in self.cluster.objects[kind]:
                    self.refuse(409, f'{kind} "{name}" already exists')
                    return
                body["metadata"]["creationTimestamp"] = tell_time()
                thing = self.cluster.put(kind, body)
            if kind == "jobs":
                self.cluster.begin_job(thing)
            self.tell(201, thing)
        elif self.command == "PATCH":
            with self.cluster.lock:
                thing = self.cluster.objects[kind][name]
                thing["metadata"] |= body["metadata"]
                self.tell(200, self.cluster.put(kind, thing, "MODIFIED"))
        else:
            thing = self.cluster.delete(kind, name, float(query.get("gracePeriodSeconds", 30)))
            if thing is None:
                self.refuse(404, f'{kind} "{name}" not found')
            else:
                self.tell(200, {"kind": "Status", "status": "Success"})

    def watch(self, kind, query):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        version, until = int(query["resourceVersion"]), time.monotonic() + float(query["timeoutSeconds"])
        while time.monotonic() < until and not self.cluster.ended:
            with self.cluster.changed:
                if version < self.cluster.oldest and not self.cluster.mute:
                    gone = {"kind": "Status", "code": 410, "message": "too old resource version"}
                    self.send_part({"type": "ERROR", "object": gone})
                    break
                fresh = [each for each in self.cluster.events if each[0] > version]
                if not fresh:
                    self.cluster.changed.wait(0.2)
                    continue
            for at, of, what, text in fresh:
                version = at
                if of == kind and matches(json.loads(text), query) and not self.cluster.mute:
                    self.send_part({"type": what, "object": json.loads(text)})
        self.wfile.write(b"0\r\n\r\n")

    def send_part(self, thing):
        line = json.dumps(thing).encode() + b"\n"
        self.wfile.write(b"%x\r\n" % len(line) + line + b"\r\n")
        self.wfile.flush()

    def tell_log(self, name, query):
        path = self.cluster.folder / f"{name}.log"
        if name not in self.cluster.objects["pods"] or not path.exists():
            self.refuse(400, f'container "worker" in pod "{name}" is waiting to start')
            return
        since = query.get("sinceTime", "")[:19]
        lines = [line for line in path.read_bytes().splitlines(keepends=True) if line[:19].decode() >= since]
        self.tell(200, b"".join(lines))

    def tell(self, status, thing, headers=None):
        content = thing if isinstance(thing, bytes) else json.dumps(thing).encode()
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def refuse(self, status, message, headers=None):
        self.tell(status, {"kind": "Status", "status": "Failure", "code": status, "message": message}, headers)


def matches(thing, query):
    """Tell whether an object is one that a request asks for."""
    labels = thing["metadata"].get("labels") or {}
    wanted = [each.partition("=")[::2] for each in query.get("labelSelector", "").split(",") if each]
    fields = [each.partition("=")[::2] for each in query.get("fieldSelector", "").split(",") if each]
    return all(labels.get(name) == value for name, value in wanted) and all(
        thing.get(name) == value for name, value in fields
    )


def write_kubeconfig(path, cluster, *, cluster_more="", user="    token: a-token\n"):
    """Write what kubectl would read; return its path."""
    path.write_text(
        "apiVersion: v1\nkind: Config\npreferences: {}\ncurrent-context: lab\n"
        "contexts:\n- context:\n    cluster: lab\n    namespace: default\n    user: anna\n  name: lab\n"
        f"clusters:\n- cluster:\n    server: {cluster.url}\n{cluster_more}  name: lab\n"
        f"users:\n- name: anna\n  user:\n{user}"
    )
    return path


def open_engine(url, home):
    """Return an engine on the cluster that the test has started."""
    del url
    return KubernetesEngine(os.environ[VARIABLE], home)


def make_url(kubeconfig, python, home, **options):
    """Return the URL of a pool there; the home is shared."""
    given = {"image": "lab/ml:1", "python": python, "home": home, "kubeconfig": kubeconfig} | options
    return f"k8s://lab/team?{urlencode({name: text for name, text in given.items() if text})}"
