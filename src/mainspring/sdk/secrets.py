"""Secrets by reference: code names them, only the run that uses one has its value."""

from __future__ import annotations

from typing import Any

from mainspring.domain.access import SecretValue, UseSecret
from mainspring.domain.errors import Denied
from mainspring.sdk.context import active_run
from mainspring.security.masks import hide


class Secret:
    """A reference to a secret of the project; it travels, is printed and is compared as its name.

    Parameters
    ----------
    name : str
        As given to ``mainspring secrets add``.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def value(self) -> str:
        """Return the value, inside of a run.

        Returns
        -------
        str
            What was kept. From now on this process masks it in what it prints, logs and records;
            a result that holds it is refused.

        Raises
        ------
        Denied
            SECRET-002 outside of runs; AUTH-005 or AUTH-007 when whoever runs it may not.
        NotFound
            SECRET-001 when the project has no such secret.

        Notes
        -----
        Guarantees: each use is in the audit, with the run.
        """
        active = active_run()
        if active is None:
            raise Denied("SECRET-002", f"{self!r} is asked for outside of a run", name=self.name)
        run = active.run
        wanted = UseSecret(name=self.name, run_id=run.id, attempt=run.attempt, fence=run.fence)
        told: SecretValue = active.client.ask(wanted, token=active.client.authority)
        hide(told.value)
        return told.value

    def __repr__(self) -> str:
        return f"secret({self.name!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self.name == other.name

    def __hash__(self) -> int:
        return hash(("mainspring.secret", self.name))

    def __reduce__(self) -> tuple[Any, ...]:
        return Secret, (self.name,)

    def __mainspring_digest__(self) -> str:
        return self.name


def secret(name: str) -> Secret:
    """Refer to a secret; its value exists only in the run that uses it.

    Parameters
    ----------
    name : str
        As given to ``mainspring secrets add``.

    Returns
    -------
    Secret
        Pass it to steps as it is, and call ``.value()`` where the value is needed.

    Examples
    --------
    >>> secret("database")
    secret('database')
    """
    return Secret(name)
