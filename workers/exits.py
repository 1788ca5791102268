"""How a job's process says, by its exit code, what became of it. Anything else is a crash."""

DONE = 0
REFUSED = 3
"""The user can mend it; code and message are stored."""
STOPPED = 4
"""Told to stop; what was recorded is the place to go on from."""
STALE = 5
"""The job has gone on without this attempt."""
BROKE = 6
"""Our fault or the machine's; code and message are stored. Counted like a crash."""
