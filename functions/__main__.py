"""`python -m functions`: serve the API on this machine."""

import sys
from typing import Annotated, Any

import typer
from sqlalchemy.exc import SQLAlchemyError

from functions.local import DEMO_EMAILS, PortInUseError, listen, serve
from functions.settings import read_settings
from shared_code.errors import AltavizError

program = typer.Typer(add_completion=False)


@program.command()
def main(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 7071,
    *,
    demo: Annotated[bool, typer.Option("--demo", help="Let the demo's two owners sign in by e-mail.")] = False,
) -> None:
    """Serve the API on this machine."""
    defaults: dict[str, Any] = {"altaviz_public_url": f"http://{f'[{host}]' if ':' in host else host}:{port}"}
    if demo:
        defaults |= {"dev_credentials_enabled": True, "dev_credentials_allow_list": ",".join(DEMO_EMAILS)}
    try:
        settings = read_settings(**defaults)
        with listen(host, port) as listener:
            serve(settings, listener)
    except (AltavizError, PortInUseError, SQLAlchemyError) as problem:
        typer.echo(f"error: {problem}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    program()
