"""API of datasets, versions and questions."""

from ninja import Router

router = Router(tags=["datasets"])
