"""What older clients sent is sent again, and answers are held against those that they got."""

import json
import re
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "fixtures" / "wire"
_NAME = re.compile(r"[0-9a-f]{32}|\b[0-9a-f]{16}\b|ms[pw]_[0-9a-f]{16}_[0-9a-f]{64}")


def read_recording(protocol, name):
    return json.loads((FOLDER / str(protocol) / name).read_text("utf-8"))


class Names:
    """Ids and tokens of a recording, and what stands for them here; learned from answers."""

    def __init__(self):
        self.known = {}

    def renew(self, value):
        """Return what was sent, about what is here."""
        if isinstance(value, dict):
            return {self.renew(name): self.renew(each) for name, each in value.items()}
        if isinstance(value, list):
            return [self.renew(each) for each in value]
        if not isinstance(value, str):
            return value
        return self.known.get(value) or _NAME.sub(lambda found: self.known.get(found[0], found[0]), value)

    def compare(self, recorded, answered, place="answer"):
        """Return in what an answer is less than the recorded one."""
        if recorded is None:
            return []
        if isinstance(recorded, dict) and isinstance(answered, dict):
            names = {name: self.known.get(name, name) for name in recorded}
            lost = [f"{place}.{name} is lost" for name, here in names.items() if here not in answered]
            both = [(name, here) for name, here in names.items() if here in answered]
            return lost + [
                each for name, here in both for each in self.compare(recorded[name], answered[here], f"{place}.{name}")
            ]
        if isinstance(recorded, list) and isinstance(answered, list):
            if recorded and not answered:
                return [f"{place} is empty"]
            pairs = list(_pair(recorded, answered))
            return [each for at, pair in enumerate(pairs) for each in self.compare(*pair, f"{place}[{at}]")]
        if type(recorded) is not type(answered):
            return [f"{place} is {answered!r}, was {recorded!r}"]
        if isinstance(recorded, str) and _NAME.fullmatch(recorded):
            self.known[recorded] = answered
            self.known[recorded[-8:]] = answered[-8:]
        if place.endswith(("problem.code", "content.code")) and recorded != answered:
            return [f"{place} is {answered}, was {recorded}"]
        return []


def _pair(recorded, answered):
    """Pair the items of two lists in order; what is of a kind with what is of that kind, as in events."""
    kinds = {}
    for each in answered:
        kinds.setdefault(each.get("kind") if isinstance(each, dict) else None, []).append(each)
    for each in recorded:
        alike = kinds.get(each.get("kind") if isinstance(each, dict) else None)
        if alike:
            yield each, alike.pop(0)


def find_breaks(recorded, present):
    """Return in what the messages of now would not be understood by clients of a recording."""
    found = []
    for name in recorded:
        if f"{name} ->" in recorded:
            found += _compare(recorded, present, {"$ref": name}, {"$ref": name}, f"{name}", sent=True)
            answer = f"{name} ->"
            found += _compare(recorded, present, recorded[answer], present.get(answer, {}), answer, sent=False)
    return sorted(set(found))


def _compare(olds, news, old, new, place, *, sent, depth=0):
    if depth > 12:
        return []  # what holds itself
    old, new = olds.get(old.get("$ref"), old), news.get(new.get("$ref"), new)

    def below(first, second, part):
        return _compare(olds, news, first, second, f"{place}{part}", sent=sent, depth=depth + 1)

    if "anyOf" in old or "anyOf" in new:
        given, taken = (old, new) if sent else (new, old)
        return [
            f"{place}: {each} is understood no more"
            for each in given.get("anyOf", [given])
            if all(below(*((each, other) if sent else (other, each)), "") for other in taken.get("anyOf", [taken]))
        ]
    values = [set(each.get("enum", ())) for each in (old, new)]
    if values[0] or values[1]:
        given, taken = values if sent else values[::-1]
        more = given - taken if taken else set()
        return [f"{place}: {more} is understood no more"] if more or not given else []
    if old.get("type") != new.get("type"):
        return [f"{place} is {new.get('type')}, was {old.get('type')}"]
    found = []
    inner = new.get("properties", {})
    for name, each in old.get("properties", {}).items():
        found += below(each, inner[name], f".{name}") if name in inner else [f"{place}.{name} is lost"]
    if sent:
        more = set(new.get("required", ())) - set(old.get("required", ()))
        found += [f"{place}.{name} must be sent now" for name in more]
    for word in ("items", "additionalProperties"):
        if isinstance(old.get(word), dict):
            found += below(old[word], new.get(word) or {}, f".{word}")
    for at, each in enumerate(old.get("prefixItems", ())):
        others = new.get("prefixItems", ())
        found += below(each, others[at], f"[{at}]") if at < len(others) else [f"{place}[{at}] is lost"]
    return found
