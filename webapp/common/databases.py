"""The database asked from an event loop."""

from typing import Any

from asgiref.sync import SyncToAsync
from channels.db import DatabaseSyncToAsync
from django.db import DatabaseError, connection


class _Asking(DatabaseSyncToAsync):
    """As Channels asks, but a file stays open. Outside of requests one thread asks everything, and opening SQLite's
    file takes longer than most questions; a server's connection goes back into the pool each time.
    """

    def thread_handler(self, loop: Any, *args: Any, **kwargs: Any) -> Any:
        """In the thread that asks."""
        if connection.vendor != "sqlite":
            return super().thread_handler(loop, *args, **kwargs)
        try:
            return SyncToAsync.thread_handler(self, loop, *args, **kwargs)
        except DatabaseError:
            connection.close()
            raise


ask_database = _Asking
"""Makes of a function that asks the database one to await; also a decorator."""
