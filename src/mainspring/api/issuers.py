"""Browsers that sign in at an issuer: there, and back with a session."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from mainspring.api.entrance import Entrance
from mainspring.api.programs import Programs, read_program
from mainspring.api.sessions import SESSION_S
from mainspring.domain.access import Account, GetUser, Issued, IssueToken
from mainspring.domain.errors import Denied, NotFound
from mainspring.security.oidc import PENDING_S, SignIn

CALLBACK = "/oidc/callback"
STATE = "mainspring_state"
PROGRAM_S = 30 * 86_400.0
"""So long the token of a program holds."""


def send_away(request: Request, entrance: Entrance, sign_in: SignIn, programs: Programs) -> Response:
    """Send a browser to the issuer, with a state that only it can bring back."""
    entrance.check_source(request)
    entrance.check_attempts(request)
    program = read_program(request.query_params)
    target, state = sign_in.begin()
    if program is not None:
        programs.begin(state, program)
    answer = RedirectResponse(target, 303, {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"})
    # Lax, as the way back begins at the issuer's page.
    secure = entrance.is_secure(request)
    answer.set_cookie(STATE, state, int(PENDING_S), path=CALLBACK, secure=secure, httponly=True, samesite="lax")
    return answer


def take_back(
    request: Request, entrance: Entrance, sign_in: SignIn, programs: Programs, ask: Callable[..., Any]
) -> tuple[str, str]:
    """Return the cookie of a session for a browser that comes back from the issuer; or where a program waits for it.

    Returns
    -------
    tuple of str and str
        A cookie and an empty text, or an empty text and an address of the browser's own machine.

    Raises
    ------
    Denied
        OIDC-001 to OIDC-007 for what it brings; OIDC-009 when nobody has the identity.
    """
    entrance.check_source(request)
    entrance.check_attempts(request)
    query = request.query_params
    identity = sign_in.finish(query.get("state", ""), request.cookies.get(STATE, ""), query.get("code", ""))
    try:
        account: Account = ask(GetUser(identity=str(identity)))
    except NotFound:
        raise Denied("OIDC-009", f"no user is {identity}", name=str(identity)) from None
    program = programs.take(query.get("state", ""))
    name, expires_s = ("sign-in", SESSION_S) if program is None else ("login", PROGRAM_S)
    issued: Issued = ask(IssueToken(principal=account.name, name=name, expires_s=expires_s))
    if program is None:
        return entrance.sessions.open(issued.token), ""
    return "", programs.send_back(program, issued.token)
