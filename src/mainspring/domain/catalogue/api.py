"""HTTP: requests, remote clients, versions of the wire."""

from __future__ import annotations

from mainspring.domain.catalogue.entry import Entry

ENTRIES: tuple[Entry, ...] = (
    Entry(
        "API-007",
        "invalid",
        "a verb that the path does not know",
        "each path answers the verbs of its Allow header",
        "take verb and path from docs/reference/http.md",
        405,
    ),
    Entry(
        "API-008",
        "invalid",
        "a body that cannot be read",
        "the body is no JSON, or has a field of another name or type than the route takes",
        "take its fields from /api/v1/openapi.json",
    ),
    Entry(
        "API-009",
        "invalid",
        "a body that is too large",
        "a body of JSON holds at most 1 MiB, a command 64 MiB, a blob 32 GiB",
        "send less at once",
        413,
    ),
    Entry(
        "API-010",
        "invalid",
        "a body of another kind",
        "routes take application/json, commands application/msgpack",
        "send the header Content-Type: application/json",
        415,
    ),
    Entry(
        "API-011",
        "conflict",
        "an idempotency key of another request",
        "a key stands for one request and its repetitions; this one was first sent with other content",
        "make a new key for each new request",
    ),
    Entry(
        "API-012",
        "invalid",
        "an idempotency key that cannot be used",
        "a key has 1 to 200 visible characters of ASCII",
        "send a random key, such as a UUID, and the same one when the request is repeated",
    ),
    Entry(
        "API-013",
        "invalid",
        "a client of another time",
        "a server answers clients of its own version of the wire and of the two before",
        "install the server's version of Mainspring on the client: pip install mainspring==VERSION",
    ),
    Entry(
        "API-014",
        "unavailable",
        "the server does not answer",
        "it is not running, restarts again and again, or the network between swallows what is sent",
        "mainspring up, where the record is; then repeat the command",
    ),
    Entry(
        "API-015",
        "denied",
        "a certificate that is not trusted",
        "the server's certificate has not the fingerprint that was named, or no authority vouches for it",
        "set MAINSPRING_CERTIFICATE to the SHA-256 that mainspring up prints, or to the file of the authority",
    ),
    Entry(
        "API-016",
        "unavailable",
        "too many streams",
        "a server keeps a bounded number of event streams and uploads open",
        "close streams that nobody reads, ask GET /api/v1/events with wait_s, or repeat the upload later",
    ),
    Entry(
        "API-017",
        "invalid",
        "another host name",
        "a server answers only under its own names, so that no page of another site reaches it under one of its own",
        "use the address that mainspring up prints, or add that name with --name",
    ),
    Entry(
        "API-018",
        "invalid",
        "not over the network",
        "what the home's own processes run is chosen on its machine only, unless its owner lets in code of others",
        "run steps in this process (no submit, map or resources), or run the program on the machine of the home",
    ),
    Entry(
        "API-025",
        "invalid",
        "too much at once",
        "an answer is bounded, so that no list can take the memory of owner and client; the rest is on further pages",
        "ask for a page of fewer, then for the next with `page`, or `after`",
    ),
    Entry(
        "API-026",
        "invalid",
        "a login that cannot be read",
        "the file that mainspring login writes was changed or cut",
        "mainspring logout, then: mainspring login URL",
    ),
    Entry(
        "API-027",
        "invalid",
        "a result that was pickled elsewhere",
        "to open what another machine has pickled is to run its code here, so that is never done",
        "return data, tables, arrays, a dataclass of them or a model; or run a pipeline of both steps with ms.run",
    ),
)
