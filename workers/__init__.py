"""Job workers: claim what waits in the web application's database, and have `meds3core` do it in a child process."""
