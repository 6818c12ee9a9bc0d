"""`python -m etl_job.java`: is there a Java that Spark can run on? Needs Python alone, so it can be asked first."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from shared_code.errors import SettingsError

OLDEST: Final = 17


def check() -> None:
    """Make sure that there is a Java that Spark can run on.

    Raises:
        SettingsError: there is none, or it is too old; the sentence says what to install.
    """
    home = os.environ.get("JAVA_HOME")
    program = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    found = "none was found"
    if program and Path(program).exists():
        said = subprocess.run([program, "-version"], check=False, capture_output=True, text=True)  # noqa: S603 - asks for the version
        version = re.search(r'version "(?:1\.)?(\d+)', said.stderr + said.stdout)
        if version and int(version.group(1)) >= OLDEST:
            return
        found = f"{program} is version {version.group(1)}" if version else f"{program} does not run"
    raise SettingsError(
        f"Spark needs Java {OLDEST} or newer ({found}): install a JDK, such as Debian's openjdk-17-jre-headless"
    )


if __name__ == "__main__":
    try:
        check()
    except SettingsError as problem:
        sys.exit(f"error: {problem}")
