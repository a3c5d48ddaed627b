"""Every kind of sink keeps the contract, against a real receiver of its kind."""

import pytest
from tests.support.receivers import DeafReceiver, HttpReceiver, SmtpReceiver

from mainspring.domain.sinks import Delivery
from mainspring.security.certificates import make_certificate
from mainspring.sinks.kind import find_kind, list_kinds
from mainspring.testing.sinks import SinkContract

LETTERS = {"to": "ops@example.org", "from": "ms@example.org"}


@pytest.fixture(autouse=True)
def both_records(monkeypatch):
    """No record is asked."""
    monkeypatch.setenv("MAINSPRING_PRIVATE_HOSTS", "127.0.0.1")


@pytest.fixture
def certificate(home, monkeypatch):
    made = make_certificate(home, ["127.0.0.1"])
    monkeypatch.setenv("SSL_CERT_FILE", str(made[0]))
    return made


@pytest.fixture
def deaf():
    made = DeafReceiver()
    yield made.place
    made.end()


class Web(HttpReceiver):
    def told(self):
        return [heard.body for heard in self.heard]

    def fail(self):
        self.answer = lambda _: (503, "out of order")


class Mail(SmtpReceiver):
    def told(self):
        return self.letters

    def fail(self):
        self.refuse = {"MAIL": "451 out of order"}


def deliver(kind, url="", secret="", **options):
    return Delivery("s" * 32, "air", "it", kind, url, secret, {"timeout_s": "1.5", **options}, [])


class WebContract(SinkContract):
    @pytest.fixture
    def receiver(self):
        made = Web()
        yield made
        made.end()


class TestWebhook(WebContract):
    @pytest.fixture
    def kind(self):
        return find_kind("webhook")

    @pytest.fixture
    def aim(self):
        return lambda place: deliver("webhook", f"http://{place}/hook", "key of the webhook")


class TestAlertmanager(WebContract):
    @pytest.fixture
    def kind(self):
        return find_kind("alertmanager")

    @pytest.fixture
    def aim(self):
        return lambda place: deliver("alertmanager", f"http://{place}")


class TestOpenlineage(WebContract):
    @pytest.fixture
    def kind(self):
        return find_kind("openlineage")

    @pytest.fixture
    def aim(self):
        return lambda place: deliver("openlineage", f"http://{place}")


class TestSlack(SinkContract):
    @pytest.fixture
    def kind(self):
        return find_kind("slack")

    @pytest.fixture
    def receiver(self, certificate):
        made = Web(certificate=certificate)
        yield made
        made.end()

    @pytest.fixture
    def aim(self):
        return lambda place: deliver("slack", "", f"https://{place}/services/T0/B0/key")


class TestEmail(SinkContract):
    @pytest.fixture
    def kind(self):
        return find_kind("email")

    @pytest.fixture
    def receiver(self, certificate):
        made = Mail(certificate=certificate)
        yield made
        made.end()

    @pytest.fixture
    def aim(self):
        return lambda place: deliver("email", f"smtp://{place}", "key", **LETTERS, user="ms")


def test_each_kind_has_a_suite():
    assert list_kinds() == ["alertmanager", "email", "openlineage", "slack", "webhook"]
