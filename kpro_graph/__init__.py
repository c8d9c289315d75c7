"""Patient-reported outcomes for municipalities: a GraphQL API with plugins."""

__version__ = "0.1.0"
