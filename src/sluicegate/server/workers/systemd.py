"""Telling the service manager how it goes (sd_notify(3)): a datagram to a socket that the environment names."""

import os
import socket
import time
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Final, final


@final
class Notice:
    """Says it where somebody listens. The name is taken out of the environment: workers have nothing to say there."""

    def __init__(self, environ: MutableMapping[str, str] = os.environ) -> None:
        self._place: Final = environ.pop("NOTIFY_SOCKET", "")

    def ready(self) -> None:
        """It serves."""
        self._say("READY=1")

    def reloading(self) -> None:
        """It reads its settings anew; `ready` follows, whatever came of it."""
        self._say(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """It ends."""
        self._say("STOPPING=1")

    def _say(self, text: str) -> None:
        if not self._place.startswith(("/", "@")):
            return
        # @ is the kernel's own name space, which begins with NUL (unix(7))
        place = f"\0{self._place[1:]}" if self._place.startswith("@") else self._place
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as speaking:
            speaking.sendto(text.encode(), place)
