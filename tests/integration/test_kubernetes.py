"""The engine k8s:// against a fake API server that fails as real ones do: nothing is lost, nothing begins twice."""

import contextlib
import datetime as dt
import ipaddress
import signal
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.support.coded import handle_of, make_coded, wait_code, wait_ended, wait_for, write_worker
from tests.support.kubernetes import FakeKubernetes, make_url, write_kubeconfig

from mainspring.compute.engine import Gang, Rejection, find_engine
from mainspring.domain.errors import Unavailable
from mainspring.testing.engines import lives, until, wait_for_file


@pytest.fixture(autouse=True)
def asked_anew(monkeypatch):
    """Watches are short: what a test waits for comes at most so late."""
    monkeypatch.setattr("mainspring.compute.adapters.kubeclient.RELIST_S", 1.0)
    monkeypatch.setattr("mainspring.compute.adapters.kubeclient.WATCH_S", 1)
    monkeypatch.setattr("mainspring.compute.adapters.kubelink._MISSED_S", 1.0)


@pytest.fixture
def cluster(tmp_path):
    made = FakeKubernetes(tmp_path / "cluster")
    yield made
    made.end()


@pytest.fixture
def open_engine(cluster, home, tmp_path):
    """Open engines of the cluster; all are closed after the test."""
    home.root.mkdir(exist_ok=True)
    config = write_kubeconfig(tmp_path / "config", cluster)
    python, opened = write_worker(tmp_path / "worker"), []

    def open_one(kubeconfig=config, **options):
        opened.append(find_engine(make_url(kubeconfig, python, home.root, **options), home))
        return opened[-1]

    yield open_one
    for each in opened:
        each.close()


@pytest.fixture
def engine(open_engine):
    return await_nodes(open_engine())


def await_nodes(engine):
    for _ in until():
        with contextlib.suppress(Unavailable):
            if engine.capacity():
                break
    return engine


def await_problem(engine):
    for _ in until():
        try:
            engine.capacity()
        except Unavailable as fault:
            return fault
    return None


def test_nodes_are_told_and_what_none_can_hold_is_refused(engine):
    (node,) = engine.capacity()
    assert (node.name, node.cpus, node.memory_bytes, node.gpus, node.gpu_type) == ("node-1", 8, 16 << 30, 2, "A100")
    for asked, what in ({"gpus": 3}, "3 gpus"), ({"cpus": 9}, "9 cpus"), ({"gpus": 0.5}, "whole ones"):
        (answer,) = engine.submit([make_coded("", **asked)])
        assert isinstance(answer, Rejection)
        assert what in answer.reason


def test_an_attempt_is_a_job_and_all_of_it_goes_when_it_is_released(engine, cluster):
    spec = make_coded("print('first', flush=True); print('second'); raise SystemExit(3)")
    assert engine.submit([spec]) == engine.submit([spec]) == [handle_of(spec)]
    (status,) = wait_ended(engine, spec)
    assert (status.cause, status.exit_code) == ("", 3)
    assert engine.logs(handle_of(spec), 6, 100) == (b"second\n", 13)
    assert cluster.list_names("jobs") == cluster.list_names("secrets") == [f"mainspring-{spec.run_id}-1"]
    assert engine.adopt(0.0) == [handle_of(spec)]
    engine.release([handle_of(spec)])
    for _ in until():
        if not any(cluster.list_names(kind) for kind in ("jobs", "pods", "secrets")):
            break
    assert engine.adopt(0.0) == []
    tokens = [each for each in cluster.asked if each[3] and "data" not in each[3] and "token-of" in str(each[3])]
    assert tokens == []


@pytest.mark.parametrize(
    ("method", "path", "status", "headers"),
    [
        ("POST", "/secrets$", 500, {}),
        ("POST", "/jobs$", 503, {}),
        ("POST", "/jobs$", 429, {"Retry-After": "1"}),
        ("POST", "/jobs$", 0, {}),
        ("PATCH", "/secrets/", 500, {}),
        ("GET", "/log$", 500, {}),
        ("GET", "/jobs$", 500, {}),
        ("GET", "/pods$", 429, {}),
    ],
)
def test_what_fails_for_a_moment_is_done_again_and_once(open_engine, cluster, tmp_path, method, path, status, headers):
    cluster.fail(method, path, status, times=2, **headers)
    engine = await_nodes(open_engine())
    spec = make_coded(f"open({str(tmp_path)!r} + f'/mark-{{os.getpid()}}', 'x'); print('done')")
    engine.submit([spec])
    (ended,) = wait_ended(engine, spec)
    assert (ended.cause, ended.exit_code) == ("", 0)
    assert engine.logs(handle_of(spec), 0, 100) == (b"done\n", 5)
    assert len(list(tmp_path.glob("mark-*"))) == 1
    assert not cluster.faults


