"""A page's socket for tests, spoken to in ASGI: channels' own one wants daphne."""

from asgiref.testing import ApplicationCommunicator

PATIENCE = 20


class SocketClient(ApplicationCommunicator):
    """One socket. `connect` before anything else."""

    def __init__(self, application, path: str, headers: list[tuple[bytes, bytes]]) -> None:
        path, _, query = path.partition("?")
        scope = {
            "type": "websocket",
            "path": path,
            "query_string": query.encode(),
            "headers": headers,
            "subprotocols": [],
        }
        super().__init__(application, scope)

    async def connect(self) -> bool:
        """Whether the handshake was accepted."""
        await self.send_input({"type": "websocket.connect"})
        return (await self.receive_output(PATIENCE))["type"] == "websocket.accept"

    async def receive_from(self) -> str:
        """The next message."""
        message = await self.receive_output(PATIENCE)
        assert message["type"] == "websocket.send", message
        return message["text"]

    async def disconnect(self) -> None:
        """The page goes away."""
        await self.send_input({"type": "websocket.disconnect", "code": 1001})
        await self.wait(PATIENCE)
