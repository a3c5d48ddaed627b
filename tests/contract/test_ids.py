"""Ids by a part of them, and the nearest of what there is for everything that is mistyped."""

import pytest

from mainspring.domain import access, messages, records, sinks, upkeep
from mainspring.domain.errors import MainspringError, NotFound
from mainspring.domain.principals import Principal


@pytest.fixture
def runs(desk):
    """Thirty runs, made in one second, so that their ids begin alike."""
    spec = messages.RunSpec(kind="step", name="fit", call=records.Call(payload="0" * 64))
    return desk.ask(messages.SubmitRuns([spec] * 30))


def refuse(desk, command, **who):
    with pytest.raises(MainspringError) as caught:
        desk.ask(command, **who)
    return caught.value


def test_any_unique_part_will_do(desk, runs):
    for run in runs:
        for part in (run.id, run.id[-8:], run.id[-31:]):
            assert desk.ask(messages.GetRun(part)).id == run.id
            assert desk.ask(messages.Explain(part)).subject == run.id


def test_an_ambiguous_part_lists_what_it_could_be(desk, runs):
    error = refuse(desk, messages.GetRun(runs[0].id[:8]))
    assert error.code == "RUN-001"
    assert f"{runs[0].id[:8]!r} matches several runs: " in error.what
    assert error.what.endswith(" fit, ...")
    assert error.why == "a part of an id is enough only where no other id has it"
    assert error.fix == "write more of the id"
    told = error.context["candidates"]
    assert len(told) == 6
    assert set(told) <= {run.id for run in runs}
    assert all(each[-6:] in error.what for each in told[:5])
    why = refuse(desk, messages.Explain(runs[0].id[:8]))
    assert why.code == "HOME-010"
    assert why.why == error.why
    assert "is a part of several ids: run " in why.what


def test_a_mistyped_id_names_the_nearest(desk, runs):
    suffix = runs[7].id[-8:]
    wrong = suffix[:3] + ("0" if suffix[3] != "0" else "1") + suffix[4:]
    assert refuse(desk, messages.GetRun(wrong)).fix == f"did you mean {suffix}?"
    assert refuse(desk, messages.Explain(wrong)).fix == f"did you mean {suffix}?"


@pytest.mark.parametrize("part", ["", "%", "_", "0193%", "xyz", "0" * 33, "FEED", "a'b", "\x00"])
def test_what_is_no_id_matches_nothing(desk, runs, part):
    assert refuse(desk, messages.GetRun(part)).what == f"no run matches {part!r}"


def test_tokens_and_deleted_runs_are_found_by_a_part_too(desk, runs):
    desk.ask(access.AddUser(name="anna"))
    token = desk.ask(access.IssueToken(principal="anna", name="laptop")).record
    assert desk.ask(messages.Explain(token.id[-6:])).lines[0] == f"token {token.id} laptop of anna"
    assert desk.ask(access.RevokeToken(id=token.id[-6:])).revoked_at is not None
    assert "AUTH-004" in str(desk.ask(messages.Explain(token.id)))
    assert refuse(desk, access.RevokeToken(id="feedfeed")).code == "AUTH-014"
    for run in runs[:2]:
        desk.ask(messages.CancelRuns([run.id]))
    desk.ask(upkeep.DeleteRuns([run.id for run in runs[:2]]))
    ambiguous = refuse(desk, upkeep.RestoreRuns([runs[0].id[:8]]))
    assert ambiguous.code == "KEEP-004"
    assert "matches several deleted runs" in ambiguous.what
    assert desk.ask(upkeep.RestoreRuns([runs[0].id[-8:]]))[0].id == runs[0].id


@pytest.fixture
def filled(desk):
    for kind in ("model", "dataset"):
        desk.ask(messages.PutVersion(kind=kind, name=f"{kind}_delays", digest="1" * 64, manifest={}))
    desk.ask(messages.MoveAlias(kind="model", name="model_delays", alias="champion", number=1))
    desk.ask(messages.Deploy("arrivals", "model_delays@champion"))
    desk.ask(access.AddSecret(name="hook", value="a long value"))
    desk.ask(sinks.AddSink(name="operations", kind="slack", secret="hook"))
    desk.ask(access.AddUser(name="anna"))
    desk.ask(access.AddProject(name="railways"))
    return desk


@pytest.mark.parametrize(
    ("command", "meant"),
    [
        (messages.GetVersion("model", "model_dealys"), "model_delays"),
        (messages.GetVersion("model", "model_delays@chamipon"), "model_delays@champion"),
        (messages.GetVersion("model", "model_delays@2"), "model_delays@1"),
        (messages.GetVersion("dataset", "dataset_delay"), "dataset_delays"),
        (messages.Deploy("other", "model_dlays@1"), "model_delays"),
        (messages.GetService("arivals"), "arrivals"),
        (messages.Explain("arivals"), "arrivals"),
        (messages.Explain("model_delays@campion"), "model_delays@champion"),
        (access.GetSecret(name="hok"), "hook"),
        (sinks.GetSink(name="operation"), "operations"),
        (access.GetUser(name="ana"), "anna"),
        (access.SetProject(name="railway"), "railways"),
    ],
)
def test_a_mistyped_name_names_the_nearest(filled, command, meant):
    assert refuse(filled, command).fix == f"did you mean {meant}?"


def test_a_mistyped_project_or_field_names_the_nearest(filled):
    assert refuse(filled, messages.ListRuns(), project="railway").fix == "did you mean railways?"
    assert "there is no field 'nme' (did you mean name?)" in refuse(filled, messages.SearchRuns("nme = fit")).what


def test_names_are_not_told_to_who_may_not_list_them(filled):
    narrow = Principal("anna", "user", {"default": "editor"}, ("services.stop", "runs", "explanations"))
    error = refuse(filled, messages.StopService("arivals"), actor=narrow)
    assert (error.code, error.fix) == ("SERVE-001", "mainspring services")
    outside = Principal("anna", "user", {"railways": "viewer"})
    told = str(refuse(filled, messages.Explain("arivals"), actor=outside, project="railways"))
    assert "arrivals" not in told
    assert "default" not in str(refuse(filled, messages.ListRuns(), actor=outside, project="railwys"))


def test_why_answers_about_sinks_and_the_newest_run_of_a_name(filled):
    assert filled.ask(messages.Explain("operations")).lines[0].startswith("sink operations sends ")
    viewer = Principal("anna", "user", {"default": "viewer"})
    assert refuse(filled, messages.Explain("operations"), actor=viewer).code == "HOME-010"
    begun = [filled.ask(messages.BeginRun(kind="step", name="fit")).run for _ in range(2)]
    assert filled.ask(messages.Explain("fit")).subject == begun[1].id
    with pytest.raises(NotFound, match="HOME-010"):
        filled.ask(messages.Explain(""))
