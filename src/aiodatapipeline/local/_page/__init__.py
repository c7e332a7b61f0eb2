"""The page of the local service, for people with a browser."""

from aiodatapipeline.local._page._site import Site

__all__ = ["Site"]
