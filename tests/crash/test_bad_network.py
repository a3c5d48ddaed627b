"""Remote clients over a bad network and a restarted server: acknowledged writes = recorded writes."""

import threading
import time
from collections import Counter

from tests.support.homes import end_owner
from tests.support.proxy import FAULTS, Proxy
from tests.support.servers import UpProcess

from mainspring.domain import messages
from mainspring.sdk.https import Patience
from mainspring.sdk.remote import RemoteClient
from mainspring.security.tokens import home_token

SEED = 20261121
PATIENCE = Patience(connect_s=2.0, silence_s=0.6, total_s=60.0)
WRITERS = 3


def write(url, token, writer, numbers, acknowledged, faults):
    client = RemoteClient(url, token, patience=PATIENCE)
    try:
        for number in numbers:
            name = f"w{writer}_{number}"
            run = client.ask(messages.BeginRun(kind="step", name=name)).run
            acknowledged.append((run.id, run.name))
            assert run.name == name, "an answer to another request"
            assert client.ask(messages.GetRun(id=run.id)).name == name
    except BaseException as fault:
        faults.append(fault)
        raise
    finally:
        client.close()


def write_together(url, token, count, meanwhile=lambda: None, first=0):
    acknowledged, faults = [], []
    threads = [
        threading.Thread(target=write, args=(url, token, writer, range(first, first + count), acknowledged, faults))
        for writer in range(WRITERS)
    ]
    for thread in threads:
        thread.start()
    meanwhile()
    for thread in threads:
        thread.join()
    assert faults == []
    return acknowledged


def list_recorded(client):
    found, page = [], ""
    while page is not None:
        answer = client.ask(messages.SearchRuns("kind = step", limit=1000, page=page))
        found += [(run.id, run.name) for run in answer.runs]
        page = answer.next
    return found


def check(client, acknowledged, count):
    recorded = list_recorded(client)
    assert Counter(recorded) == Counter(acknowledged)
    assert len({name for _, name in recorded}) == len(recorded) == WRITERS * count


def test_each_fault_of_the_network(client):
    """One server; each fault alone, then all together; what was acknowledged before stays."""
    print(f"seed {SEED}")
    server, acknowledged, count = UpProcess(), [], 6
    try:
        for number, faults in enumerate([*((fault,) for fault in FAULTS), FAULTS]):
            with Proxy(server.port, SEED + number, rate=0.25, faults=faults, hold_s=1.5) as proxy:
                url = f"http://127.0.0.1:{proxy.port}"
                acknowledged += write_together(url, home_token(client.home), count, first=number * count)
            assert sum(proxy.met.values()) > 0, faults
    finally:
        server.end()
    check(client, acknowledged, count * (len(FAULTS) + 1))


def test_a_server_and_an_owner_killed_under_load(client, home):
    count = 60
    first = UpProcess()
    servers = [first]

    def kill():
        for round_ in range(3):
            time.sleep(0.4)
            servers[-1].kill()
            if round_ % 2:
                end_owner(home)
            servers.append(UpProcess(port=first.port))
            time.sleep(0.2)
            end_owner(home)

    try:
        acknowledged = write_together(first.url, home_token(client.home), count, kill)
    finally:
        servers[-1].end()
    check(client, acknowledged, count)
