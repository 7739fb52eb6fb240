"""Verb that finds topics of a collection."""


def add(verb) -> None:
    """Adds the verb."""
