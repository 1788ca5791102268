"""Celery and chat workers: join the web application and `meds3core`. To come (see docs/architecture.md)."""
