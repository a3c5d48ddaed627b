"""What k8s:// sends is valid by the schema of a server of 1.36 and restricted; what it is told is read well."""

import base64
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.compute.adapters import kubejobs, kubetext
from mainspring.compute.adapters.kubeaddress import read_address, read_quantity
from mainspring.compute.adapters.kubeconfig import read_access
from mainspring.compute.engine import Gang, Handle, Spec
from mainspring.compute.remote import Attempt
from mainspring.domain.errors import Invalid
from mainspring.domain.records import Resources

SCHEMA = json.loads((Path(__file__).parent.parent / "data" / "kubernetes" / "v1.36.json").read_text())
PIN = "server=https://lab:8430&certificate=" + "0" * 64
URL = f"k8s://lab/team?image=lab/ml:3&{PIN}"
RUN = "0123456789abcdef" * 2
JOB, SECRET, SERVICE = "io.k8s.api.batch.v1.Job", "io.k8s.api.core.v1.Secret", "io.k8s.api.core.v1.Service"


def list_faults(thing, shape, place="$"):
    """Say what of an object the schema does not know; a server told to be strict refuses the same."""
    if "$ref" in shape:
        return list_faults(thing, SCHEMA[shape["$ref"].rpartition("/")[2]], place)
    kind = shape.get("type", "object" if "properties" in shape else "")
    types = {"string": str, "integer": int, "boolean": bool, "array": list, "object": dict, "number": (int, float)}
    if kind and (not isinstance(thing, types[kind]) or (kind == "integer" and isinstance(thing, bool))):
        return [f"{place} is {thing!r}, not {kind}"]
    if kind == "array":
        return [fault for at, each in enumerate(thing) for fault in list_faults(each, shape["items"], f"{place}[{at}]")]
    if kind != "object":
        return [] if thing in shape.get("enum", [thing]) else [f"{place} is {thing!r}"]
    known, rest = shape.get("properties", {}), shape.get("additionalProperties")
    faults = [f"{place} lacks {name}" for name in shape.get("required", ()) if name not in thing]
    for name, each in thing.items():
        inner = known.get(name, rest)
        faults += list_faults(each, inner, f"{place}.{name}") if inner else [f"{place} has {name}"]
    return faults


def make_spec(**facts):
    return Spec(RUN, 2, 7, "a-token", **{"resources": Resources(cpus=1.5, memory_bytes=1 << 30, gpus=2), **facts})


ADDRESSES = [
    URL,
    f"{URL}&queue=lab&claim=data:/data&claim=models:/models&secret=keys&secret=more&pull=registry&account=runner",
    f"{URL}&tolerate=gpu=yes:NoSchedule&tolerate=spot&select=zone=a&gpu=amd.com/gpu&python=/opt/ml/bin/python",
    f"{URL}&cpus=16&memory=64Gi&gpus=2",
]


@pytest.mark.parametrize("url", ADDRESSES)
@pytest.mark.parametrize("gang", [None, Gang(3, 0, "first")])
def test_every_manifest_is_valid_by_the_schema(url, gang):
    spec = make_spec(gang=gang, node="node-1", resources=Resources(cpus=0.25) if gang else make_spec().resources)
    things = {
        JOB: kubejobs.make_job(spec, read_address(url), "mark"),
        SECRET: kubejobs.make_secret(spec, "mark", "text"),
        SERVICE: kubejobs.make_service(spec, "mark"),
    }
    for name, thing in things.items():
        assert list_faults(thing, SCHEMA[name]) == []


def test_the_check_by_the_schema_finds_what_is_wrong():
    job = kubejobs.make_job(make_spec(), read_address(URL), "mark")
    job["spec"]["backofLimit"] = 1
    job["spec"]["completions"] = "1"
    job["spec"]["template"]["spec"]["containers"][0].pop("name")
    faults = " ".join(list_faults(job, SCHEMA[JOB]))
    assert "$.spec has backofLimit" in faults
    assert "$.spec.completions is '1', not integer" in faults
    assert "containers[0] lacks name" in faults


