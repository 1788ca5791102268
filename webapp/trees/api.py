"""API of searches and trees."""

from ninja import Router

router = Router(tags=["searches"])
