"""Write docs/reference from the code, or with ``--check`` tell what is out of date."""

from __future__ import annotations

import ast
import inspect
import json
import sys
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import click
import msgspec

import mainspring
from mainspring.api.actions import list_actions
from mainspring.api.mlflow.endpoints import Endpoint
from mainspring.api.mlflow.routes import TABLE as ENDPOINTS
from mainspring.api.mlflow.service import SPOKEN
from mainspring.api.openapi import make_document
from mainspring.api.routes import TABLE, TRANSFERS
from mainspring.cli.main import cli
from mainspring.cli.printing import Noun, Refusal, Verb
from mainspring.domain.catalogue import ENTRIES
from mainspring.domain.catalogue.entry import EXIT_CODES
from mainspring.domain.settings import SETTINGS

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "reference"
NOTE = "<!-- Written by `make docs` from the code; edit the code instead. -->"

GROUPS = {
    "mainspring.blobs": "Where blobs lie outside a home; chosen by the scheme of `MAINSPRING_BLOBS`.",
    "mainspring.engines": "Where runs execute; chosen by the scheme of a pool's URL.",
    "mainspring.flavors": "How a kind of model is saved, loaded, converted and predicted with.",
    "mainspring.connectors": "Where rows come from: what `ms.source(url)` opens, chosen by the URL's scheme.",
    "mainspring.sinks": "Who is told of events; chosen by `mainspring sinks add --kind`.",
    "mainspring.searchers": "How a search proposes the next trial.",
}
"""Entry-point groups and what an adapter of each is."""

TRIED = {
    "local": (("tests/contract/test_local_engine.py",), "processes of this machine", "real"),
    "ssh": (("tests/engines/test_ssh.py",), "OpenSSH's own server on loopback", "real"),
    "slurm": (
        ("tests/engines/test_slurm_contract.py", "tests/engines/test_slurm.py", "tests/engines/test_slurm_pool.py"),
        "Debian's slurmctld and slurmd, with devices that are files",
        "real",
    ),
    "dask": (
        ("tests/engines/test_dask.py",),
        "a scheduler of Dask and several workers, processes of this machine",
        "real",
    ),
    "k8s": (
        ("tests/engines/test_kubernetes.py", "tests/integration/test_kubernetes.py"),
        "a fake API server, whose pods are processes of this machine; manifests by the schema of a real one",
        "fake",
    ),
}
"""Engine -> the files of its tests, what they are run against, and what a cell says of that."""

_CONTRACT, _TORCH = "contract/test_flavors.py", "pytorch/test_torch_flavor.py"
FLAVORS = {
    "sklearn": (_CONTRACT, "TestSklearn"),
    "lightgbm": (_CONTRACT, "TestLightgbm"),
    "xgboost": (_CONTRACT, "TestXgboost"),
    "onnx": (_CONTRACT, "TestOnnx"),
    "torch": (_TORCH, "TestTorch"),
    "code": None,
}
"""Flavor -> the file and class by which it passes the contract suite; `code` is what no flavor writes."""

