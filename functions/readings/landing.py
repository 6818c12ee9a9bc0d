"""Where accepted readings are put for the Spark job: a folder, or a container of a lake in Azure.

A file is there whole or not at all, and what is there is not replaced.
"""

import logging
import os
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Final, Protocol
from uuid import uuid4

from functions.settings import LandingSettings
from shared_code.errors import UnavailableError

NOT_NOW: Final = "readings cannot be stored at the moment; send the same request again later"
CONNECT_SECONDS: Final = 5
READ_SECONDS: Final = 30

logger = logging.getLogger(__name__)


class Landing(Protocol):
    """Takes files by paths such as `readings/api/.../name.parquet`."""

    def create(self, path: str, content: bytes) -> bool:
        """Put a file; false, and nothing done, where there is one.

        Raises:
            UnavailableError: it cannot be put at the moment.
        """
        ...

    def read(self, path: str) -> bytes:
        """Return a file that is there.

        Raises:
            UnavailableError: it cannot be read at the moment.
        """
        ...


class FolderLanding:
    """A folder of this machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def create(self, path: str, content: bytes) -> bool:
        """Write under a name that the job passes over, then give the file its own name, if that is free."""
        final = self._folder / path
        unfinished = final.with_name(f".{final.name}.{uuid4().hex}")
        try:
            final.parent.mkdir(parents=True, exist_ok=True)
            with unfinished.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            final.hardlink_to(unfinished)  # a rename would replace what is there
        except FileExistsError:
            return False
        except OSError as failure:
            raise _unavailable(failure) from failure
        finally:
            with suppress(OSError):
                unfinished.unlink()
        return True

    def read(self, path: str) -> bytes:
        """Return the file's bytes."""
        try:
            return (self._folder / path).read_bytes()
        except OSError as failure:
            raise _unavailable(failure) from failure


class BlobLanding:
    """A container of a storage account, or a folder in one; a blob appears when its last byte has arrived."""

    def __init__(self, settings: LandingSettings) -> None:
        from azure.storage.blob import ContainerClient  # noqa: PLC0415 - only where the landing is in Azure

        place = settings.in_azure
        if place is None:
            raise ValueError("ALTAVIZ_LANDING is a folder")
        limits: Any = {"connection_timeout": CONNECT_SECONDS, "read_timeout": READ_SECONDS, "retry_total": 2}
        connection_string = settings.altaviz_landing_connection_string
        if connection_string is not None:
            self._container = ContainerClient.from_connection_string(
                connection_string.get_secret_value(), place.container, **limits
            )
        else:
            from azure.identity import DefaultAzureCredential  # noqa: PLC0415 - likewise

            self._container = ContainerClient(place.account_url, place.container, DefaultAzureCredential(), **limits)
        self._folder = place.folder

    def create(self, path: str, content: bytes) -> bool:
        """Upload unless there is a blob of the name; the service decides, so any number may try at once."""
        from azure.core.exceptions import AzureError, ResourceExistsError  # noqa: PLC0415 - likewise

        try:
            self._container.upload_blob(f"{self._folder}{path}", content, overwrite=False)
        except ResourceExistsError:
            return False
        except AzureError as failure:
            raise _unavailable(failure) from failure
        return True

    def read(self, path: str) -> bytes:
        """Return the blob's bytes."""
        from azure.core.exceptions import AzureError  # noqa: PLC0415 - likewise

        try:
            return self._container.download_blob(f"{self._folder}{path}").readall()
        except AzureError as failure:
            raise _unavailable(failure) from failure


@cache
def open_landing(settings: LandingSettings) -> Landing:
    """Return the landing that the settings name, one for the whole process."""
    return FolderLanding(Path(settings.altaviz_landing)) if settings.in_azure is None else BlobLanding(settings)


def _unavailable(failure: Exception) -> UnavailableError:
    """Say in the log what failed, in words that hold no secret."""
    code = getattr(failure, "error_code", None) or getattr(failure, "strerror", None)
    logger.error("the landing does not take or give a file: %s %s", type(failure).__name__, code or "")
    return UnavailableError(NOT_NOW)
