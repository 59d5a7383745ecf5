"""Visitors who come at once, as the server meets them: sessions of Streamlit's protocol, without a browser.

So many browsers on one machine would time themselves: each takes seconds of CPU to draw a page that costs the server a
tenth of one.
"""

import asyncio
from collections.abc import Sequence
from time import perf_counter

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect

PATIENCE_S = 600


class Crowd:
    """Sessions that stay open until the crowd is left.

    Attributes:
        seconds: Of each visit, from the connection to the last word of the page.
        received_mib: By all of them.
    """

    def __init__(self, url: str, pages: Sequence[str]) -> None:
        self._address = f"{url.replace('http', 'ws', 1)}/_stcore/stream"
        self._pages = pages
        self._open: list[ClientConnection] = []
        self.seconds: list[float] = []
        self.received_mib = 0.0

    async def __aenter__(self) -> "Crowd":
        async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
            for page in self._pages:
                group.create_task(self._visit(page))
        return self

    async def __aexit__(self, *error: object) -> None:
        await asyncio.gather(*(session.close() for session in self._open))

    async def _visit(self, page: str) -> None:
        started = perf_counter()
        session = await connect(self._address, subprotocols=["streamlit"], max_size=None, open_timeout=PATIENCE_S)
        self._open.append(session)
        wish = BackMsg()
        wish.rerun_script.page_name = page
        await session.send(wish.SerializeToString())
        async for data in session:
            message = ForwardMsg()
            message.ParseFromString(data)
            self.received_mib += len(data) / 2**20
            if message.delta.new_element.WhichOneof("type") == "exception":
                raise RuntimeError(f"{page or 'a page'} failed: {message.delta.new_element.exception.message}")
            if message.WhichOneof("type") == "script_finished":
                self.seconds.append(perf_counter() - started)
                return
        raise RuntimeError(f"{page or 'a page'}: the server ended the session")
