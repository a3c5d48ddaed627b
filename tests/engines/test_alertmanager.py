"""Alarms reach a real Alertmanager, once each, and are raised again when they happen again."""

import json
import os
from shutil import which

import pytest
from tests.support.receivers import wait_for
from tests.support.stores import Process, free_ports, request

from mainspring.domain import messages, sinks

pytestmark = pytest.mark.engines

CONFIGURATION = "route:\n  receiver: nobody\nreceivers:\n  - name: nobody\n"


@pytest.fixture(autouse=True)
def private_hosts(monkeypatch):
    monkeypatch.setenv("MAINSPRING_PRIVATE_HOSTS", "127.0.0.1")


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory):
    """Alertmanager of Debian, on two ports of its own."""
    program = which("prometheus-alertmanager")
    if program is None:
        assert os.environ.get("ENGINES") != "all", "prometheus-alertmanager is not installed"
        pytest.skip("prometheus-alertmanager is not installed")
    folder = tmp_path_factory.mktemp("alertmanager")
    (folder / "alertmanager.yml").write_text(CONFIGURATION)
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    options = {
        "config.file": folder / "alertmanager.yml",
        "storage.path": folder / "data",
        "web.listen-address": f"127.0.0.1:{port}",
        "cluster.listen-address": "",
    }
    command = [program, *(f"--{name}={value}" for name, value in options.items())]
    process = Process(command, folder / "alertmanager.log")
    try:
        process.wait_until(lambda: request(f"{url}/-/ready"))
        yield url
    finally:
        process.end()


def list_alerts(url):
    alerts = json.loads(request(f"{url}/api/v2/alerts"))
    return [alert for alert in alerts if alert["labels"]["alertname"] == "run.failed"]


def fail(client, name):
    run = client.ask(messages.BeginRun(kind="step", name=name)).run
    client.ask(messages.FinishRun(run_id=run.id, attempt=1, fence=run.fence, state="failed"))
    return run


def test_a_failed_run_is_an_active_alert(client, alertmanager):
    client.ask(sinks.AddSink(name="alerts", kind="alertmanager", url=alertmanager, options={"severity": "page"}))
    first = fail(client, "fit")
    wait_for(lambda: list_alerts(alertmanager), "an alert")
    fail(client, 'odd "name"\n{{ template }}')
    wait_for(lambda: len(list_alerts(alertmanager)) == 2, "a second alert")
    by_subject = {alert["labels"]["subject"]: alert for alert in list_alerts(alertmanager)}
    alert = by_subject["fit"]
    assert alert["labels"] == {
        "alertname": "run.failed", "job": "mainspring", "project": "default", "subject": "fit", "severity": "page",
    }  # fmt: skip
    assert alert["status"]["state"] == "active"
    assert first.id in alert["annotations"]["summary"]
    again = fail(client, "fit")
    wait_for(lambda: client.ask(sinks.GetSink(name="alerts")).delivered == 3, "the third event")
    wait_for(
        lambda: any(again.id in each["annotations"]["summary"] for each in list_alerts(alertmanager)), "the newer run"
    )
    assert len(list_alerts(alertmanager)) == 2  # the same kind and subject is one alert


def test_a_test_is_accepted(client, alertmanager):
    client.ask(sinks.AddSink(name="alerts", kind="alertmanager", url=alertmanager))
    answer = client.ask(sinks.TestSink(name="alerts"))
    assert answer.outcome == "accepted", answer.text
