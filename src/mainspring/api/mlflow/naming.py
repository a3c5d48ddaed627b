"""Names for runs that were given none: two words and a number, to be told apart by people."""

from __future__ import annotations

import secrets

_KINDS = (
    "amber", "autumn", "brisk", "bright", "calm", "clear", "cobalt", "coral", "crisp", "dapper", "distant", "early",
    "eager", "fair", "fleet", "gentle", "golden", "grand", "hazel", "hidden", "ivory", "jolly", "keen", "late",
    "level", "light", "lively", "lucid", "mellow", "merry", "mild", "misty", "modest", "noble", "patient", "plain",
    "polar", "proud", "quick", "quiet", "rapid", "rare", "rustic", "sharp", "silent", "silver", "simple", "sober",
    "solar", "steady", "still", "sunny", "swift", "tidal", "tidy", "vivid", "warm", "wise", "witty", "young",
)  # fmt: skip
_THINGS = (
    "anchor", "aspen", "badger", "basin", "beacon", "birch", "bridge", "brook", "canyon", "cedar", "comet", "crane",
    "delta", "dune", "eagle", "ember", "falcon", "fern", "field", "finch", "fjord", "forge", "gale", "glacier",
    "grove", "harbor", "hawk", "heron", "island", "juniper", "kestrel", "lagoon", "lark", "lynx", "maple", "marsh",
    "meadow", "mesa", "moss", "oak", "orchid", "otter", "owl", "peak", "pine", "plover", "pond", "prairie",
    "raven", "reef", "ridge", "river", "robin", "sparrow", "spruce", "stream", "summit", "swan", "thicket", "willow",
)  # fmt: skip


def make_name() -> str:
    """Return a name such as ``calm-heron-417``; two runs may get the same."""
    return f"{secrets.choice(_KINDS)}-{secrets.choice(_THINGS)}-{secrets.randbelow(1000)}"
