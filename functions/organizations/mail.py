"""What an invitation says."""

from collections.abc import Mapping
from typing import Any

from functions.mail import Letter


def invitation(invited: Mapping[Any, Any], *, organization_name: str, link: str) -> Letter:
    """Return the letter that takes an invitation's link to the address that was invited."""
    return Letter(
        to=invited["email"],
        subject=f"{organization_name} invites you to Altaviz",
        text=f"{invited['invited_by']} invites you to join {organization_name} on Altaviz as {invited['role']}.\n\n"
        f"To accept, open this link and sign in:\n{link}\n\n"
        f"It works once, until {invited['expires_at']:%Y-%m-%d %H:%M} UTC. Whoever has the link can accept: do not"
        " pass it on. If you did not expect this, do nothing.\n",
    )
