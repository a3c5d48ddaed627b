"""Where each named bad input and each class of attack is tested; a name that no test has any more fails."""

import ast
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]

INPUTS = {
    "a batch, key or value over MLflow's limits": [
        "integration/test_mlflow_bad_inputs.py::test_what_is_wrong_is_named",
        "integration/test_mlflow_bad_inputs.py::test_a_batch_of_more_than_a_megabyte_is_refused_whole",
        "integration/test_mlflow_bad_inputs.py::test_long_values_are_cut_as_mlflow_cuts_them",
    ],
    "a changed parameter of a client of MLflow's": [
        "integration/test_mlflow_bad_inputs.py::test_a_parameter_that_would_change_is_refused_with_both_values_and_its_batch",
    ],
    "a run of a client of MLflow's that is unknown or deleted": [
        "integration/test_mlflow_bad_inputs.py::test_a_run_that_is_not_there_and_one_that_is_deleted",
    ],
    "a deleted experiment": [
        "integration/test_mlflow_bad_inputs.py::test_a_deleted_experiment_takes_no_run_and_keeps_its_name"
    ],
    "the database gone and back during a load of MLflow's": [
        "integration/test_mlflow_bad_inputs.py::test_a_database_that_goes_away_during_a_load_costs_nothing_that_was_answered",
    ],
    "a full disk under a client of MLflow's": [
        "integration/test_mlflow_bad_inputs.py::test_a_full_disk_is_told_in_its_shape_and_loses_nothing",
    ],
    "a wrong user or password": ["security/test_passwords.py::*"],
    "an older client": [
        "integration/test_recordings.py::*",
        "integration/test_remote.py::test_another_version_of_the_wire_is_told_both",
    ],
    "a newer schema": [
        "contract/test_migrations.py::test_a_newer_record_is_refused_and_left_alone",
        "integration/test_owner.py::test_a_newer_schema_is_refused_and_untouched",
    ],
    "a database that vanishes and returns": [
        "crash/test_database_faults.py::test_a_database_that_vanishes_and_returns_is_waited_for",
        "crash/test_database_restarts.py::*",
    ],
    "a malformed filter of a client of MLflow's": [
        "integration/test_mlflow_searching.py::test_bad_searches_are_named",
        "property/test_mlflow_filters.py::test_filters_are_taken_and_refused_as_mlflow_does",
        "property/test_mlflow_filters.py::test_every_refusal_says_where_the_fault_is",
    ],
    "a full disk": [
        "crash/test_full_disks.py::*",
        "integration/test_disks.py::test_a_disk_that_runs_full_loses_nothing_that_was_acknowledged",
        "integration/test_faults.py::test_full_disk_and_read_only_folder_leave_no_version",
        "unit/test_blobs.py::test_a_full_disk_and_a_read_only_home_say_so_and_leave_nothing",
        "unit/test_sqlite.py::test_a_full_disk_refuses_the_turn_and_leaves_nothing_of_it",
    ],
    "a bucket without conditional writes": [
        "integration/test_object_stores.py::test_a_bucket_that_ignores_conditions_is_refused",
    ],
    "a bucket that loses permission": [
        "integration/test_object_stores.py::test_a_bucket_that_loses_permission_says_so_and_keeps_all",
        "integration/test_object_stores.py::test_a_bucket_that_vanished_is_no_missing_blob",
    ],
    "a blob that is truncated or swapped": [
        "contract/test_blobs.py::TestFolder",
        "contract/test_blobs.py::TestS3",
        "contract/test_blobs.py::TestGoogle",
        "integration/test_damaged_files.py::test_a_damaged_value_answers_no_call",
        "integration/test_damaged_files.py::test_a_damaged_model_is_not_loaded",
        "integration/test_damaged_files.py::test_a_damaged_table_is_named_before_a_row_is_read",
        "unit/test_caches.py::test_a_damaged_copy_is_no_copy",
        "integration/test_exchange.py::test_a_truncated_file_never_arrives",
    ],
    "a source of a model somewhere else": [
        "contract/test_registry.py::test_a_source_elsewhere_is_refused",
        "contract/test_registry.py::test_a_source_of_another_run_or_project_is_refused",
        "integration/test_mlflow_registry.py::test_a_source_elsewhere_is_refused_in_mlflows_words",
    ],
    "a move of an alias that its gate does not allow": [
        "contract/test_registry.py::test_a_gate_lets_through_exactly_what_it_judged",
        "contract/test_registry.py::test_a_roll_back_is_no_way_around_a_gate",
        "integration/test_gate_doors.py::test_one_gate_refuses_at_four_doors_and_opens_all_by_one_verdict",
    ],
    "two homes on one bucket": [
        "integration/test_datasets_on_objects.py::test_two_records_on_one_place_are_refused",
        "contract/test_blobs.py::TestS3",
    ],
    "an expired, revoked, foreign-project or malformed token": [
        "contract/test_access.py::test_an_expired_token_is_refused_from_its_time_on",
        "contract/test_access.py::test_a_revoked_token_is_refused_at_once",
        "contract/test_access.py::test_a_token_of_another_project_is_refused",
        "contract/test_access.py::test_a_malformed_token_is_named_and_not_repeated",
        "security/test_entrance.py::test_each_bad_token_is_one_clear_answer",
    ],
    "a trick with the path of an artifact": [
        "integration/test_mlflow_artifacts.py::test_each_trick_with_a_path_is_one_clear_error",
        "integration/test_mlflow_artifacts.py::test_a_path_that_names_no_run_is_refused",
        "unit/test_paths.py::test_each_trick_with_the_path_of_an_artifact_is_refused_by_name",
        "unit/test_paths.py::test_what_is_taken_leads_nowhere_else_for_any_reader",
    ],
    "a model folder that lies about its flavor": [
        "unit/test_folders.py::test_a_folder_that_lies_about_its_flavor_is_refused",
        "unit/test_folders.py::test_a_signature_of_other_inputs_is_a_lie",
        "unit/test_folders.py::test_a_folder_without_mlmodel_and_links_out_of_it_are_refused",
    ],
    "a booster that leads out of its arrays": [
        "security/test_malicious_files.py::test_a_booster_that_leads_out_of_its_arrays_is_refused",
        "security/test_malicious_files.py::test_a_booster_with_other_bytes_answers_or_is_refused",
    ],
    "a truncated blob of an artifact": [
        "integration/test_mlflow_artifacts.py::test_a_blob_that_was_cut_is_told_and_not_sent"
    ],
    "a full disk while an artifact comes": [
        "integration/test_mlflow_artifacts.py::test_a_disk_that_runs_full_while_a_file_comes_leaves_nothing"
    ],
    "an exported folder that lies": [
        "crash/test_folder_export.py::test_what_a_folder_lies_about_is_refused_and_mended",
        "crash/test_folder_export.py::test_folders_that_are_none_are_refused",
    ],
    "a registered model with a name that no reference can carry": [
        "integration/test_mlflow_registry.py::test_a_name_that_no_reference_can_carry_is_refused",
    ],
    "a source of a model that is somewhere else": [
        "contract/test_files.py::test_a_source_is_files_of_this_record_or_refused"
    ],
    "an issuer with the wrong audience, key or clock": [
        "security/test_oidc.py::test_a_token_with_a_wrong_claim_is_refused_by_name",
        "security/test_oidc.py::test_a_token_with_a_wrong_key_or_algorithm_is_refused",
    ],
    "a page token of another query": [
        "property/test_filters.py::test_a_page_belongs_to_its_search",
        "contract/test_mlflow_search.py::test_a_page_of_another_search_is_refused",
        "integration/test_mlflow_searching.py::test_a_page_token_of_another_search_is_refused",
    ],
    "a filter with a fault": [
        "property/test_filters.py::test_a_fault_is_told_with_its_position",
        "security/test_api.py::test_a_filter_with_a_fault_shows_where",
    ],
    "a log of a million keys": [
        "integration/test_log.py::test_a_refused_call_logs_nothing_and_the_run_goes_on",
        "integration/test_log.py::test_names_are_counted_over_the_whole_run",
    ],
    "a log of a 10 GB file": [
        "integration/test_log.py::test_a_file_of_ten_gigabytes_is_refused_before_a_byte_is_copied"
    ],
    "a log of NaN": ["integration/test_log.py::test_numbers_that_are_not_finite"],
    "a sink that hangs": [
        "integration/test_sinks.py::test_a_hanging_and_a_dead_receiver_slow_neither_the_owner_nor_another_sink",
        "integration/test_sinks.py::test_a_sink_that_hangs_answers_its_test_in_time",
        "security/test_fetch.py::test_a_receiver_that_hangs_or_drips_is_cut_off",
    ],
    "an unknown kind of sink": ["contract/test_sinks.py::test_what_could_never_be_sent_is_refused"],
    "an address that leads inside": [
        "contract/test_sinks.py::test_what_could_never_be_sent_is_refused",
        "integration/test_sinks.py::test_a_name_that_leads_inside_is_refused_when_it_is_sent_to",
    ],
    "a secret that a sink misses": [
        "integration/test_sinks.py::test_a_secret_that_is_gone_keeps_the_events_until_it_is_back"
    ],
    "a removed project with sinks": [
        "integration/test_sinks.py::test_an_event_is_for_its_project_only_and_a_removed_project_has_no_sinks"
    ],
    "a budget already spent": ["integration/test_searches.py::test_a_budget_that_is_spent_already_starts_nothing"],
    "an objective that returns text, logs text, NaN, another metric or none": [
        "integration/test_searches.py::test_an_objective_without_a_number_says_what_it_gave_instead"
    ],
    "a snapshot over its size limit": [
        "unit/test_snapshots.py::test_a_snapshot_over_its_limits_names_the_largest_files"
    ],
    "an environment that does not resolve": [
        "integration/test_environments.py::test_one_that_does_not_resolve_is_told_once_in_the_resolvers_words",
        "integration/test_environments.py::test_one_that_cannot_be_built_fails_its_runs_and_is_not_tried_for_each",
    ],
    "a trigger storm": [
        "contract/test_triggers.py::test_a_storm_of_a_thousand_events_is_two_starts",
        "property/test_triggers.py::test_a_storm_is_two_starts_at_most",
        "security/test_hooks.py::test_a_storm_of_calls_is_one_start_and_then_refused",
    ],
    "a cron that never fires": [
        "property/test_schedules.py::test_a_schedule_that_never_fires_is_refused",
        "contract/test_triggers.py::test_what_no_owner_can_act_on_is_refused",
    ],
    "two applies at once": [
        "contract/test_triggers.py::test_of_two_applies_at_once_the_second_is_told",
        "integration/test_apply.py::test_two_applies_at_once_leave_one_order_and_one_clear_error",
    ],
    "an apply of a file that fails on import": [
        "integration/test_apply.py::test_a_file_that_fails_on_import_applies_nothing",
    ],
    "a body of 1 GB or of a million nested brackets": [
        "security/test_api.py::test_a_body_of_a_gigabyte_is_refused_before_it_is_read",
        "security/test_api.py::test_what_lies_too_deep_is_refused_before_the_owner_sees_it",
        "property/test_wire.py::test_bytes_that_nest_deep_do_not_break_the_reader",
    ],
    "a step that captures an open file": [
        "integration/test_steps.py::test_what_a_step_captures_and_reads_away",
        "integration/test_futures.py::test_what_is_captured_and_cannot_travel_is_named",
    ],
    "a step that captures a generator": [
        "integration/test_steps.py::test_what_a_step_captures_and_reads_away",
        "integration/test_steps.py::test_inputs_without_content",
    ],
    "a step that is, or captures, a lambda": [
        "integration/test_steps.py::test_what_is_no_plain_function",
        "integration/test_steps.py::test_what_a_step_captures_and_may",
    ],
    "a return value that cannot be stored": [
        "integration/test_steps.py::test_a_result_that_cannot_be_stored",
        "integration/test_reuse.py::test_what_failed_answers_nothing",
    ],
    "recursion": [
        "integration/test_trees.py::test_a_recursion_without_an_end_is_one_clear_error",
        "integration/test_trees.py::test_a_recursion_over_workers_ends_as_well",
    ],
    "a pool that vanishes mid-run": [
        "integration/test_pools.py::test_a_pool_in_use_is_removed_by_force_and_its_runs_go_elsewhere_or_fail",
        "integration/test_pools.py::test_what_had_not_asked_for_a_removed_pool_runs_again_at_home",
    ],
    "a pool whose engine is down, raises or is not installed any more": [
        "integration/test_pools.py::test_a_pool_that_answers_no_more_is_told_and_what_asks_for_it_waits",
        "integration/test_pools.py::test_an_engine_that_raises_keeps_no_other_from_its_work",
        "integration/test_pools.py::test_a_pool_whose_package_is_gone_leaves_the_home_as_it_is",
    ],
    "a quota tree with a cycle": ["contract/test_tenants.py::test_what_nobody_could_use_is_refused"],
    "weights or budgets of zero": [
        "contract/test_tenants.py::test_what_nobody_could_use_is_refused",
        "contract/test_costs.py::test_a_budget_of_nothing_is_refused",
    ],
    "a command that asks for what nobody has": ["integration/test_commands.py::test_what_cannot_be_run_says_why"],
}

