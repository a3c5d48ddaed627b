"""The application over the use cases of a desk, without sockets."""

import asyncio

import httpx
from tests.support.access import HOME_USER

from mainspring.api.app import make_app
from mainspring.api.entrance import Entrance
from mainspring.api.sessions import Sessions
from mainspring.api.transfers import Transfers
from mainspring.domain import access, messages, pools, predictions, registry, sinks
from mainspring.domain.wire import encode_command
from mainspring.security.tokens import digest_token

HOME_TOKEN = "a" * 64
BODIES = {
    messages.MoveAlias: {"number": 1},
    messages.Promote: {"alias": "champion", "data": "rows"},
    predictions.Predict: {"data": "rows", "to": "scores"},
    messages.Apply: {"declarations": []},
    registry.RegisterModel: {"name": "made"},
    registry.RenameModel: {"to": "other"},
    messages.Deploy: {"model": "delays"},
    messages.CheckService: {"until": 1.0},
    access.AddProject: {"name": "made"},
    access.AddUser: {"name": "made"},
    access.GrantRole: {"role": "viewer"},
    access.IssueToken: {"principal": "asker"},
    access.AddSecret: {"value": "secret value"},
    pools.AddPool: {"url": "local://nothing"},
    sinks.AddSink: {"kind": "webhook", "url": "https://ops.example.org/hook"},
}
"""Command -> the least that a body of its route must hold."""

BASE = "http://127.0.0.1:8430"


class DeskRelay:
    """Asks a desk as the relay asks an owner; keeps what it was asked."""

    def __init__(self, desk):
        self.desk = desk
        self.asked = []

    async def ask(self, command, key="", *, project="", token=""):
        self.asked.append(command)
        return self.desk.ask(command, actor=HOME_USER, key=key, project=project or "default", token=token)

    async def exchange(self, command, key="", *, project="", token=""):
        return encode_command(await self.ask(command, key, project=project, token=token))


def make_desk_app(relay, entrance, **options):
    transfers = Transfers(relay, entrance, relay.desk.home, relay.desk.blobs)
    return make_app(relay, entrance, transfers, **options)


class Site:
    """Sends requests straight into the application."""

    def __init__(self, desk, **options):
        self.relay = DeskRelay(desk)
        self.sessions = options.pop("sessions", None) or Sessions()
        self.app = make_desk_app(self.relay, Entrance(digest_token(HOME_TOKEN), self.sessions, **options))

    def __call__(self, verb, path, token=HOME_TOKEN, *, peer="127.0.0.1", cookies=None, headers=None, **options):
        bearer = {"Authorization": f"Bearer {token}"} if token else {}

        async def send():
            transport = httpx.ASGITransport(self.app, client=(peer, 40_000))
            async with httpx.AsyncClient(transport=transport, base_url=BASE, cookies=cookies) as client:
                return await client.request(verb, path, headers={**bearer, **(headers or {})}, **options)

        return asyncio.run(send())

    @property
    def asked(self):
        return self.relay.asked
