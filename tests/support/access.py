"""People with roles and tokens at a desk."""

from mainspring.domain import access
from mainspring.domain.principals import ANY_PROJECT, Principal

HOME_USER = Principal("root", "user", {ANY_PROJECT: "admin"})


class Person:
    """Asks a desk with a token of a user that was made for it."""

    def __init__(self, desk, name, role=None, project="default", everywhere=False, kind="user", **limits):
        self.desk, self.name, self.project = desk, name, project
        desk.ask(
            access.AddUser(name=name, kind=kind, role=role, everywhere=everywhere), actor=HOME_USER, project=project
        )
        issued = desk.ask(access.IssueToken(principal=name, **limits), actor=HOME_USER)
        self.token, self.token_id = issued.token, issued.record.id

    def ask(self, command, key="", project=None):
        return self.desk.ask(
            command, actor=Principal("nobody", "user"), key=key, project=project or self.project, token=self.token
        )