_FOLDERS, _CODE = "integration/test_mlflow_folders.py", "pytorch/test_torch_code.py"
_OPENED = f"{_FOLDERS}::test_mlflow_opens_what_register_writes"
_TAKEN = f"{_FOLDERS}::test_a_folder_of_mlflow_is_registered_and_answers_as_pyfunc"
_PROGRAMS = "pytorch/test_foreign_programs.py"
_LIES = "unit/test_folders.py::test_a_folder_that_lies_about_its_flavor_is_refused"
PROVEN = {
    "each kind that the guide tells of is kept, and answers from ONNX": {
        "sklearn": f"{_CONTRACT}::test_onnx_gives_the_models_answers",
        "lightgbm": f"{_CONTRACT}::test_bare_lightgbm_is_kept_as_text_and_as_onnx",
        "xgboost": f"{_CONTRACT}::test_every_objective_of_xgboost_is_kept_and_answers_from_onnx",
        "torch": f"{_TORCH}::test_modules_are_kept_and_answer_from_onnx",
    },
    "what has no ONNX form stays native": {
        "sklearn": f"{_CONTRACT}::test_an_object_without_a_conversion_keeps_its_native_form",
        "xgboost": f"{_CONTRACT}::test_what_xgboost_has_and_onnx_has_not_stays_native",
    },
    "MLflow's `pyfunc` opens the folder of a version, and answers alike": {
        **dict.fromkeys(("sklearn", "lightgbm", "xgboost", "onnx"), _OPENED),
        "torch": f"{_CODE}::test_mlflow_opens_a_module_by_its_onnx_form",
    },
    "a folder that MLflow wrote is registered": {
        **dict.fromkeys(("sklearn", "lightgbm", "xgboost"), _TAKEN),
        "onnx": "unit/test_folders.py::test_a_graph_of_a_folder_answers_for_named_columns",
        "torch": f"{_PROGRAMS}::test_a_folder_of_mlflow_is_read_and_converted",
        "code": f"{_CODE}::test_folders_that_only_mlflow_opens_are_kept_as_code_and_served",
    },
    "a folder that lies about it is refused": {
        **dict.fromkeys(("sklearn", "lightgbm", "xgboost", "onnx"), _LIES),
        "torch": f"{_PROGRAMS}::test_what_could_run_within_pytorch_is_refused",
    },
    "a pickle in a folder stays closed without `allow_code`": {
        "sklearn": f"{_FOLDERS}::test_pickles_and_code_of_a_folder_are_not_opened_unasked",
        "torch": f"{_PROGRAMS}::test_pickles_of_mlflow_stay_closed",
        "code": "integration/test_code_models.py::test_code_of_a_folder_is_kept_only_with_a_word_for_it",
    },
    "code that raises, ends or answers nonsense is one clear error": {
        "code": "unit/test_sealed.py::test_code_that_gives_no_answer_is_told_and_is_not_kept",
    },
    "a service answers with it": {
        "sklearn": "e2e/test_model_verbs.py::test_a_model_goes_from_the_gate_to_a_service",
        "lightgbm": f"{_FOLDERS}::test_a_version_that_has_the_files_of_a_folder_is_served_as_it_is",
        "xgboost": f"{_FOLDERS}::test_a_folder_of_mlflow_is_deployed_and_answers_as_pyfunc",
        "torch": f"{_CODE}::test_a_module_is_served_from_its_graph",
        "code": (
            "integration/test_code_models.py"
            "::test_code_is_deployed_and_answers_when_its_module_and_its_process_are_gone"
        ),
    },
}
"""What is proven beside the contract suite -> by which test of which flavor."""

DRAFT = "https://json-schema.org/draft/2020-12/schema"
PLACE = "#/$defs/{name}"


def render_pages() -> dict[str, str]:
    """Return each page of the reference.

    Returns
    -------
    dict of str to str
        File name -> Markdown.
    """
    pages = {
        "names.md": ("Python names", _render_names()),
        "cli.md": ("Command line", _render_cli()),
        "json.md": ("JSON of the command line", _render_json()),
        "errors.md": ("Error codes", _render_errors()),
        "http.md": ("HTTP", _render_http()),
        "mlflow.md": ("MLflow", _render_mlflow()),
        "settings.md": ("Settings", _render_settings()),
        "extensions.md": ("Extensions", _render_groups()),
        "engines.md": ("Engines", _render_engines()),
        "flavors.md": ("Flavors of models", _render_flavors()),
    }
    index = "\n".join(f"- [{title}]({name})" for name, (title, _) in pages.items())
    texts = {name: f"{NOTE}\n\n# {title}\n\n{''.join(body)}" for name, (title, body) in pages.items()}
    texts["README.md"] = f"{NOTE}\n\n# Reference\n\n{index}\n"
    documents = {"openapi.json": render_openapi(), "cli.schema.json": render_schemas()}
    return {**{name: text.rstrip() + "\n" for name, text in texts.items()}, **documents}


