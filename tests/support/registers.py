"""A registered model as pages of paper would have it: what each act must answer, without a database."""

from dataclasses import dataclass, field

from tests.support.model import Refused

from mainspring.domain.principals import ROLES
from mainspring.security.policy import ACTIONS

__all__ = ["Refused", "Register", "Version"]


@dataclass
class Version:
    number: int
    digest: str
    files: dict
    stage: str = ""
    deleted: bool = False
    purged: bool = False


@dataclass
class Register:
    """Versions by their numbers, and what is said of them; the name is there, hidden or `forgotten`: purged."""

    named: bool = False
    forgotten: bool = False
    versions: list = field(default_factory=list)
    aliases: dict = field(default_factory=dict)
    gates: dict = field(default_factory=dict)
    verdicts: set = field(default_factory=set)

    # --- who may --------------------------------------------------------------------------

    def admit(self, who, action):
        """Refuse a person whose role, which is the name, is not enough; the home's user may all."""
        if who and ROLES.index(who) < ROLES.index(ACTIONS[action].role):
            raise Refused("AUTH-005")

    # --- versions -------------------------------------------------------------------------

    def here(self):
        return [each for each in self.versions if not each.deleted]

    def is_here(self, number):
        return any(each.number == number for each in self.here())

    def find(self, number):
        found = next((each for each in self.here() if each.number == number), None)
        if found is None:
            raise Refused("MODEL-001")
        return found

    def put(self, digest, files, *, more):
        """Content that is there is that version; so is what was deleted, as long as its files are known."""
        self.named = True
        same = sorted((each for each in self.versions if each.digest == digest), key=lambda each: each.deleted)
        if same and not more and not same[0].deleted:
            return same[0]
        if same and not more and not same[0].purged and same[0].files == files:
            same[0].deleted = False
            return same[0]
        self.versions.append(Version(len(self.versions) + 1, digest, files))
        return self.versions[-1]

    def delete(self, number):
        version = self.find(number)
        if self.aliases_of(version):
            raise Refused("KEEP-002")
        version.deleted = True

    def delete_with_aliases(self, number):
        aliases = self.aliases_of(self.find(number))
        if aliases & self.gates.keys():
            raise Refused("GATE-003")
        self.aliases = {alias: at for alias, at in self.aliases.items() if alias not in aliases}
        self.delete(number)

    def delete_all(self):
        if not self.named:
            raise Refused("MODEL-001")
        if any(self.aliases_of(each) & self.gates.keys() for each in self.here()):
            raise Refused("KEEP-002")
        for each in self.here():
            each.deleted = True
        self.named = self.forgotten = False

    def restore(self, number):
        if number > len(self.versions):
            raise Refused("MODEL-001")
        version = self.versions[number - 1]
        if version.purged:
            raise Refused("KEEP-003")
        if version.deleted:
            version.deleted, self.named = False, True

    def restore_all(self):
        gone = [each for each in self.versions if each.deleted and not each.purged]
        if not gone and (self.named or self.forgotten):
            raise Refused("KEEP-004")
        for each in gone:
            each.deleted = False
        self.named = True

    def purge(self):
        for each in self.versions:
            if each.deleted and not each.purged:
                each.purged = True
                self.aliases = {alias: number for alias, number in self.aliases.items() if number != each.number}
        self.forgotten = not self.named

    def check_name(self):
        if not self.named:
            raise Refused("MODEL-001")

    # --- aliases, gates and stages --------------------------------------------------------

    def shown(self):
        return {alias: number for alias, number in self.aliases.items() if self.is_here(number)}

    def aliases_of(self, version):
        return {alias for alias, number in self.aliases.items() if number == version.number}

    def allow(self, alias, number):
        """Tell whether a gate has let a version through, or there is none."""
        return alias not in self.gates or (number, alias, self.gates[alias]) in self.verdicts

    def force(self, who, *, force, reason):
        if not force:
            raise Refused("GATE-003")
        self.admit(who, "aliases.force")
        if not reason.strip():
            raise Refused("GATE-008")

    def move(self, who, number, alias, *, force=False, reason="over MLflow's protocol"):
        version = self.find(number)
        if self.aliases.get(alias) != number and not self.allow(alias, number):
            self.force(who, force=force, reason=reason)
        self.aliases[alias] = version.number

    def drop(self, who, alias, *, force=False, reason="over MLflow's protocol"):
        self.check_name()
        if alias not in self.shown():
            return
        if alias in self.gates:
            self.force(who, force=force, reason=reason)
        del self.aliases[alias]

    def guard(self, alias, rules):
        self.gates[alias] = rules

    def unguard(self, alias, reason):
        if alias not in self.gates:
            raise Refused("RENEW-006")
        if not reason.strip():
            raise Refused("GATE-008")
        del self.gates[alias]

    def stage(self, number, stage, *, archive):
        version = self.find(number)
        if stage and not self.allow(stage, number):
            raise Refused("GATE-003")
        for each in self.here() if archive else ():
            if each.stage == stage and each is not version:
                each.stage = "Archived"
        version.stage = stage
