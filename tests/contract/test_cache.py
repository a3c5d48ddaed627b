"""Cached results: a hit only while it can be kept, and a reason either way."""

from mainspring.domain import messages, records

NEW = records.Fingerprint(1, {"fit": "1"}, {"rows": "a"}, {"python": "3.11"})


def begin(desk, key="k1", *, cache=True, fingerprint=NEW):
    return desk.ask(messages.BeginRun(kind="step", name="fit", key=key, cache=cache, fingerprint=fingerprint))


def finish(desk, run, state="succeeded", content=b"result", **options):
    outputs = records.Value("json", desk.blobs.put(content), len(content)) if state == "succeeded" else None
    return desk.ask(
        messages.FinishRun(run_id=run.id, attempt=1, fence=1, state=state, outputs=outputs, details={"n": 1}, **options)
    )


def test_an_earlier_success_answers_as_a_run_of_its_own(desk):
    first = begin(desk)
    assert not first.hit
    done = finish(desk, first.run)
    again = begin(desk)
    assert again.hit
    assert (again.run.state, again.run.cached_from, again.run.outputs) == ("succeeded", done.id, done.outputs)
    assert again.run.details == {"n": 1}
    assert again.run.id != done.id
    assert desk.ask(messages.GetRun(id=again.run.id)).reason == again.reason != ""


def test_cache_false_runs_again_and_its_result_answers_the_next(desk):
    finish(desk, begin(desk).run)
    forced = begin(desk, cache=False)
    assert not forced.hit
    assert forced.reason == "ran again: cache=False"
    newer = finish(desk, forced.run, content=b"newer")
    assert begin(desk).run.cached_from == newer.id


def test_a_failure_is_never_an_answer(desk):
    finish(desk, begin(desk).run, "failed", problem=records.Problem("RUN-006", "no"))
    assert not begin(desk).hit


def test_a_result_whose_bytes_are_gone_is_no_answer(desk):
    done = finish(desk, begin(desk).run)
    desk.blobs.path(done.outputs.digest).unlink()
    missed = begin(desk)
    assert not missed.hit
    assert missed.reason == "ran again: its result is gone"
    finish(desk, missed.run)
    assert begin(desk).hit


def test_a_miss_says_what_changed_since_the_run_before(desk):
    assert begin(desk).reason == "first run of fit"
    other = records.Fingerprint(1, {"fit": "1"}, {"rows": "b"}, {"python": "3.11"})
    assert begin(desk, "k2", fingerprint=other).reason == "ran again: input rows changed"
    finish(desk, begin(desk).run, "failed", problem=records.Problem("RUN-006", "no"))
    assert begin(desk).reason.endswith(" failed")
    assert begin(desk, "k3", fingerprint=None).reason.startswith("ran again: ")


def test_without_a_key_nothing_is_looked_up(desk):
    done = finish(desk, begin(desk, key=None).run)
    assert done.key is None
    assert not begin(desk, key=None).hit
