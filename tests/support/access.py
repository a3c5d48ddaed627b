"""People with roles and tokens at a desk."""

from mainspring.domain import access, transfers
from mainspring.domain.principals import ANY_PROJECT, Principal

HOME_USER = Principal("root", "user", {ANY_PROJECT: "admin"})


class Person:
    """Asks a desk with a token of a user that was made for it."""

    def __init__(self, desk, name, role=None, project="default", everywhere=False, kind="user", **limits):
        self.desk, self.name, self.project, self.kind = desk, name, project, kind
        desk.ask(
            access.AddUser(name=name, kind=kind, role=role, everywhere=everywhere), actor=HOME_USER, project=project
        )
        issued = desk.ask(access.IssueToken(principal=name, **limits), actor=HOME_USER)
        self.token, self.token_id = issued.token, issued.record.id

    def ask(self, command, key="", project=None):
        return self.desk.ask(
            command, actor=Principal("nobody", "user"), key=key, project=project or self.project, token=self.token
        )

    def upload(self, content):
        """Store bytes as the server does that has received them from this person; return their digest."""
        digest = self.desk.blobs.put(content)
        noted = transfers.NoteUpload(digest=digest, size_bytes=len(content), holder=f"{self.kind}:{self.name}")
        self.desk.ask(noted, actor=HOME_USER, project=self.project)
        return digest
