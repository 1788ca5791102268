"""API of models, label sets and remote engines."""

from ninja import Router

router = Router(tags=["models"])
