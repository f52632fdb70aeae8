"""The exceptions goodnet raises on purpose. Each message says what was expected, what came and what to do."""


class GoodnetError(Exception):
    """Base of all errors that the user can act on; the command line prints it and exits with 2."""


class UsageError(GoodnetError):
    """An option or argument has a value that makes no sense."""


class ModelError(GoodnetError):
    """A model cannot be read, is not an image classifier, or holds unusable weights."""


class UnsafeModelError(ModelError):
    """A model file holds code, or needs code to be run in order to be read."""


class ImagesError(GoodnetError):
    """An image set cannot be read or does not fit the model."""


class PreflightError(GoodnetError):
    """Model and images do not belong together under the given settings."""


class OutputError(GoodnetError):
    """A result cannot be written where it was asked for."""


class CheckpointError(GoodnetError):
    """A saved scan cannot be resumed."""


class MissingExtraError(GoodnetError):
    """An optional dependency is needed; the message names the extra that brings it."""

    def __init__(self, purpose: str, extra: str) -> None:
        super().__init__(f"{purpose} needs an extra package; install it with: pip install 'goodnet[{extra}]'")


def in_short(error: BaseException, most: int = 200) -> str:
    """Return the first line of what another library's error says, at most so many characters, or its name."""
    lines = str(error).strip().splitlines()
    return lines[0][:most] if lines else type(error).__name__
