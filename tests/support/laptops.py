"""A machine without the home's folder, whose user works at the server."""

import shutil

from tests.support.servers import UpProcess

from mainspring.domain import access
from mainspring.sdk.client import get_client

VARIABLES = ("MAINSPRING_URL", "MAINSPRING_TOKEN", "MAINSPRING_CERTIFICATE", "MAINSPRING_PROJECT")


class Laptop:
    """Sets the environment as a user does who follows the guide: anna, editor of the project `air`.

    `client` is one of the home itself; `url` of an own server, or of a proxy before it.
    """

    def __init__(self, client, folder, monkeypatch, role="editor", project="air"):
        self.home_client, self.folder = client, folder
        self.server = UpProcess()
        self.monkeypatch = monkeypatch
        for name in ("air", "rail"):
            client.ask(access.AddProject(name=name))
        client.ask(access.AddUser(name="anna", role=role), project=project)
        self.token = client.ask(access.IssueToken(principal="anna")).token
        monkeypatch.setenv("MAINSPRING_HOME", str(folder))
        self.work(self.token, project)

    def work(self, token, project, url=None):
        """Work from now on with that token in that project."""
        for name, value in zip(VARIABLES, (url or self.server.url, token, "", project), strict=True):
            self.monkeypatch.setenv(name, value)

    def add(self, name, role, project):
        """Add another user; return the token."""
        self.home_client.ask(access.AddUser(name=name, role=role), project=project)
        return self.home_client.ask(access.IssueToken(principal=name)).token

    def forget(self):
        """Lose the copies that lie on this machine."""
        for folder in self.folder.glob("remotes/*/cache"):
            shutil.rmtree(folder)

    def count_copies(self):
        """Return how many blobs lie in this machine's cache."""
        return sum(1 for _ in self.folder.glob("remotes/*/cache/blobs/??/*"))

    def end(self):
        get_client().close()
        self.server.end()