def find_stale(folder: Path = FOLDER) -> list[str]:
    """Return the pages that differ from the code, and those that have no source any more."""
    pages = render_pages()
    there = {path.name: path.read_text("utf-8") for path in folder.iterdir()}
    return sorted(name for name in pages.keys() | there.keys() if pages.get(name) != there.get(name))


def _render_names() -> Iterator[str]:
    yield "`import mainspring as ms`. A name stands here when it works.\n\n"
    for name in sorted(mainspring.__all__, key=str.lower):
        thing = getattr(mainspring, name)
        yield f"## ms.{name}\n\n```python\n{_describe_signature(name, thing)}\n```\n\n"
        yield f"```text\n{inspect.getdoc(thing)}\n```\n\n"
        if inspect.isclass(thing):
            yield from _render_methods(name, thing)


def _render_methods(name: str, thing: type) -> Iterator[str]:
    members = {method: value for base in reversed(thing.__mro__[:-1]) for method, value in vars(base).items()}
    for method, value in sorted(members.items()):
        inner = getattr(value, "__func__", value)
        if method.startswith("_") or not (callable(inner) or isinstance(value, property)):
            continue
        signature = method if isinstance(value, property) else _describe_signature(method, inner)
        first = (inspect.getdoc(value) or "").split("\n\n", 1)[0].replace("\n", " ")
        yield f"- `{name}.{signature}` - {first}\n"
    yield "\n"


class _Plain:
    """An annotation that prints as it was written, without quotes."""

    def __init__(self, annotation: object) -> None:
        self._text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)

    def __repr__(self) -> str:
        return self._text


def _describe_signature(name: str, thing: object) -> str:
    try:
        signature = inspect.signature(thing)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return name
    empty = inspect.Signature.empty
    parameters = [
        each if each.annotation is empty else each.replace(annotation=_Plain(each.annotation))
        for key, each in signature.parameters.items()
        if key not in {"self", "cls"}
    ]
    returns = signature.return_annotation
    shown = signature.replace(
        parameters=parameters, return_annotation=empty if returns in {empty, "None", None} else _Plain(returns)
    )
    return f"{name}{shown}"


def _render_cli() -> Iterator[str]:
    context = click.Context(cli, info_name="mainspring", **cli.context_settings)
    yield f"```text\n{cli.get_help(context)}\n```\n\n"
    yield "## Exit codes\n\n| code | what |\n|---|---|\n"
    yield from (f"| {code} | {text} |\n" for code, text in EXIT_CODES.items())
    yield "\nWhich error ends with which stands in [errors](errors.md), the shape of `--json` in [JSON](json.md).\n\n"
    for verb in cli.list_commands(context):
        command = cli.get_command(context, verb)
        assert command is not None
        yield from _render_command(command, click.Context(command, context, verb, max_content_width=100), 2)


def _render_command(command: click.Command, context: click.Context, depth: int) -> Iterator[str]:
    yield f"{'#' * depth} {context.command_path}\n\n```text\n{command.get_help(context)}\n```\n\n"
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.commands[name]
            yield from _render_command(inner, click.Context(inner, context, name, max_content_width=100), depth + 1)


def _render_json() -> Iterator[str]:
    document = make_schemas(cli)
    yield "`--json` prints one JSON on standard output, UTF-8, indented; keys are not taken away within a major\n"
    yield "version, and new ones may come. *Lines*: one JSON in each line, as it happens, with `-f` or `-w`, and\n"
    yield "always for `audit export`. An error is one line on standard error, and the exit code is its own; a verb\n"
    yield "whose answer is not in order (`doctor`, `promote`, `audit verify`, `sinks test`) prints that too.\n"
    yield "The same as [JSON Schema](cli.schema.json): `commands`, `error`, `$defs`.\n\n"
    yield "| command | prints | lines |\n|---|---|---|\n"
    for each in list_answers(cli):
        shape = name_type(document["commands"][each.command]) if each.types else "no JSON"
        yield f"| `{each.command}` | {shape} | {'yes' if each.lines else ''} |\n"
    yield f"| any that fails, on standard error | {name_type(document['error'])} | yes |\n\n"
    for name, schema in document["$defs"].items():
        yield from _render_type(name, schema)