def test_a_job_that_is_there_already_is_taken_for_its_own(open_engine, cluster, tmp_path):
    """The answer to the first request was lost: 409 says that it had arrived."""
    cluster.holding = True
    first = await_nodes(open_engine())
    spec = make_coded(f"open({str(tmp_path)!r} + f'/mark-{{os.getpid()}}', 'x')")
    first.submit([spec])
    for _ in until():
        if cluster.list_names("pods"):
            break
    first.close()
    second = open_engine()
    second.submit([spec])
    cluster.resume()
    assert wait_ended(second, spec)[0].exit_code == 0
    assert len(list(tmp_path.glob("mark-*"))) == 1
    assert len(cluster.list_names("jobs")) == 1


@pytest.mark.parametrize("told", [True, False])
def test_changes_that_no_watch_tells_are_found(engine, cluster, tmp_path, told):
    stop = tmp_path / "stop"
    spec = make_coded(wait_code(stop))
    engine.submit([spec])
    wait_for(engine, spec, lambda status: status.state == "running")
    cluster.lose_watches(told=told)
    stop.touch()
    assert wait_ended(engine, spec)[0].exit_code == 0


def test_a_server_that_is_slow_or_down_is_told_and_nothing_waits_for_it(engine, cluster, tmp_path):
    stop = tmp_path / "stop"
    spec = make_coded(wait_code(stop))
    engine.submit([spec])
    wait_for(engine, spec, lambda status: status.state == "running")
    cluster.token = "another"
    fault = await_problem(engine)
    assert (fault.code, fault.what) == ("WORK-019", "lab/team: Unauthorized")
    assert engine.poll([handle_of(spec)])[0].state == "running"
    cluster.token, cluster.slow_s = "a-token", 0.3
    stop.touch()
    assert wait_ended(engine, spec)[0].exit_code == 0
    await_nodes(engine)


def test_the_word_to_end_comes_first_and_the_rest_after_the_grace(engine, cluster, tmp_path):
    ready, cleaned, deaf = tmp_path / "ready", tmp_path / "cleaned", tmp_path / "deaf"
    polite = make_coded(f"""
import signal, sys, time
def end(*_):
    open({str(cleaned)!r}, "w").close()
    sys.exit(143)
signal.signal(signal.SIGTERM, end)
open({str(ready)!r}, "w").write(str(os.getpid()))
time.sleep(600)
""")
    rude = make_coded(f"""
import signal, time
signal.signal(15, signal.SIG_IGN)
open({str(deaf)!r}, "w").write(str(os.getpid()))
time.sleep(600)
""")
    engine.submit([polite, rude])
    pids = [int(wait_for_file(ready)), int(wait_for_file(deaf))]
    engine.cancel([handle_of(polite)], 60.0, signal.SIGTERM)
    engine.cancel([handle_of(rude)], 0.5, signal.SIGTERM)
    assert {status.cause for status in wait_ended(engine, polite, rude)} == {"cancelled"}
    for _ in until():
        if not any(map(lives, pids)):
            break
    assert cleaned.exists()


def test_what_waits_says_why_and_never_begins_once_it_is_cancelled(engine, cluster):
    cluster.holding = True
    spec = make_coded("")
    engine.submit([spec])
    waiting = wait_for(engine, spec, lambda status: "Insufficient cpu" in status.detail)
    assert (waiting.state, waiting.queued) == ("starting", True)
    engine.cancel([handle_of(spec)], 1.0, signal.SIGTERM)
    assert wait_ended(engine, spec)[0].cause == "cancelled"
    for _ in until():
        if not cluster.list_names("jobs"):
            break
    assert not cluster.processes


def test_warnings_are_reasons(open_engine, cluster):
    engine = await_nodes(open_engine(queue="lab"))
    assert engine.describe().owns_queue
    spec = make_coded("")
    engine.submit([spec])
    wait_for(engine, spec, lambda status: "queue of Kueue" in status.detail)
    with cluster.lock:
        (job,) = cluster.objects["jobs"].values()
        job["spec"]["suspend"] = False
        cluster.put("jobs", job, "MODIFIED")
    cluster.warn(job["metadata"]["name"], "FailedCreate", "exceeded quota: team")
    status = wait_for(engine, spec, lambda status: "exceeded quota" in status.detail)
    assert status.detail == "waiting in Kubernetes: FailedCreate: exceeded quota: team"


