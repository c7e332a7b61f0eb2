"""The page of the local service, for people with a browser."""

from aiodatapipeline.local._page._site import Site, refusing_page

__all__ = ["Site", "refusing_page"]
