"""What can be wrong with an export."""


class ExportError(Exception):
    """An export that failed or does not agree with its model, said in one line."""