CLASSES = {
    "every route, role and verb": ["security/test_matrix.py::*"],
    "path": [
        "unit/test_paths.py::test_whatever_is_accepted_lies_below_the_root",
        "security/test_cves.py::test_a_name_makes_no_folder_elsewhere",
        "security/test_hostile_fields.py::test_no_field_of_any_command_breaks_anything",
    ],
    "loader": [
        "security/test_cves.py::test_cve_2024_37052_a_pickle_that_is_not_ours_is_never_opened",
        "security/test_cves.py::test_cve_2025_27520_loaders_stand_in_one_module",
    ],
    "malicious pickle, yaml, npz, onnx and skops files": ["security/test_malicious_files.py::*"],
    "first run": ["security/test_cves.py::test_cve_2024_25723_nobody_becomes_admin_on_the_first_run"],
    "Host and Origin": [
        "security/test_entrance.py::test_a_rebound_name_is_refused_with_every_credential",
        "security/test_entrance.py::test_a_page_of_another_site_reads_nothing_even_with_a_token",
    ],
    "CSRF": [
        "security/test_entrance.py::test_another_site_cannot_act_with_the_cookie",
        "security/test_matrix.py::test_every_write_resists_other_sites",
        "security/test_api.py::test_a_form_of_another_site_is_no_json",
    ],
    "IDOR": ["security/test_isolation.py::*", "security/test_foreign.py::*"],
    "SSRF": [
        "security/test_fetch.py::*",
        "security/test_cves.py::test_cve_2026_2393_nothing_fetches_an_address_that_a_request_names",
    ],
    "injection": [
        "security/test_hostile_fields.py::test_no_field_of_any_command_breaks_anything",
        "security/test_hostile_fields.py::test_a_text_comes_back_as_it_was_stored",
        "security/test_cves.py::test_sql_in_a_name_or_id_is_text",
    ],
    "secrets": [
        "integration/test_secrets.py::*",
        "integration/test_datasets_on_objects.py::test_no_secret_is_in_an_answer_log_record_or_file",
    ],
    "denial of service": ["security/test_denial.py::*", "property/test_filters.py::*"],
    "authority": ["security/test_cves.py::test_nobody_speaks_for_the_gate"],
    "a changed audit": ["contract/test_audit.py::*"],
    "a canary in logs, errors, answers, the database and pages": [
        "integration/test_secrets.py::test_a_worker_uses_a_secret_and_nothing_shows_it",
        "integration/test_secrets.py::test_no_answer_and_no_repr_shows_a_value",
        "integration/test_sensitive.py::test_what_is_computed_from_cells_is_sealed_wherever_it_goes",
        "integration/test_sensitive_names.py::*",
    ],
}

