"""A WebSocket through the gate: bytes both ways after the upstream's 101, until either side ends, or the token does."""

from typing import Final, final

from sluicegate.core.decision import Admit, Reason, Refuse
from sluicegate.server.connection.protocol import Connection
from sluicegate.server.connection.shared import half_close
from sluicegate.server.events.tie import Guard, Tie
from sluicegate.server.proxy.pool import Link
from sluicegate.server.wire.frames import Frames, close_frame
from sluicegate.server.wire.handshake import SWITCHING, Handshake
from sluicegate.server.wire.limits import Limits
from sluicegate.server.wire.malformed import Malformed
from sluicegate.server.wire.reply import Reply

_GOING_AWAY: Final = 1001
_POLICY: Final = 1008
_TRY_AGAIN_LATER: Final = 1013


@final
class Tunnels:
    """The open WebSockets of one gateway."""

    def __init__(self) -> None:
        self.open: Final[set[Tunnel]] = set()

    def drain(self) -> None:
        """Close them all: the gateway goes away."""
        for tunnel in list(self.open):
            tunnel.close(_GOING_AWAY, "stopping")


@final
class Upgrade:
    """A WebSocket that a client has asked for."""

    __slots__ = ("_decision", "_guard", "_handshake", "_home", "_limits")

    def __init__(
        self, handshake: Handshake, limits: Limits, *, home: Tunnels, guard: Guard | None, decision: Admit | None
    ) -> None:
        self._handshake: Final = handshake
        self._guard: Final = guard
        self._decision: Final = decision
        self._limits: Final = limits
        self._home: Final = home

    def follow(self, client: Connection, link: Link, reply: Reply, first: bytes, *, more: bytes) -> None:
        """Open the tunnel after a 101: nothing that came behind the request was sent until here.

        `first` is what the upstream sent behind it, `more` are header lines. Raises `Malformed` where the upstream has
        switched to something else.
        """
        if not self._handshake.is_met_by(reply):
            raise Malformed(502, "upstream", "The upstream has switched to what nobody asked for")
        tunnel = Tunnel(client, link, limits=self._limits, home=self._home)
        if self._guard is not None:
            tunnel.tie = self._guard.tie(client, self._decision, tunnel, begun=0)
        tunnel.open(b"".join((reply.lines, SWITCHING, more, b"\r\n")), first)


@final
class Tunnel:
    """Carries one WebSocket. Whoever does not read stops the other side: nothing is held but what is on its way.

    It is ended from here with a close frame, which can only stand between two frames: what is left of one that is
    under way is waited for, but not for long. What the client sends is not passed on meanwhile.
    """

    __slots__ = (
        "_client",
        "_down",
        "_home",
        "_idle",
        "_limits",
        "_link",
        "_parting",
        "_paused",
        "_up",
        "ready",
        "tie",
    )

    def __init__(self, client: Connection, link: Link, *, limits: Limits, home: Tunnels) -> None:
        self._client: Final = client
        self._link: Link | None = link
        self._limits: Final = limits
        self.tie: Tie | None = None
        self._home: Final = home
        self._idle = limits.idle
        self._down: Final = Frames()
        self._up: Final = Frames()
        self._paused = False
        self._parting: tuple[int, str] | None = None
        self.ready = True

    def open(self, head: bytes, first: bytes) -> None:
        """Tell the client that it may begin; `first` is what the upstream sent behind its own head."""
        client, link = self._client, self._link
        if link is None:
            return
        client.transport.write(head)
        link.listening = self
        self._home.open.add(self)
        client.begin(self)
        if self.tie is not None:
            self.tie.switch(self.end)  # which may end it at once
        if first and self._link is not None:
            self.received(first)
        if self._link is not None:
            client.intake.switch(self)
            client.extend(self._idle)

    # up

    def body(self, data: bytes) -> None:
        """Pass on what the client sends."""
        if self._link is not None and self._parting is None:
            self._up.feed(data)
            self._link.transport.write(data)
            self._client.extend(self._idle)

    def body_end(self) -> None:
        """The client will send no more; what the upstream still has to say reaches it."""
        self._idle = self._limits.write_time
        if self._link is not None and self._parting is None:
            self._client.extend(self._idle)
            self._up.is_closed = True
            half_close(self._link.transport)

    def upstream_full(self, *, full: bool) -> None:
        """Read no more from the client while the upstream does not take it."""
        self._client.intake.fill(full=full)

    # down

    def received(self, data: bytes) -> None:
        """Pass on what the upstream sends."""
        if self._parting is None:
            self._down.feed(data)
            self._client.transport.write(data)
            self._client.extend(self._idle)
            return
        self._client.transport.write(self._down.rest_of(data))
        self._part_between_frames()

    def pause(self) -> None:
        """The client is slow: leave the rest with the upstream."""
        self._paused = True
        if self._link is not None:
            self._link.pause()

    def resume(self) -> None:
        """The client has caught up."""
        self._paused = False
        self._part_between_frames()
        if self._link is not None:
            self._link.resume()

    # the end

    def end(self, refuse: Refuse) -> None:
        """End with its token."""
        reason = "api_key_blacklisted" if refuse.reason is Reason.REVOKED else refuse.reason.value
        self.close(_TRY_AGAIN_LATER if refuse.state_unknown else _POLICY, reason)

    def refuse(self, _: Refuse) -> bool:
        """Not any more: it was answered when it was opened."""
        return False

    def lasts(self, _: float) -> None:
        """It was tied to its token when it was opened."""

    def close(self, code: int, reason: str) -> None:
        """Close it, with a code and a word that the client is told where it still reads."""
        if self._link is None or self._parting is not None:
            return
        self._parting = (code, reason)
        # for a client that reads; one that does not is broken off then, for all would wait behind what it leaves unread
        self._client.extend(self._limits.parting_time)
        self._part_between_frames()

    def _part_between_frames(self) -> None:
        if self._parting is None or self._paused or not (self._down.at_boundary or self._down.is_closed):
            return
        code, reason = self._parting
        link = self._link
        if link is not None and self._up.at_boundary and not self._up.is_closed and not link.choked:
            link.listening = self._link = None
            link.transport.write(close_frame(code, reason, masked=True))
            link.transport.close()
        self._leave()
        if not self._down.is_closed:
            self._client.transport.write(close_frame(code, reason, masked=False))
        # the client's own close frame is waited for, or a reset would overtake what it is told
        self._client.finish(close=True, linger=True)

    def lost(self, *, clean: bool) -> None:
        """The connection to the upstream has ended, and with it the other one."""
        self._leave()
        if clean and self._parting is None and (self._down.at_boundary or self._down.is_closed):
            self._client.finish(close=True, linger=not self._paused)
        else:
            self._client.abort()

    def late(self) -> None:
        """Nothing has moved for too long, or a frame does not end."""
        if self._parting is None:
            self.close(_GOING_AWAY, "idle")
        else:
            self._client.abort()

    def cancel(self) -> bool:
        """The client has gone."""
        self._leave()
        return True

    def _leave(self) -> None:
        self._home.open.discard(self)
        if self.tie is not None:
            self.tie.over()
        link, self._link = self._link, None
        if link is not None:
            link.close()