def _render_type(name: str, schema: dict[str, Any]) -> Iterator[str]:
    first = schema.get("description", "").split("\n\n", 1)[0].replace("\n", " ")
    yield f"## {name}\n\n{first}\n\n| field | type |\n|---|---|\n"
    for field, inner in schema.get("properties", {}).items():
        yield f"| `{field}` | {name_type(inner)} |\n"
    yield "\n"


def render_schemas() -> str:
    """Return the schemas of what the command line prints, as they are kept beside the pages."""
    return json.dumps(make_schemas(cli), indent=1) + "\n"


def _render_errors() -> Iterator[str]:
    yield "`mainspring why CODE` prints the same, offline.\n\n"
    yield "| code | what | why | fix | exit | HTTP |\n|---|---|---|---|---|---|\n"
    for code, entry in sorted(ENTRIES.items()):
        cells = (code, entry.title, entry.why, entry.fix, str(entry.exit_code), str(entry.http_status))
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


def _render_http() -> Iterator[str]:
    actions = list_actions()
    yield "`mainspring up` serves these below `/api/v1`; [the OpenAPI document](openapi.json) has every field, and\n"
    yield "[the guide](../guide/remote.md) the rules. Each needs `Authorization: Bearer TOKEN`, takes\n"
    yield "`?project=`, and answers errors as `application/problem+json`.\n\n"
    yield "| verb and path | action | what |\n|---|---|---|\n"
    for entry in TABLE:
        first = (inspect.getdoc(entry.command) or "").split("\n\n", 1)[0].replace("\n", " ")
        yield f"| `{entry.method} {entry.path}` | `{actions[entry.command.__name__]}` | {first} |\n"
    for transfer in TRANSFERS:
        action = actions[transfer.command.__name__]
        yield f"| `{transfer.method} {transfer.path}` | `{action}` | {transfer.text} |\n"
    yield "| `GET /events/stream` | `events.read` | Events as they happen, as server-sent events. |\n"
    yield "| `POST /commands/{Command}` | that of the command | Any command in MessagePack, from remote clients. |\n"
    yield "| `GET /openapi.json` | a token | This table with every field. |\n\n"
    yield '`GET /health` answers `{"status": "ok"}` to anybody. Browsers: `GET /login?code=`,\n'
    yield "`GET /oidc/login` and `GET /oidc/callback` give a session's cookie, `POST /logout` ends it.\n"


def render_openapi() -> str:
    """Return the OpenAPI document as it is kept beside the pages."""
    return json.dumps(make_document(list_actions()), indent=1) + "\n"


def _render_mlflow() -> Iterator[str]:
    yield f"What of the protocol of MLflow {SPOKEN} is answered: below `/`, with `/ajax-api` in the place of `/api`,\n"
    yield "and below `/projects/NAME` for another project. [The guide](../guide/mlflow.md) says how to get there.\n"
    yield "Everything else below `/api/2.0/mlflow` and `/api/3.0/mlflow` answers `ENDPOINT_NOT_FOUND`.\n"
    yield "Each row is proved by a call that is answered (`tests/integration/test_mlflow_rows.py`).\n\n"
    areas: dict[str, list[Endpoint]] = {}
    for endpoint in ENDPOINTS:
        areas.setdefault(endpoint.area, []).append(endpoint)
    for area, found in areas.items():
        yield f"## {area}\n\n| verb and path | what it does | note |\n|---|---|---|\n"
        for each in found:
            what = (inspect.getdoc(each.work) or "").partition("\n")[0]
            yield f"| `{each.method} {each.path}` | {what} | {each.note} |\n"
        yield "\n"


