"""The Django application: remembers and shows what `meds3core` computes. To come (see docs/architecture.md)."""