_HOLES, _MALICIOUS = "security/test_cves.py::test_", "security/test_malicious_files.py::test_"
_PICKLES = f"{_MALICIOUS}a_pickle_in_the_place_of_a_model_is_not_opened"
_ASKS_WHO = f"{_HOLES}cve_2026_0545_every_command_and_route_has_its_rule"
_EVERY_ROUTE = "security/test_matrix.py::test_every_token_that_is_none"
_NO_WAY_OUT = f"{_HOLES}cve_2026_2393_nothing_fetches_an_address_that_a_request_names"
_NO_ARCHIVE = f"{_HOLES}cve_2026_27905_no_archive_is_extracted"

CVES = {
    "MLflow": {
        "2023-1177": f"{_HOLES}cve_2023_1177_a_models_source_is_no_place_of_the_server",
        "2023-2356": f"{_HOLES}cve_2023_2780_a_datasets_table_is_one_of_the_project",
        "2023-2780": f"{_HOLES}cve_2023_2780_a_datasets_table_is_one_of_the_project",
        "2023-6975": f"{_HOLES}cve_2023_6975_a_datasets_files_lie_in_its_table",
        "2023-6977": f"{_HOLES}cve_2023_2780_a_datasets_table_is_one_of_the_project",
        "2023-6831": f"{_HOLES}cve_2024_1560_nothing_is_decoded_twice",
        "2024-1560": f"{_HOLES}cve_2024_1560_nothing_is_decoded_twice",
        "2024-1593": f"{_HOLES}cve_2024_1560_nothing_is_decoded_twice",
        "2024-2928": f"{_HOLES}cve_2023_2780_a_datasets_table_is_one_of_the_project",
        "2024-3573": f"{_HOLES}cve_2023_2780_a_datasets_table_is_one_of_the_project",
        "2024-3848": f"{_HOLES}cve_2023_2780_a_datasets_table_is_one_of_the_project",
        "2024-27132": f"{_HOLES}cve_2024_27132_markup_in_names_stays_text",
        **{f"2024-370{number}": _PICKLES for number in range(53, 61)},
        "2024-37052": f"{_HOLES}cve_2024_37052_a_pickle_that_is_not_ours_is_never_opened",
        "2025-1474": f"{_HOLES}cve_2025_11200_there_is_no_password_and_no_default_one",
        "2025-11200": f"{_HOLES}cve_2025_11200_there_is_no_password_and_no_default_one",
        "2025-11201": f"{_HOLES}cve_2023_1177_a_models_source_is_no_place_of_the_server",
        "2025-14279": f"{_HOLES}cve_2025_14279_a_rebound_host_is_refused",
        "2026-0545": _ASKS_WHO,
        "2026-2393": _NO_WAY_OUT,
        "2026-2614": f"{_HOLES}cve_2023_1177_a_models_source_is_no_place_of_the_server",
        "2026-2652": _ASKS_WHO,
    },
    "Ray": {
        "2023-6019": "security/test_hostile_fields.py::test_no_field_of_any_command_breaks_anything",
        "2023-6020": _EVERY_ROUTE,
        "2023-6021": "unit/test_paths.py::test_whatever_is_accepted_lies_below_the_root",
        "2023-48022": _EVERY_ROUTE,
        "2023-48023": _NO_WAY_OUT,
        "2026-27482": f"{_HOLES}cve_2026_27482_every_verb_of_every_route_asks_who",
    },
    "ClearML": {
        "2024-24590": f"{_MALICIOUS}a_pickle_in_the_place_of_a_value_is_not_opened",
        "2024-24591": "unit/test_paths.py::test_whatever_is_accepted_lies_below_the_root",
        "2024-24592": _EVERY_ROUTE,
        "2024-24593": "security/test_matrix.py::test_every_write_resists_other_sites",
        "2024-24594": f"{_HOLES}cve_2024_27132_markup_in_names_stays_text",
        "2024-24595": f"{_HOLES}cve_2024_24595_no_credential_is_in_the_clear_in_the_record",
    },
    "ZenML": {"2024-25723": f"{_HOLES}cve_2024_25723_nobody_becomes_admin_on_the_first_run"},
    "BentoML": {
        "2024-2912": f"{_HOLES}cve_2024_2912_no_request_is_unpickled",
        "2024-9056": f"{_HOLES}cve_2024_9056_deep_and_huge_requests_end_in_an_error",
        "2025-27520": f"{_HOLES}cve_2025_27520_loaders_stand_in_one_module",
        "2025-54381": _NO_WAY_OUT,
        "2026-27905": _NO_ARCHIVE,
    },
    "H2O-3": {
        "2023-6016": _PICKLES,
        "2023-6018": "unit/test_paths.py::test_whatever_is_accepted_lies_below_the_root",
        "2023-6038": _EVERY_ROUTE,
        "2024-10553": _PICKLES,
        "2026-3960": "unit/test_sources.py::test_unknown_address_and_option_are_named",
    },
    "Weave": {"2024-7340": f"{_HOLES}cve_2024_7340_a_blob_is_named_by_its_digest_alone"},
    "Kubeflow": {"2023-6570": _NO_WAY_OUT},
    "CPython": dict.fromkeys(("2024-12718", "2025-4138", "2025-4330", "2025-4517"), _NO_ARCHIVE),
}
"""Holes of others, by the one test that would fail if it were ours."""


@cache
def list_names(file):
    tree = ast.parse((TESTS / file).read_text("utf-8"))
    return {each.name for each in tree.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}


@pytest.mark.parametrize("kind", [*INPUTS, *CLASSES, *CVES])
def test_it_is_tested_where_it_is_said_to_be(kind):
    places = {**INPUTS, **CLASSES, **{who: [*found.values()] for who, found in CVES.items()}}[kind]
    for place in places:
        file, _, name = place.partition("::")
        names = list_names(file)
        assert name in names or (name == "*" and any(each.startswith("test_") for each in names)), place


def test_the_holes_of_others_are_counted(capsys):
    names = [name for found in CVES.values() for name in found]
    with capsys.disabled():
        print(f" [{len(names)} CVEs of {len(CVES)}] ", end="")
    assert len(set(names)) == len(names) >= 50
