"""Invitations by e-mail."""

import smtplib
import ssl
from collections.abc import Mapping
from email.message import EmailMessage
from typing import Any, Final

from functions.settings import MailSettings
from shared_code.errors import UnavailableError

TIMEOUT: Final = 10.0
"""Seconds that a mail server may take; the request waits for it."""


def send_invitation(
    settings: MailSettings, invitation: Mapping[Any, Any], *, organization_name: str, link: str
) -> None:
    """Send an invitation's link to the address that was invited.

    Raises:
        UnavailableError: the mail server did not take it.
    """
    message = EmailMessage()
    message["From"] = settings.smtp_from
    message["To"] = invitation["email"]
    message["Subject"] = f"{organization_name} invites you to Altaviz"
    message.set_content(
        f"{invitation['invited_by']} invites you to join {organization_name} on Altaviz as {invitation['role']}.\n\n"
        f"To accept, open this link and sign in:\n{link}\n\n"
        f"It works once, until {invitation['expires_at']:%Y-%m-%d %H:%M} UTC. Whoever has the link can accept: do not"
        " pass it on. If you did not expect this, do nothing.\n"
    )
    try:
        _send(settings, message)
    except (OSError, smtplib.SMTPException):
        raise UnavailableError("the mail server did not take the invitation; nobody was invited") from None


def _send(settings: MailSettings, message: EmailMessage) -> None:
    with smtplib.SMTP(settings.smtp_host or "", settings.smtp_port, timeout=TIMEOUT) as server:
        if settings.smtp_starttls:
            server.starttls(context=ssl.create_default_context())
        if settings.smtp_user and settings.smtp_password:
            server.login(settings.smtp_user, settings.smtp_password.get_secret_value())
        server.send_message(message)
