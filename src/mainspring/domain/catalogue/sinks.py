"""Sinks and connections that go out."""

from __future__ import annotations

from mainspring.domain.catalogue.entry import Entry

ENTRIES: tuple[Entry, ...] = (
    Entry(
        "SINK-001",
        "not_found",
        "no such sink",
        "sinks belong to a project; this one has none of that name",
        "mainspring sinks",
    ),
    Entry(
        "SINK-002",
        "invalid",
        "a kind of sink that is not here",
        "kinds are found in the entry point group mainspring.sinks",
        "mainspring sinks add --help, or install the package that brings the kind",
    ),
    Entry(
        "SINK-003",
        "invalid",
        "a sink that could never send",
        "its kind needs another address, secret or setting",
        "mainspring sinks add --help",
    ),
    Entry(
        "SINK-004",
        "invalid",
        "a name or a pattern that cannot be given",
        "a name is letters, digits, _ and -, from a letter; events are `run.failed`, `alarm.*` or `*`, at most 50",
        "choose another name, or: mainspring sinks add NAME --events run.failed,alarm.*",
    ),
    Entry(
        "SINK-005",
        "denied",
        "deliveries are for the courier alone",
        "what is to be sent comes with secrets; only the process that the owner has started is told it",
        "mainspring sinks tells what is still to be sent",
    ),
    Entry(
        "SINK-006",
        "failed",
        "the receiver has not taken it",
        "what it answered stands above; events are kept, and tried again",
        "mainspring sinks show NAME",
    ),
    Entry(
        "SINK-007",
        "unavailable",
        "nobody could send in time",
        "the process that sends has not begun, or did not come to an end",
        "see logs/courier.log in the home, then: mainspring sinks test NAME",
    ),
    Entry(
        "SINK-008",
        "conflict",
        "too many sinks",
        "each sink has a thread of its own while it sends, so a project has at most 50",
        "mainspring sinks remove NAME",
    ),
    Entry(
        "SINK-009",
        "not_found",
        "no such event is set aside",
        "an event is set aside when its receiver has refused it for good as often as the sink's setting tries says",
        "see `mainspring sinks show NAME` for the numbers of those that are",
    ),
    Entry(
        "FETCH-001",
        "denied",
        "an address inside",
        "what others name may lead to machines on the internet only, not to this one, to private networks or metadata",
        "whoever runs the owner can allow a private host: MAINSPRING_PRIVATE_HOSTS=host:port, then mainspring stop",
    ),
    Entry(
        "FETCH-002",
        "unavailable",
        "no connection",
        "the host has no address, nobody listens there, or its certificate does not name it",
        "compare host and port with the receiver's",
    ),
    Entry(
        "FETCH-003",
        "unavailable",
        "the receiver took too long",
        "resolving, connecting, sending and the answer share one time limit",
        "see whether the receiver hangs; a sink's limit is its setting timeout_s, from 1 to 60",
    ),
    Entry(
        "FETCH-004",
        "unavailable",
        "the receiver broke off",
        "the connection ended early, or what came back is not of the protocol",
        "see whether another program listens there",
    ),
    Entry(
        "FETCH-005",
        "invalid",
        "an address that cannot be used",
        "an address has a scheme, a host, perhaps a port and a path, in visible ASCII, and no password or fragment",
        "give it without its secret, and keep that with `mainspring secrets add`",
    ),
)
