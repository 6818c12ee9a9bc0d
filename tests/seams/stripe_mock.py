"""stripe-mock, Stripe's own stand-in: a real process on loopback that refuses what Stripe's description has not.

It is compiled once from the Go module proxy, with the Go that comes as a package, and is kept beside the virtual
environment's packages.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import go

PACKAGE = "github.com/stripe/stripe-mock@v0.203.0"
HOME = Path(sys.prefix) / "stripe-mock"
PROGRAM = HOME / "stripe-mock"
GO = Path(go.__file__).parent / "bin" / "go"


def install() -> None:
    """Compile it where it is missing; of several who do so at once, each puts the same in its place."""
    if PROGRAM.exists():
        return
    HOME.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=HOME) as folder:
        environment = os.environ | {"GOBIN": folder, "GOTOOLCHAIN": "local", "CGO_ENABLED": "0", "GOFLAGS": ""}
        subprocess.run([GO, "install", PACKAGE], env=environment, check=True, capture_output=True, timeout=540)  # noqa: S603 - our own command
        (Path(folder) / PROGRAM.name).replace(PROGRAM)


@contextmanager
def a_stripe_mock() -> Generator[str]:
    """Run it; yields its address."""
    install()
    command = [PROGRAM, "-http-addr", "127.0.0.1:0", "-https-addr", "127.0.0.1:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:  # noqa: S603 - likewise
        try:
            assert running.stdout is not None
            line = next(line for line in running.stdout if "HTTP at address" in line)
            yield f"http://{line.split()[-1]}"
        finally:
            running.terminate()
