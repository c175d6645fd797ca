"""`[http]`, the public listener, and `[admin]`, which never shares it."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel

from sluicegate.settings.addresses import Announcers, Bind, BindAddress, Network, Origins, TrustedNetwork
from sluicegate.settings.kinds import SECTION, FileOrStandard, FilePath, Secret, Several, key, off, table, whole, words
from sluicegate.settings.quantities import Size

_MOST_HEAD_BYTES = 2**20  # a head is held in memory until it is complete, once for each connection


class ListenerTls(BaseModel):
    """The certificate of the public listener. Both files are read again when they change."""

    model_config = SECTION

    cert_file: FilePath = key("", "PEM file with the listener's certificate and its chain; empty for plain HTTP.")
    key_file: FilePath = key("", "PEM file with the certificate's private key, without a passphrase.")
    min_version: Annotated[Literal["1.2", "1.3"], words("1.2", "1.3")] = key("1.2", "Oldest version of TLS to speak.")


class Http(BaseModel):
    """The public listener. The names are RevenProx's."""

    model_config = SECTION

    bind_address: BindAddress = key(
        "127.0.0.1:8080", 'Host and port to listen on; ":8080" is every interface, port 0 a free one.'
    )
    workers: Annotated[int, whole(0, 1024, example="1")] = key(
        1, "Processes that share the port; 0 is one for each core that the gateway may use."
    )
    max_connections: Annotated[int, whole(1)] = key(
        100_000, "Open connections of all workers together, in equal parts; whoever comes past it is answered 503."
    )
    connection_timeout_sec: Annotated[int, whole(1)] = key(
        300, "Seconds that a connection may stay idle before it is closed."
    )
    keepalive_interval_sec: Annotated[int, whole(1)] = key(
        30, "Seconds between `: keepalive` comments on an event stream."
    )
    max_message_queue_size: Annotated[int, whole(1)] = key(
        1000, "Events that may wait for one slow stream before `backpressure_policy` applies."
    )
    backpressure_policy: Annotated[
        Literal["disconnect", "drop_newest", "drop_oldest", "block"],
        words("disconnect", "drop_newest", "drop_oldest", "block"),
    ] = key("disconnect", "What happens to a stream whose queue is full.")
    max_request_line_size: Annotated[int, whole(1, _MOST_HEAD_BYTES)] = key(
        8192, "Bytes of the request line; a longer one is answered 414."
    )
    max_header_size: Annotated[int, whole(1, _MOST_HEAD_BYTES)] = key(
        8192, "Bytes of one header field or trailer; a longer one is answered 431."
    )
    max_headers: Annotated[int, whole(1, 10_000)] = key(
        100, "Header fields of a request, and trailers of one; more are answered 431."
    )
    max_body_size: Size = key(
        "unlimited", "Bytes of a request body; a longer one is answered 413. Bodies are streamed, never held whole."
    )
    rate_limit_per_ip: Annotated[int, whole(0)] = key(
        0, "Requests of one address in each window; more are answered 429. 0 sets no limit."
    )
    rate_limit_window_sec: Annotated[int, whole(1, 86_400)] = key(60, "Seconds of the window of `rate_limit_per_ip`.")
    cors_allowed_origins: Origins = key(
        [], 'Origins whose pages may read answers; "*" is all of them, and then never with credentials.'
    )
    trusted_proxies: Annotated[tuple[TrustedNetwork, ...], Several('["10.0.0.0/8", "127.0.0.1"]')] = key(
        [], "Networks whose `X-Forwarded-*` headers are believed; from anybody else they are deleted."
    )
    forwarded_by: Annotated[Literal["x-forwarded", "forwarded"], words("x-forwarded", "forwarded")] = key(
        "x-forwarded",
        "What `trusted_proxies` say it with: `X-Forwarded-*`, or `Forwarded` (RFC 7239). The other comes from their "
        "clients, and is deleted.",
    )
    upstream_connect_timeout_ms: Annotated[int, whole(1, 600_000)] = key(
        5000, "Milliseconds to connect to an upstream, TLS included; past it another is tried, or the answer is 504."
    )
    upstream_response_timeout_sec: Annotated[int, whole(1)] = key(
        60, "Seconds from the end of a request to the head of the upstream's response; past it, the answer is 504."
    )
    upstream_read_timeout_sec: Annotated[int, whole(1)] = key(
        300, "Seconds between two pieces of an upstream's response; past it, the response is broken off."
    )
    upstream_keepalive_sec: Annotated[int, whole(1)] = key(
        4, "Seconds that an unused connection to an upstream is kept; less than the upstream itself keeps it."
    )
    upstream_keepalive_connections: Annotated[int, whole(0)] = key(
        256, "Unused connections that are kept to each upstream."
    )
    proxy_protocol: Announcers = off(
        "Networks whose connections begin with a PROXY protocol header, version 1 or 2, that names the client; true is "
        "`trusted_proxies`. From there a header must come; from anybody else it is refused.",
    )
    access_log: FileOrStandard = key(
        "", 'Where a line of JSON is written for each request: a file, "stdout" or "stderr"; empty for nowhere.'
    )
    tls: ListenerTls = table(ListenerTls, "The listener's certificate.")


class Admin(BaseModel):
    """The operators' own listener: health, revocations, metrics."""

    model_config = SECTION

    bind_address: BindAddress = key("127.0.0.1:9090", "Host and port of the operators' listener; never the public one.")
    token: Secret = key(
        "",
        "Bearer token that operators present; without one the listener must stay on loopback.",
        shown_default="{env.SLUICEGATE_ADMIN_TOKEN}, where that is set",
    )


# pydantic reads the annotations above while the program runs
_RUNTIME = (Path, Bind, Network)
