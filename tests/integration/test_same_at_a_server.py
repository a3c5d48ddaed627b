"""Tests of steps, datasets and blobs once more: the same program, at a server."""

import itertools

import pytest
from tests.integration import test_datasets, test_steps
from tests.integration.test_steps import _forget_calls  # noqa: F401 - a fixture of those tests
from tests.support.homes import end_owner
from tests.support.laptops import VARIABLES
from tests.support.servers import UpProcess

from mainspring.domain import access
from mainspring.sdk.client import Client, get_client
from mainspring.sdk.owners import start_owner
from mainspring.sdk.remoteblobs import RemoteBlobs
from mainspring.store.caches import BlobCache
from mainspring.store.files import LocalFileSystem
from mainspring.store.homes import place_home
from mainspring.testing.blobs import BlobsContract

pytestmark = pytest.mark.usefixtures("client")

SAME = {
    test_steps: """
        a_plain_call_runs_now_and_returns_the_value
        a_second_call_is_a_hit_whatever_way_it_is_written
        values_of_every_kind_come_back_from_a_hit
        what_a_step_returned_gives_the_same_key_before_and_after_storage
        the_users_exception_comes_out_as_it_was_raised
        steps_below_steps_and_pipelines
        a_result_that_cannot_be_stored
        retries
        a_stored_class_that_is_gone_runs_again
        what_is_logged_is_on_the_run_when_it_ends
        a_figure_is_kept_as_a_picture
        a_cancelled_run_of_this_process_hears_it
    """,
    test_datasets: """
        rows_come_back_as_they_were_written
        dataset_may_be_empty
        content_that_comes_back_is_the_latest_version_again
        old_versions_stay_readable
        upsert_replaces_in_place_and_adds_the_rest
        append_keeps_the_contract_of_the_dataset
        no_row_is_dropped
        quarantine_repeats_nothing_when_rows_are_upserted_again
        failing_check_leaves_no_version_and_no_quarantine
        split_shares_the_files_and_says_where
        features_leave_key_time_and_target_aside
        run_records_what_it_read_and_wrote
        same_run_appends_once_however_often_it_is_tried
        new_run_of_an_interrupted_step_does_not_append_again
        application_numbers_its_appends
        handles_travel_between_steps_and_keep_them_cached
    """,
}
globals().update(
    {f"test_{name}": getattr(module, f"test_{name}") for module, names in SAME.items() for name in names.split()}
)

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def station(tmp_path_factory):
    """A home with its server, for all these tests."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("station") / "home"
        for name, value in {"MAINSPRING_HOME": str(folder), "MAINSPRING_BLOBS": "", "MAINSPRING_IDLE_S": "60"}.items():
            patch.setenv(name, value)
        patch.delenv("MAINSPRING_PROJECT", raising=False)
        owner = Client(place_home(folder), start_owner)
        owner.ask(access.AddUser(name="anna"))
        up = UpProcess()
    yield owner, up, owner.ask(access.IssueToken(principal="anna")).token
    up.end()
    owner.close()
    end_owner(owner.home)


@pytest.fixture
def client(station, tmp_path, monkeypatch):
    """Work as an editor of a project of its own, on a machine without the home."""
    owner, up, token = station
    project = f"project-{next(_numbers)}"
    owner.ask(access.AddProject(name=project))
    owner.ask(access.GrantRole(name="anna", role="editor"), project=project)
    monkeypatch.setenv("MAINSPRING_HOME", str(tmp_path / "laptop"))
    for name, value in zip(VARIABLES, (up.url, token, "", project), strict=True):
        monkeypatch.setenv(name, value)
    yield get_client()
    get_client().close()


class TestBlobs(BlobsContract):
    """The contract of every place of blobs, kept through the server."""

    shared = False
    lists = False

    @pytest.fixture
    def twin(self, client, tmp_path):
        caches = itertools.count()
        return lambda: RemoteBlobs(client._exchange, BlobCache(tmp_path / f"cache-{next(caches)}", LocalFileSystem()))

    @pytest.fixture
    def blobs(self, twin):
        return twin()

    @pytest.fixture
    def damage(self, station):
        def damage(digest, content):
            path = station[0].blobs.path(digest)
            path.unlink() if content is None else path.write_bytes(content)

        return damage
