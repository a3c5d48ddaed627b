"""The doctor's findings."""

from pathlib import Path

from mainspring.cli import doctor
from mainspring.domain.errors import Unavailable
from mainspring.domain.glance import Status, Waiter
from mainspring.domain.home import Home
from mainspring.domain.sinks import Lag


def test_versions_have_a_range():
    assert doctor.check_python((3, 11)).state == "ok"
    assert doctor.check_python((3, 10)).state == "FAIL"
    assert doctor.check_python((3, 14)).fix == "use Python 3.11, 3.12 or 3.13"
    assert doctor.check_sqlite((3, 34, 9)).state == "FAIL"
    assert doctor.check_sqlite((3, 40, 1)).state == "ok"


def test_a_misspelt_setting_is_told():
    assert doctor.check_settings({"PATH": "/bin"}).found == "none set"
    check = doctor.check_settings({"MAINSPRING_HOM": "/tmp/x"})
    assert check.state == "warn"
    assert check.fix == "did you mean MAINSPRING_HOME?"


def test_a_home_below_a_file_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    home = Home(tmp_path / "file" / "home", tmp_path, tmp_path)
    assert doctor.check_writable(home).state == "FAIL"
    assert doctor.check_writable(Home(tmp_path / "new", tmp_path, tmp_path)).state == "ok"


def test_little_space_is_a_warning():
    assert doctor.check_space(Path("/"), 999_999_999).state == "warn"
    assert doctor.check_space(Path("/"), 1_000_000_000).state == "ok"


def test_an_owner_that_refuses_is_told_with_its_remedy():
    def refuse():
        raise Unavailable("HOME-007", "/nowhere: Read-only file system")

    check = doctor.check_owner(refuse)
    assert check.state == "FAIL"
    assert check.found == "HOME-007: /nowhere: Read-only file system"
    assert "MAINSPRING_HOME" in check.fix


def test_an_extra_that_is_missing_names_its_install():
    check = doctor.check_extra("made-up", ("no_such_module", "json"))
    assert check.found == "without no_such_module"
    assert check.fix == "pip install 'mainspring[made-up]'"
    assert doctor.check_extra("plain", ("json",)).state == "ok"


def test_a_sink_that_lags_is_named():
    def lag(name="ops", pending=0, waits_since=None, tries=0, set_aside=0):
        return Lag(name, "webhook", pending, waits_since, tries, set_aside)

    assert doctor.check_sinks(list, 1000.0).found == "none"
    assert doctor.check_sinks(lambda: [lag(pending=3, waits_since=990.0)], 1000.0).state == "ok"
    for late in (lag(pending=3, waits_since=900.0), lag(pending=1, tries=2), lag(set_aside=1)):
        check = doctor.check_sinks(lambda late=late: [lag("well"), late], 1000.0)
        assert (check.state, check.fix) == ("warn", "mainspring sinks show ops")
    assert check.found == "ops: 1 set aside"


def test_sinks_of_an_owner_that_refuses_are_told_so():
    def refuse():
        raise Unavailable("HOME-007", "/nowhere: Read-only file system")

    assert doctor.check_sinks(refuse, 0.0).state == "FAIL"


def make_status(**facts):
    told = {"home": "", "record": "", "size_bytes": 0, "schema": "", "pid": 1, "started_at": 0.0, "runs": {}}
    return Status(**told, workers=0, services=[], alarms=0, **facts)


def test_a_quota_that_is_nearly_used_up_is_a_warning():
    assert doctor.check_quota(make_status(used_bytes=10**9)).state == "ok"
    assert doctor.check_quota(make_status(used_bytes=89, quota_bytes=100)).state == "ok"
    check = doctor.check_quota(make_status(used_bytes=90, quota_bytes=100))
    assert (check.state, check.found) == ("warn", "90 B of 100 B held")


def test_a_run_that_waits_for_long_is_named_with_what_tells_why():
    waits = Waiter("0" * 26 + "c07e12", "fit", "waiting for 4 gpus", since=1000.0)
    assert doctor.check_queue(make_status(), 5000.0).state == "ok"
    assert doctor.check_queue(make_status(waits=waits), 1059.0).state == "ok"
    check = doctor.check_queue(make_status(waits=waits), 1840.0)
    assert (check.state, check.fix) == ("warn", "mainspring why c07e12")
    assert check.found == "fit c07e12 waits for 14m: waiting for 4 gpus"