def _render_settings() -> Iterator[str]:
    yield "Environment variables; there is no configuration file.\n\n| name | what it does |\n|---|---|\n"
    for name, text in sorted(SETTINGS.items()):
        yield f"| `{name}` | {text} |\n"


def _render_groups() -> Iterator[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    yield "An adapter is one file and one line: an entry point of one of these groups, in your package or here.\n\n"
    for group, targets in sorted(project.get("entry-points", {}).items()):
        yield f"## {group}\n\n{GROUPS[group]}\n\n| name | adapter |\n|---|---|\n"
        yield from (f"| `{name}` | `{target}` |\n" for name, target in sorted(targets.items()))
        yield "\n"


class Answer(NamedTuple):
    """What one command prints.

    Attributes
    ----------
    command : str
        Its words, such as ``mainspring runs show``.
    types : tuple of object
        One of them is printed, after the options; none: it takes no ``--json``.
    lines : bool
        It can go on, with one JSON in a line each.
    """

    command: str
    types: tuple[Any, ...]
    lines: bool


def list_answers(root: click.Group) -> Iterator[Answer]:
    """Yield every command that does something by itself, in the order of the help.

    Parameters
    ----------
    root : Group
        The command ``mainspring``.
    """
    context = click.Context(root, info_name="mainspring")
    for name in root.list_commands(context):
        command = root.get_command(context, name)
        if command is not None:
            yield from _list_below(command, f"mainspring {name}")


def make_schemas(root: click.Group) -> dict[str, Any]:
    """Return one document: for each command the schema of its answer, and that of errors.

    Returns
    -------
    dict
        ``commands``: words -> schema; ``error``: that of the line on standard error; ``$defs``: the types.
    """
    answers = [each for each in list_answers(root) if each.types]
    shown = [kind for each in answers for kind in each.types]
    schemas, types = msgspec.json.schema_components([*shown, Refusal], ref_template=PLACE)
    left = iter(schemas)
    commands = {each.command: _join([next(left) for _ in each.types]) for each in answers}
    return {"$schema": DRAFT, "commands": commands, "error": next(left), "$defs": dict(sorted(types.items()))}


def name_type(schema: dict[str, Any]) -> str:
    """Return a schema in a few words, such as ``list of Run``.

    Examples
    --------
    >>> name_type({"type": "array", "items": {"$ref": "#/$defs/Run"}})
    'list of Run'
    >>> name_type({"anyOf": [{"type": "number"}, {"type": "null"}]})
    'number or null'
    """
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(name_type(each) for each in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(f'"{each}"' for each in schema["enum"])
    kind = schema.get("type")
    if kind == "array":
        inner = " and ".join(name_type(each) for each in schema.get("prefixItems", ()))
        return f"list of {inner or name_type(schema.get('items') or {})}"
    if kind == "object":
        return f"object of {name_type(schema.get('additionalProperties') or {})}"
    return str(kind or "anything")


def _list_below(command: click.Command, words: str) -> Iterator[Answer]:
    if isinstance(command, Verb | Noun) and (isinstance(command, Verb) or command.invoke_without_command):
        yield Answer(words, _find_types(command.answer), command.lines)
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from _list_below(inner, f"{words} {name}")


def _join(schemas: list[dict[str, Any]]) -> dict[str, Any]:
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}


def _find_types(answer: Any) -> tuple[Any, ...]:
    """Return the types of an answer; one of a heavy module is named by a text."""
    if isinstance(answer, tuple) or answer is None:
        return answer or ()
    if not isinstance(answer, str):
        return (answer,)
    module, _, name = answer.partition(":")
    return (getattr(import_module(module), name),)


def _render_engines() -> Iterator[str]:
    yield "What each engine was tried with, by the tests that there are: `real` is the system itself, `fake` a\n"
    yield "program of the tests that answers as it would. An empty cell: not tried, so do not count on it. The first\n"
    yield "rows are the contract suite, `mainspring.testing.engines`, which engines of other packages inherit too;\n"
    yield "then what one engine's own tests add.\n\n"
    for name, (paths, what, _) in TRIED.items():
        yield f"- `{name}://` runs {' and '.join(f'`{path}`' for path in paths)} against {what}.\n"
    yield f"\n| what | {' | '.join(TRIED)} |\n|---|{'---|' * len(TRIED)}\n"
    found = {name: [_read_tests(ROOT / path) for path in paths] for name, (paths, _, _) in TRIED.items()}
    inheriting = {name: [own for own, inherits in files if inherits] for name, files in found.items()}
    suite, _ = _read_tests(ROOT / "src" / "mainspring" / "testing" / "engines.py")
    for test in suite:
        tried = {name: any(test not in own for own in files) for name, files in inheriting.items()}
        yield _render_row(test, {name for name in TRIED if tried[name]})
    for name, files in found.items():
        for test in dict.fromkeys(test for own, _ in files for test in own if test not in suite):
            yield _render_row(test, {name})


def _render_flavors() -> Iterator[str]:
    yield "What is proven of each flavor, by the tests that there are, with the libraries themselves; no test says so\n"
    yield "of an empty cell. The first rows are the contract suite, `mainspring.testing.flavors`, which flavors of\n"
    yield "other packages inherit too. `torch` is tried by `make test-torch`; `code` is what no flavor writes.\n\n"
    yield f"| what | {' | '.join(FLAVORS)} |\n|---|{'---|' * len(FLAVORS)}\n"
    tests = ROOT / "tests"
    passing = [name for name, given in FLAVORS.items() if given and _has_class(tests / given[0], given[1])]
    suite, _ = _read_tests(ROOT / "src" / "mainspring" / "testing" / "flavors.py")
    rows = {_say(test): dict.fromkeys(passing, "") for test in suite} | PROVEN
    for what, proofs in rows.items():
        for path, _, test in (each.partition("::") for each in proofs.values() if each):
            if test not in _read_tests(tests / path)[0]:
                raise SystemExit(f"tools/reference.py: {what!r} is proven by tests/{path}::{test}, which is not there")
        yield f"| {what} | {' | '.join('yes' if name in proofs else '' for name in FLAVORS)} |\n"


def _has_class(path: Path, name: str) -> bool:
    return any(isinstance(each, ast.ClassDef) and each.name == name for each in ast.parse(path.read_text()).body)


def _render_row(test: str, tried: set[str]) -> str:
    cells = [word if name in tried else "" for name, (_, _, word) in TRIED.items()]
    return f"| {_say(test)} | {' | '.join(cells)} |\n"


def _read_tests(path: Path) -> tuple[list[str], bool]:
    """Return the names of tests of a file, and whether a class there inherits the contract."""
    tree = ast.parse(path.read_text())
    tests = [
        each.name for each in ast.walk(tree) if isinstance(each, ast.FunctionDef) and each.name.startswith("test_")
    ]
    bases = [base for each in tree.body if isinstance(each, ast.ClassDef) for base in each.bases]
    return tests, any(isinstance(base, ast.Name) and base.id == "EngineContract" for base in bases)


def _say(test: str) -> str:
    return test.removeprefix("test_").replace("_s_", "'s ").replace("_", " ")


def main() -> int:
    """Write the pages; with ``--check`` only tell which are stale."""
    if "--check" in sys.argv[1:]:
        stale = find_stale()
        for name in stale:
            print(f"docs/reference/{name} is out of date: make docs")
        return 1 if stale else 0
    FOLDER.mkdir(parents=True, exist_ok=True)
    pages = render_pages()
    for path in FOLDER.iterdir():
        if path.name not in pages:
            path.unlink()
    for name, text in pages.items():
        (FOLDER / name).write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
