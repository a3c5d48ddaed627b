"""``mainspring completion``: what a shell needs to complete verbs, options, names and ids."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from mainspring.cli.offering import VARIABLE
from mainspring.cli.printing import Verb


@click.command(
    "completion",
    cls=Verb,
    epilog='Examples: eval "$(mainspring completion bash)" · mainspring completion fish'
    " > ~/.config/fish/completions/mainspring.fish",
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the script by which SHELL completes verbs, options, names and ids.

    Put the line of the example into ~/.bashrc or ~/.zshrc. Names and ids are asked from the owner of the
    home while it runs; completing starts none, and offers none of a server's. It prints no JSON: a shell
    reads it.
    """
    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(command, {}, "mainspring", VARIABLE).source())
