"""Files and folders on whatever file system Spark reaches, seen from the driver."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from pyspark.sql import SparkSession

from etl_job.decode import Delivery


def existing(session: SparkSession, paths: Iterable[str]) -> list[str]:
    """Return, fully qualified, those of the paths that are there."""
    found: list[str] = []
    for given in paths:
        system, path = _located(session, given)
        if system.exists(path):
            found.append(system.makeQualified(path).toString())
    return found


def deliveries(session: SparkSession, folder: str) -> Iterator[Delivery]:
    """Read the files under a folder on the driver; for data that stay small, a job of Spark's costs more."""
    context: Any = session.sparkContext
    system, path = _located(session, folder)
    listed = system.listFiles(path, True)  # noqa: FBT003 - Hadoop's signature
    while listed.hasNext():
        status = listed.next()
        if not status.getPath().getName().startswith((".", "_")):
            stream = system.open(status.getPath())
            content = bytes(context._jvm.org.apache.commons.io.IOUtils.toByteArray(stream))  # noqa: SLF001 - as below
            stream.close()
            delivered_at = datetime.fromtimestamp(status.getModificationTime() / 1000, UTC)
            yield Delivery(status.getPath().toString(), delivered_at, content)


def read_note(session: SparkSession, path: str) -> str | None:
    """Return a small text file's content, None where there is none."""
    found = (file for there in existing(session, [path]) for file in deliveries(session, there))
    return next((file.content.decode() for file in found), None)


def write_note(session: SparkSession, path: str, text: str) -> None:
    """Write a small text file."""
    system, place = _located(session, path)
    stream = system.create(place, True)  # noqa: FBT003 - Hadoop's signature
    stream.write(bytearray(text.encode()))
    stream.close()


def remove_note(session: SparkSession, path: str) -> None:
    """Remove a file."""
    system, place = _located(session, path)
    system.delete(place, False)  # noqa: FBT003 - Hadoop's signature


def _located(session: SparkSession, given: str) -> tuple[Any, Any]:
    """Return a path and the file system that it is on, both Hadoop's."""
    context: Any = session.sparkContext
    path = context._jvm.org.apache.hadoop.fs.Path(given)  # noqa: SLF001 - the only way to Hadoop's file systems
    return path.getFileSystem(context._jsc.hadoopConfiguration()), path  # noqa: SLF001 - likewise