def test_pods_pass_the_restricted_standard_and_any_user():
    pod = kubejobs.make_job(make_spec(), read_address(ADDRESSES[1]), "mark")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    for place in (pod["securityContext"], container["securityContext"]):
        assert place["runAsNonRoot"] is True
        assert place["seccompProfile"] == {"type": "RuntimeDefault"}
        assert "runAsUser" not in place
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert pod["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
    assert {tuple(each)[1] for each in pod["volumes"]} <= {"emptyDir", "persistentVolumeClaim"}
    assert {each["name"]: each.get("value") for each in container["env"]}["HOME"] == "/mainspring"


def test_the_token_is_in_the_secret_alone_and_what_was_asked_in_the_job():
    spec, address = make_spec(), read_address(ADDRESSES[1])
    job, secret = kubejobs.make_job(spec, address, "mark"), kubejobs.make_secret(spec, "mark", "holds a-token")
    assert "a-token" not in json.dumps(job)
    assert base64.b64decode(secret["data"]["MAINSPRING_ATTEMPT"]) == b"holds a-token"
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "lab"
    assert (job["spec"]["suspend"], job["spec"]["backoffLimit"]) == (True, 0)
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["requests"] == {"cpu": "1500m", "memory": str(1 << 30), "nvidia.com/gpu": "2"}
    assert container["resources"]["limits"] == {"memory": str(1 << 30), "nvidia.com/gpu": "2"}
    assert [each["mountPath"] for each in container["volumeMounts"]] == ["/mainspring", "/data", "/models"]
    assert kubejobs.read_handle(job) == Handle(RUN, 2)


def test_a_gang_is_an_indexed_job_whose_pods_find_the_first():
    spec = make_spec(gang=Gang(3))
    job, name = kubejobs.make_job(spec, read_address(URL), "mark"), f"mainspring-{RUN}-2"
    assert [job["spec"][each] for each in ("completionMode", "completions", "parallelism")] == ["Indexed", 3, 3]
    assert job["spec"]["template"]["spec"]["subdomain"] == kubejobs.make_service(spec, "m")["metadata"]["name"] == name
    assert kubejobs.name_first(spec, "team") == f"{name}-0.{name}.team.svc"
    (rank,) = [e for e in job["spec"]["template"]["spec"]["containers"][0]["env"] if e["name"] == "MAINSPRING_RANK"]
    assert "job-completion-index" in rank["valueFrom"]["fieldRef"]["fieldPath"]


@pytest.mark.parametrize(
    ("url", "what"),
    [
        (f"k8s://lab/?image=a&{PIN}", "namespace is ''"),
        (f"k8s:///team?image=a&{PIN}", "context is ''"),
        (f"k8s://lab/team?{PIN}", "image is ''"),
        (f"k8s://lab/team/more?image=a&{PIN}", "namespace is 'team/more'"),
        ("k8s://lab/team?image=a", "one of home= and server="),
        (f"{URL}&image=b", "each once"),
        (f"{URL}&privileged=yes", "privileged"),
        (f"{URL}&claim=data", "no name in Kubernetes"),
        (f"{URL}&claim=data:/../etc%20passwd", "no name in Kubernetes"),
        (f"{URL}&tolerate=a:Sometimes", "no effect"),
        (f"{URL}&cpus=2", "cpus= and memory="),
        (f"{URL}&cpus=2&memory=lots", "no amount"),
        (f"{URL}&queue=-x", "queue is"),
    ],
)
def test_what_is_no_address_is_refused(url, what):
    with pytest.raises(Invalid) as caught:
        read_address(url)
    assert caught.value.code == "WORK-017"
    assert what in caught.value.what


@given(st.integers(0, 10**15), st.sampled_from(["", "k", "M", "G", "Ki", "Mi", "Gi", "Ti", "m"]))
def test_amounts_are_read_as_kubernetes_counts(number, suffix):
    factor = {"": 1, "k": 1e3, "M": 1e6, "G": 1e9, "m": 1e-3}.get(suffix) or 1024 ** ("KMGT".index(suffix[0]) + 1)
    assert read_quantity(f"{number}{suffix}") == pytest.approx(number * factor)


@given(st.lists(st.tuples(st.integers(0, 99), st.text("ab ", max_size=3)), max_size=20), st.integers(0, 20))
def test_lines_are_told_once_however_they_are_cut(said, at):
    """Several lines may have one time, and the API repeats whole seconds."""
    said = sorted(said, key=lambda each: each[0])
    lines = [f"2026-11-22T06:00:0{each // 50}.{each % 50:09d}Z {text}\n".encode() for each, text in said]
    first, read = kubetext.cut_lines(b"".join(lines[:at]), kubetext.Stamp())
    rest = [line for line in lines if line[:20].decode() >= read.since[:19]]
    second, read = kubetext.cut_lines(b"".join(rest), read)
    assert first + second == b"".join(text.encode() + b"\n" for _, text in said)
    assert kubetext.cut_lines(b"".join(lines), read)[0] == b""


def make_pod(state=None, phase="Running", **status):
    told = {"phase": phase, **status}
    if state is not None:
        told["containerStatuses"] = [{"name": "worker", "state": state}]
    return {"metadata": {"name": "p"}, "spec": {"nodeName": "n1"}, "status": told}


FAILED = {"status": {"conditions": [{"type": "Failed", "status": "True", "message": "backoff limit", "reason": "B"}]}}
DONE = {"status": {"conditions": [{"type": "Complete", "status": "True"}]}}
DEAD = {"status": {"conditions": [{"type": "Failed", "status": "True", "reason": "DeadlineExceeded"}]}}
PULL = {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}


@pytest.mark.parametrize(
    ("job", "pods", "told"),
    [
        ({}, [], ("starting", "", "waiting in Kubernetes: FailedCreate: quota")),
        ({"spec": {"suspend": True}}, [], ("starting", "", "its turn in the queue of Kueue")),
        ({}, [make_pod({"running": {}})], ("running", "", "on n1")),
        ({}, [make_pod({"running": {}}), make_pod(phase="Pending")], ("starting", "", "waiting")),
        ({}, [make_pod(PULL, "Pending")], ("starting", "", "ImagePullBackOff: no such image")),
        (DONE, [make_pod({"terminated": {"exitCode": 0}}, "Succeeded")], ("ended", "", "exit code 0")),
        (FAILED, [make_pod({"terminated": {"exitCode": 3}}, "Failed")], ("ended", "", "exit code 3")),
        (
            {},
            [make_pod({"terminated": {"exitCode": 137, "reason": "OOMKilled"}}, "Failed")],
            ("ended", "memory", "asked"),
        ),
        ({}, [make_pod({"terminated": {"exitCode": 137, "reason": "Error"}}, "Failed")], ("ended", "", "SIGKILL")),
        (
            FAILED,
            [make_pod(None, "Failed", reason="Evicted", message="low on disk")],
            ("ended", "lost", "Evicted: low"),
        ),
        (FAILED, [], ("ended", "lost", "backoff limit")),
        (DEAD, [], ("ended", "timeout", "DeadlineExceeded")),
        (DONE, [], ("ended", "", "exit code 0")),
        ({}, [make_pod({"terminated": {"exitCode": 75}}, "Failed")], ("ended", "lost", "could not reach the owner")),
    ],
)
def test_what_the_cluster_tells_becomes_a_status(job, pods, told):
    attempt = Attempt(Handle(RUN, 1), 0.0)
    stuck = kubetext.read_job(attempt, job, pods, "FailedCreate: quota")
    assert (attempt.status.state, attempt.status.cause) == told[:2]
    assert told[2] in attempt.status.detail
    assert stuck == ("ImagePullBackOff" in told[2])


KUBECONFIG = """apiVersion: v1
kind: Config
preferences: {}
clusters:
- cluster:
    certificate-authority: missing.pem
    server: https://10.0.0.1:6443
  name: broken
- cluster:
    server: http://127.0.0.1:1
  name: plain
contexts:
- context:
    cluster: plain
    user: anna
  name: default/api-lab:6443/anna
- context:
    cluster: plain
    user: cloud
  name: cloud
- context:
    cluster: broken
    user: anna
  name: broken
users:
- name: anna
  user:
    tokenFile: token
- name: cloud
  user:
    exec:
      command: aws
      args:
      - eks
"""


def test_a_kubeconfig_is_read_and_its_token_each_time(tmp_path):
    path = tmp_path / "config"
    path.write_text(KUBECONFIG)
    (tmp_path / "token").write_text("first\n")
    access = read_access("default/api-lab:6443/anna", str(path))
    assert (access.server, access.make_headers()) == ("http://127.0.0.1:1", {"Authorization": "Bearer first"})
    (tmp_path / "token").write_text("second\n")
    assert access.make_headers() == {"Authorization": "Bearer second"}


@pytest.mark.parametrize(
    ("context", "what"),
    [
        ("other", "has no context 'other'; there are broken, cloud, default/api-lab:6443/anna"),
        ("cloud", "log in by exec"),
        ("broken", "certificate-authority"),
        ("in-cluster", "in no pod"),
    ],
)
def test_what_cannot_be_used_of_a_kubeconfig_is_told(tmp_path, monkeypatch, context, what):
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    path = tmp_path / "config"
    path.write_text(KUBECONFIG)
    with pytest.raises(Invalid) as caught:
        read_access(context, str(path))
    assert caught.value.code == "WORK-018"
    assert what in caught.value.what
