"""E-mail: plain text over SMTP, encrypted except to this machine, with a password only where nobody listens."""

from __future__ import annotations

import contextlib
import hashlib
import smtplib
import ssl
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, make_msgid

from churn.notices import delivery
from churn.notices.channels import Mail, is_loopback, mail_server
from churn.notices.delivery import UndeliveredError, unreachable
from churn.notices.notice import Message, one_line

_SUBJECT, _LINE = 200, 900


def deliver(message: Message, channel: Mail, password: str) -> str:
    """Hands it to the mail server; gives what was wrong although some got it, or nothing.

    Raises UndeliveredError, also when no recipient was accepted."""
    letter = compose(message, channel)
    try:
        with contextlib.closing(_connected(channel, password)) as server:
            refused = server.send_message(letter, channel.sender, channel.to)
            with contextlib.suppress(smtplib.SMTPException, OSError):
                server.quit()
    except smtplib.SMTPRecipientsRefused as error:
        code = max(code for code, _ in error.recipients.values())
        raise UndeliveredError(f"it refused every recipient ({code})", _again(code)) from None
    except smtplib.SMTPAuthenticationError as error:
        raise UndeliveredError(
            f"it does not know the user or the password ({error.smtp_code})", _again(error.smtp_code)
        ) from None
    except smtplib.SMTPResponseException as error:
        raise UndeliveredError(
            f"it answered {error.smtp_code}: {_said(error.smtp_error)}", _again(error.smtp_code)
        ) from None
    except smtplib.SMTPServerDisconnected:
        raise UndeliveredError("it hung up", 0.0) from None
    except smtplib.SMTPException as error:
        raise UndeliveredError(f"it cannot do that: {error}", None) from None
    except OSError as error:
        raise unreachable(error) from None
    return f"it refused {len(refused)} of {len(channel.to)} recipients" if refused else ""


def compose(message: Message, channel: Mail) -> EmailMessage:
    """The letter. Whatever a title holds, it stays in its header; mails of one thing form one thread."""
    notice = message.notice
    domain = channel.sender.partition("@")[2]
    letter = EmailMessage(policy=SMTP)
    letter["Subject"] = one_line(f"[{notice.severity}] {notice.title}", _SUBJECT)
    letter["From"] = channel.sender
    letter["To"] = ", ".join(channel.to)
    letter["Date"] = format_datetime(notice.at)
    letter["Message-ID"] = make_msgid(domain=domain)
    letter["References"] = f"<{hashlib.sha256(notice.key.encode()).hexdigest()[:32]}@{domain}>"
    letter["Auto-Submitted"] = "auto-generated"
    letter.set_content("".join(f"{one_line(line, _LINE)}\n" for line in (notice.title, "", *message.facts)))
    return letter


def _connected(channel: Mail, password: str) -> smtplib.SMTP:
    host, port, is_tls = mail_server(channel.server)
    context = ssl.create_default_context()
    if is_tls:
        server: smtplib.SMTP = smtplib.SMTP_SSL(host, port, timeout=delivery.TIMEOUT_S, context=context)
    else:
        server = smtplib.SMTP(host, port, timeout=delivery.TIMEOUT_S)
    try:
        if not is_tls and ((server.ehlo() and server.has_extn("starttls")) or not is_loopback(host)):
            server.starttls(context=context)
        if channel.user:
            server.login(channel.user, password)
    except BaseException:
        server.close()
        raise
    return server


def _again(code: int) -> float | None:
    return 0.0 if 400 <= code < 500 else None


def _said(answer: bytes | str) -> str:
    return answer.decode(errors="replace") if isinstance(answer, bytes) else answer
