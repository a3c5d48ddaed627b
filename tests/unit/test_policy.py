"""Who may what: the policy over its whole product."""

import itertools

import pytest

from mainspring.control import usecases
from mainspring.domain.answers import ANSWERS
from mainspring.domain.messages import GetRun
from mainspring.domain.principals import ANY_PROJECT, ROLES, Principal
from mainspring.security.policy import ACTIONS, authorise, find_unknown_scope

HERE, THERE = "air", "rail"
GRANTS = [None, *ROLES]
PLACES = ["same", "foreign", "everywhere", "same and everywhere"]
KINDS = ["user", "service", "worker", "owner"]
OTHER = {name: next(each for each in ACTIONS if each.partition(".")[0] != name.partition(".")[0]) for name in ACTIONS}
SCOPES = ["none given", "empty", "read", "area", "action", "other area", "other action"]


def make_roles(grant, place):
    if grant is None:
        return {}
    return {
        "same": {HERE: grant},
        "foreign": {THERE: grant},
        "everywhere": {ANY_PROJECT: grant},
        "same and everywhere": {HERE: grant, ANY_PROJECT: "viewer"},
    }[place]


def make_scopes(kind, action):
    area, other = action.partition(".")[0], OTHER[action]
    return {
        "none given": None,
        "empty": (),
        "read": ("read",),
        "area": (area,),
        "action": (action,),
        "other area": (other.partition(".")[0],),
        "other action": (other,),
    }[kind]


def expect(action, kind, grant, place, scope):
    """The rules once more, in another way: the first reason to refuse, else none."""
    rule = ACTIONS[action]
    reaches = {"same": not rule.home, "foreign": False, "everywhere": True, "same and everywhere": True}[place]
    if grant is None or not reaches:
        return "AUTH-007"
    level = 0 if place == "same and everywhere" and rule.home else ROLES.index(grant)
    if level < ROLES.index(rule.role):
        return "AUTH-005"
    if kind == "worker" and not rule.worker:
        return "AUTH-010"
    reads = rule.role == "viewer" and action.endswith(".read")
    covered = {"none given": True, "empty": False, "read": reads, "area": True, "action": True}.get(scope, False)
    return None if covered else "AUTH-006"


MATRIX = list(itertools.product(ACTIONS, KINDS, GRANTS, PLACES, SCOPES))


def test_the_policy_over_its_whole_product(capsys):
    for action, kind, grant, place, scope in MATRIX:
        principal = Principal("x", kind, make_roles(grant, place), make_scopes(scope, action))
        refusal = authorise(principal, action, HERE)
        code = refusal.code if refusal else None
        assert code == expect(action, kind, grant, place, scope), (action, kind, grant, place, scope)
    with capsys.disabled():
        print(f" [{len(MATRIX):,} decisions: {len(ACTIONS)} actions x {len(KINDS)} kinds x {len(GRANTS)} roles", end="")
        print(f" x {len(PLACES)} places x {len(SCOPES)} scopes] ", end="")


def test_a_greater_role_may_all_that_a_smaller_one_may():
    for action in ACTIONS:
        allowed = [authorise(Principal("x", "user", {ANY_PROJECT: role}), action, HERE) is None for role in ROLES]
        assert allowed == sorted(allowed), action
        assert allowed[-1], f"nobody may {action}"


def test_the_decision_is_pure():
    principal = Principal("x", "user", {HERE: "runner"}, ("runs",))
    before = repr(principal)
    codes = {str(authorise(principal, "runs.start", HERE)) for _ in range(3)}
    assert codes == {"None"}
    assert repr(principal) == before


def test_an_action_that_is_none_is_a_mistake():
    with pytest.raises(KeyError):
        authorise(Principal("x", "user", {ANY_PROJECT: "admin"}), "runs.destroy", HERE)


def test_a_use_case_without_an_action_fails_at_import():
    with pytest.raises(TypeError, match="action"):
        usecases.handles(GetRun)
    with pytest.raises(ValueError, match="no action of the policy"):
        usecases.handles(GetRun, action="runs.destroy")


def test_every_command_has_an_action_and_every_action_is_asked(desk):
    asked = dict(usecases.ASKED)
    # The stop is registered by an owner that runs.
    missing = {command.__name__ for command in ANSWERS if command not in asked} - {"Stop"}
    assert missing == set()
    further = {"gates.change", "runs.submit_code", "aliases.force", "tokens.issue_for_others", "home.stop"}
    assert set(asked.values()) | further == set(ACTIONS)


def test_scopes_that_cover_nothing_are_named():
    assert find_unknown_scope(("read", "runs", "runs.start")) is None
    assert find_unknown_scope(("runs", "run")) == "run"
    assert find_unknown_scope(("",)) == ""
