"""The web application: remembers and shows what `meds3core` computes. It never loads a model (docs/architecture.md)."""