def test_an_image_that_cannot_be_pulled_ends_it_after_a_while(engine, cluster, monkeypatch):
    cluster.waiting = {"reason": "ImagePullBackOff", "message": "no such image lab/ml:1"}
    spec = make_coded("")
    engine.submit([spec])
    wait_for(engine, spec, lambda status: "no such image" in status.detail)
    monkeypatch.setattr("mainspring.compute.adapters.kubelink._STUCK_S", 0.0)
    (status,) = wait_ended(engine, spec)
    assert status.cause == "unstartable"
    assert "ImagePullBackOff" in status.detail


def test_what_the_server_refuses_for_good_is_unstartable(engine, cluster):
    cluster.fail("POST", "/jobs$", 422)
    spec = make_coded("")
    engine.submit([spec])
    (status,) = wait_ended(engine, spec)
    assert (status.cause, status.detail) == ("unstartable", "Kubernetes refused it: ordered 422")
    for _ in until():
        if not cluster.list_names("secrets"):
            break


def test_a_job_that_somebody_removes_is_lost(engine, cluster):
    cluster.holding = True
    spec = make_coded("")
    engine.submit([spec])
    wait_for(engine, spec, lambda status: "Insufficient" in status.detail)
    cluster.delete("jobs", f"mainspring-{spec.run_id}-1", 0.0)
    (status,) = wait_ended(engine, spec)
    assert (status.cause, status.detail) == ("lost", "its job is gone")


def test_the_pods_of_a_gang_know_their_rank_and_the_first(engine, cluster):
    code = "print(os.environ['MAINSPRING_RANK'], flush=True)"
    spec = make_coded(code, gang=Gang(3))
    engine.submit([spec])
    assert wait_ended(engine, spec)[0].exit_code == 0
    name = f"mainspring-{spec.run_id}-1"
    said = {path.read_bytes().split()[1] for path in cluster.folder.glob(f"{name}-*.log")}
    assert said == {b"0", b"1", b"2"}
    assert cluster.list_names("services") == [name]
    engine.release([handle_of(spec)])
    for _ in until():
        if not cluster.list_names("services"):
            break


def test_where_nodes_may_not_be_listed_a_share_is_counted_with(open_engine, cluster):
    cluster.fail("GET", "/nodes$", 403, times=1000)
    fault = await_problem(open_engine())
    assert fault.code == "WORK-019"
    assert "give the pool a share by cpus=, memory= and gpus=" in fault.what
    (node,) = await_nodes(open_engine(cpus="4", memory="8Gi")).capacity()
    assert (node.name, node.cpus, node.memory_bytes) == ("share", 4.0, 8 << 30)


def test_a_certificate_is_shown_and_the_server_s_is_checked(home, tmp_path):
    authority, identity, key = make_certificates()
    (tmp_path / "all.pem").write_text(identity + key)

    def wrap(server):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tmp_path / "all.pem")
        context.load_verify_locations(cadata=authority)
        context.verify_mode = ssl.CERT_REQUIRED
        server.socket = context.wrap_socket(server.socket, server_side=True)

    cluster = FakeKubernetes(tmp_path / "cluster", wrap)
    cluster.token = ""
    home.root.mkdir()
    for name, text in (("authority", authority), ("identity", identity), ("key", key)):
        (tmp_path / f"{name}.pem").write_text(text)
    user = "    client-certificate: identity.pem\n    client-key: key.pem\n"
    trusted = write_kubeconfig(
        tmp_path / "config", cluster, cluster_more="    certificate-authority: authority.pem\n", user=user
    )
    doubted = write_kubeconfig(tmp_path / "doubted", cluster, user=user)
    python = write_worker(tmp_path / "worker")
    engines = [find_engine(make_url(each, python, home.root), home) for each in (trusted, doubted)]
    try:
        await_nodes(engines[0])
        assert "certificate" in await_problem(engines[1]).what
    finally:
        for each in engines:
            each.close()
        cluster.end()


def make_certificates():
    """Return an authority, and a certificate of it with its key for this machine, in PEM."""
    now, made = dt.datetime.now(dt.UTC), []
    root = ec.generate_private_key(ec.SECP256R1())
    for name, key, is_authority in (
        ("authority", root, True),
        ("leaf", ec.generate_private_key(ec.SECP256R1()), False),
    ):
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "authority")])
        build = x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
        build = build.not_valid_before(now - dt.timedelta(days=1)).not_valid_after(now + dt.timedelta(days=1))
        build = build.add_extension(x509.BasicConstraints(is_authority, None), critical=True)
        here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        made.append((build.add_extension(here, critical=False).sign(root, hashes.SHA256()), key))
    texts = [each.public_bytes(serialization.Encoding.PEM).decode() for each, _ in made]
    plain = serialization.NoEncryption()
    form = serialization.PrivateFormat.PKCS8
    return *texts, made[1][1].private_bytes(serialization.Encoding.PEM, form, plain).decode()
