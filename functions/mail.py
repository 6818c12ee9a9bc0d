"""E-mail, by a mail server (SMTP) or by Azure Communication Services, whichever the settings name."""

import logging
import smtplib
import ssl
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any, Final
from uuid import uuid4

from functions.settings import MailSettings
from shared_code.errors import UnavailableError

TIMEOUT: Final = 10.0
"""Seconds that a mail server may take; the request waits for it."""
NOT_TAKEN: Final = "the mail server did not take the e-mail; try again later"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Letter:
    """A text for one address."""

    to: str
    subject: str
    text: str


def send(settings: MailSettings, letter: Letter) -> None:
    """Hand a letter to whoever delivers it, and wait until it is taken, not until it has arrived.

    Raises:
        UnavailableError: it was not taken; the log says why, in words that hold no secret.
    """
    if settings.by_azure:
        _send_by_azure(settings, letter)
    else:
        _send_by_smtp(settings, letter)


def _send_by_smtp(settings: MailSettings, letter: Letter) -> None:
    message = EmailMessage()
    message["From"] = settings.smtp_from
    message["To"] = letter.to
    message["Subject"] = letter.subject
    message.set_content(letter.text)
    try:
        with smtplib.SMTP(settings.smtp_host or "", settings.smtp_port, timeout=TIMEOUT) as server:
            if settings.smtp_starttls:
                server.starttls(context=ssl.create_default_context())
            if settings.smtp_user and settings.smtp_password:
                server.login(settings.smtp_user, settings.smtp_password.get_secret_value())
            server.send_message(message)
    except (OSError, smtplib.SMTPException) as failure:
        raise _not_taken(failure) from None


def _send_by_azure(settings: MailSettings, letter: Letter) -> None:
    from azure.core.exceptions import AzureError  # noqa: PLC0415 - time that other requests need not spend

    message = {
        "senderAddress": settings.acs_sender,
        "recipients": {"to": [{"address": letter.to}]},
        "content": {"subject": letter.subject, "plainText": letter.text},
    }
    try:
        with _azure_client(settings) as client:
            # The id makes a repeat by the SDK one e-mail. Taken is enough: nobody waits for the delivery's report.
            client.begin_send(message, polling=False, operation_id=str(uuid4()))
    except (AzureError, ValueError) as failure:
        raise _not_taken(failure) from None


def _azure_client(settings: MailSettings) -> Any:  # noqa: ANN401 - imported where it is needed
    from azure.communication.email import EmailClient  # noqa: PLC0415 - likewise

    limits: Any = {"connection_timeout": TIMEOUT / 2, "read_timeout": TIMEOUT, "retry_total": 1}
    if settings.acs_connection_string is not None:
        return EmailClient.from_connection_string(settings.acs_connection_string.get_secret_value(), **limits)  # pyright: ignore[reportUnknownMemberType] - half typed
    from azure.identity import DefaultAzureCredential  # noqa: PLC0415 - likewise

    return EmailClient(settings.acs_endpoint or "", DefaultAzureCredential(), **limits)


def _not_taken(failure: Exception) -> UnavailableError:
    code = getattr(failure, "status_code", None) or getattr(failure, "smtp_code", None) or ""
    logger.error("an e-mail was not taken: %s %s", type(failure).__name__, code)
    return UnavailableError(NOT_TAKEN)
