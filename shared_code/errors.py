"""The few kinds of failure that a caller can do something about; each program turns them into its own answer."""


class AltavizError(Exception):
    """A failure with a sentence that may be shown to whoever asked."""


class NotFoundError(AltavizError):
    """There is no such thing for this organization; whether another has one is not said."""


class ConflictError(AltavizError):
    """The thing is not in the state that the request needs."""


class ForbiddenError(AltavizError):
    """Known who asks, and not allowed."""


class UnauthorizedError(AltavizError):
    """Not known who asks."""


class InvalidError(AltavizError):
    """The input is wrong in a way the sentence says how to mend; `field` names the part, where it is one."""

    def __init__(self, sentence: str, *, field: str | None = None) -> None:
        super().__init__(sentence)
        self.field = field


class UnavailableError(AltavizError):
    """Something that this depends on does not answer, or is not set up."""


class TooManyRequestsError(AltavizError):
    """More was asked than the caller may ask; `retry_after` is in seconds."""

    def __init__(self, sentence: str, *, retry_after: int) -> None:
        super().__init__(sentence)
        self.retry_after = retry_after


class SettingsError(AltavizError):
    """The program is not set up; the sentence names every setting to mend."""
