"""Bounces that follow no standard, one for each mail system: as those write them, with our own names in them."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from postroom.parsers import mime
from postroom.parsers.automatic import classify
from postroom.parsers.parsed import Kind

ORIGINAL = """\
Return-Path: <desk@support.example>
Received: from out.support.example (out.support.example [192.0.2.7])
\tby mx.example.net with ESMTP id q1A2b3; Tue, 3 Mar 2026 10:15:00 +0100
Message-ID: <original.1@support.example>
From: Support <desk@support.example>
To: Ann <ann@example.net>
Subject: Your request

Dear Ann,
"""


class Form(NamedTuple):
    system: str
    sender: str
    subject: str
    body: str
    recipients: list[tuple[str, str, str | None]]  # address, action, status


DAEMON = "Mail Delivery Subsystem <MAILER-DAEMON@mx.example.net>"

FORMS = [
    Form(
        "qmail",
        "MAILER-DAEMON@mx.example.net",
        "failure notice",
        """\
Hi. This is the qmail-send program at mx.example.net.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

<ann@example.net>:
Sorry, no mailbox here by that name. (#5.1.1)

<bob@example.net>:
user is over quota

--- Below this line is a copy of the message.

"""
        + ORIGINAL,
        [("ann@example.net", "failed", "5.1.1"), ("bob@example.net", "failed", "5.2.2")],
    ),
    Form(
        "qmail, an answer of a remote host",
        "MAILER-DAEMON@mx.example.net",
        "failure notice",
        """\
Hi. This is the qmail-send program at mx.example.net.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

<ann@example.net>:
203.0.113.9 does not like recipient.
Remote host said: 550 <ann@example.net>: Recipient address rejected: User unknown in virtual mailbox table
Giving up on 203.0.113.9.

--- Below this line is a copy of the message.

"""
        + ORIGINAL,
        [("ann@example.net", "failed", "5.1.1")],
    ),
    Form(
        "Exim",
        "Mail Delivery System <Mailer-Daemon@mx.example.net>",
        "Mail delivery failed: returning message to sender",
        """\
This message was created automatically by mail delivery software.

A message that you sent could not be delivered to one or more of its
recipients. This is a permanent error. The following address(es) failed:

  ann@example.net
    host mail.example.net [203.0.113.9]
    SMTP error from remote mail server after RCPT TO:<ann@example.net>:
    550 5.1.1 <ann@example.net>: Recipient address rejected: User unknown
  bob@example.com
    retry timeout exceeded

------ This is a copy of the message, including all the headers. ------

"""
        + ORIGINAL,
        [("ann@example.net", "failed", "5.1.1"), ("bob@example.com", "failed", "4.4.7")],
    ),
    Form(
        "Exim, sent by another",
        "Mail Delivery System <Mailer-Daemon@mx.example.net>",
        "Mail delivery failed: returning message to sender",
        """\
This message was created automatically by mail delivery software.

A message sent by

  <desk@support.example>

could not be delivered to one or more of its recipients. The following
address(es) failed:

  ann@example.net
    (generated from info@example.org)
    Unrouteable address

------ This is a copy of the message, including all the headers. ------

"""
        + ORIGINAL,
        [("ann@example.net", "failed", "5.1.0")],
    ),
    Form(
        "Exim, a warning",
        "Mail Delivery System <Mailer-Daemon@mx.example.net>",
        "Warning: message 1abcDE-0001Xy-Zz delayed 24 hours",
        """\
This message was created automatically by mail delivery software.
A message that you sent has not yet been delivered to one or more of its
recipients after more than 24 hours on the queue on mx.example.net.

The message identifier is:     1abcDE-0001Xy-Zz
The subject of the message is: Your request
The date of the message is:    Tue, 3 Mar 2026 10:15:00 +0100

The address to which the message has not yet been delivered is:

  ann@example.net
    Delay reason: connection timed out

No action is required on your part. Delivery attempts will continue for
some time, and this warning may be repeated at intervals if the message
remains undelivered.
""",
        [("ann@example.net", "delayed", "4.4.1")],
    ),
    Form(
        "Sendmail, before DSN",
        DAEMON,
        "Returned mail: User unknown",
        """\
The original message was received at Tue, 3 Mar 2026 10:15:00 +0100
from out.support.example [192.0.2.7]

   ----- The following addresses had permanent fatal errors -----
<ann@example.net>

   ----- Transcript of session follows -----
... while talking to mail.example.net.:
>>> RCPT To:<ann@example.net>
<<< 550 5.1.1 <ann@example.net>... User unknown
550 <ann@example.net>... User unknown

   ----- Original message follows -----

"""
        + ORIGINAL,
        [("ann@example.net", "failed", "5.1.1")],
    ),
    Form(
        "Sendmail, over quota",
        DAEMON,
        "Returned mail: see transcript for details",
        """\
The original message was received at Tue, 3 Mar 2026 10:15:00 +0100
from localhost [127.0.0.1]

   ----- The following addresses had permanent fatal errors -----
<ann@example.net>
    (reason: 552 5.2.2 Over quota)

   ----- Transcript of session follows -----
... while talking to mail.example.net.:
>>> DATA
<<< 552 5.2.2 Over quota
554 5.0.0 Service unavailable
<<< 503 5.5.1 No recipients

   ----- Message header follows -----

"""
        + ORIGINAL,
        [("ann@example.net", "failed", "5.2.2")],
    ),
    Form(
        "Postfix, without a report",
        "MAILER-DAEMON@mx.example.net (Mail Delivery System)",
        "Undelivered Mail Returned to Sender",
        """\
This is the mail system at host mx.example.net.

I'm sorry to have to inform you that your message could not
be delivered to one or more recipients. It's attached below.

For further assistance, please send mail to postmaster.

If you do so, please include this problem report. You can
delete your own text from the attached returned message.

                   The mail system

<ann@example.net>: host mail.example.net[203.0.113.9] said: 550 5.7.1
    <ann@example.net>: Recipient address rejected: Access denied (in reply to
    RCPT TO command)

<bob@gone.example>: Host or domain name not found. Name service error for
    name=gone.example type=A: Host not found
""",
        [("ann@example.net", "failed", "5.7.1"), ("bob@gone.example", "failed", "5.1.2")],
    ),
    Form(
        "Exchange 5.5",
        "System Administrator <postmaster@example.net>",
        "Undeliverable: Your request",
        """\
Your message

  To:      'ann@example.net'
  Subject: Your request
  Sent:    Tue, 3 Mar 2026 10:15:00 +0100

did not reach the following recipient(s):

ann@example.net on Tue, 3 Mar 2026 10:16:00 +0100
    The recipient name is not recognized
\tThe MTS-ID of the original message is: c=us;a= ;p=example;l=EX01-260303091600Z-12
    MSEXCH:IMS:Example:SITE:EX01 0 (000C05A6) Unknown Recipient
""",
        [("ann@example.net", "failed", "5.1.1")],
    ),
    Form(
        "Exchange 2003",
        "System Administrator <postmaster@example.net>",
        "Undeliverable: Your request",
        """\
Your message did not reach some or all of the intended recipients.

      Subject:\tYour request
      Sent:\t3/3/2026 10:15 AM

The following recipient(s) could not be reached:

      ann@example.net on 3/3/2026 10:16 AM
            The e-mail account does not exist at the organization this message was sent to.  Check the e-mail address, or contact the recipient directly to find out the correct address.
            <mx.example.net #5.1.1>
""",
        [("ann@example.net", "failed", "5.1.1")],
    ),
    Form(
        "Exchange 2007 and later, text only",
        "Microsoft Exchange <MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@example.net>",
        "Undeliverable: Your request",
        """\
Delivery has failed to these recipients or groups:

Ann (ann@example.net)<mailto:ann@example.net>
The e-mail address you entered couldn't be found. Please check the recipient's e-mail address and try to resend the message.

Diagnostic information for administrators:

Generating server: mx.example.net

ann@example.net
#550 5.1.1 RESOLVER.ADR.RecipNotFound; not found ##

Original message headers:

"""
        + ORIGINAL,
        [("ann@example.net", "failed", "5.1.1")],
    ),
    Form(
        "Office 365",
        "postmaster@example.net",
        "Undeliverable: Your request",
        """\
Your message to ann@example.net couldn't be delivered.

ann wasn't found at example.net.

desk\tOffice 365\tann
Action Required\t\tRecipient

Unknown To address

How to Fix It
The address may be misspelled or may not exist.

Original Message Details
Created Date:\t3/3/2026 9:15:00 AM
Sender Address:\tdesk@support.example
Recipient Address:\tann@example.net
Subject:\tYour request

Error Details
Reported error:\t550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient ann@example.net not found by SMTP address lookup
DSN generated by:\tAM0PR01MB1234.eurprd01.prod.example.com
""",
        [("ann@example.net", "failed", "5.1.10")],
    ),
    Form(
        "IIS SMTP service",
        "postmaster@example.net",
        "Delivery Status Notification (Failure)",
        """\
This is an automatically generated Delivery Status Notification.

Delivery to the following recipients failed.

       ann@example.net
       bob@example.net

""",
        [("ann@example.net", "failed", None), ("bob@example.net", "failed", None)],
    ),
    Form(
        "Lotus Domino",
        "Postmaster@example.net",
        "DELIVERY FAILURE: User ann (ann@example.net) not listed in Domino Directory",
        """\
Your message

  Subject: Your request

was not delivered to:

  ann@example.net

because:

  User ann (ann@example.net) not listed in Domino Directory
""",
        [("ann@example.net", "failed", "5.1.1")],
    ),
    Form(
        "GroupWise",
        "Mailer-Daemon@example.net",
        "Message status - undeliverable",
        """\
The message that you sent was undeliverable to the following:
\tann@example.net (user not found)
\tbob@example.net (mailbox is full)

Possibly truncated original message follows:
""",
        [("ann@example.net", "failed", "5.1.1"), ("bob@example.net", "failed", "5.2.2")],
    ),
    Form(
        "Google, before DSN",
        "Mail Delivery Subsystem <mailer-daemon@googlemail.com>",
        "Delivery Status Notification (Failure)",
        """\
Delivery to the following recipient failed permanently:

     ann@example.net

Technical details of permanent failure:
Google tried to deliver your message, but it was rejected by the recipient domain. We recommend contacting the other email provider for further information about the cause of this error. The error that the other server returned was: 550 550 5.1.1 <ann@example.net>: Recipient address rejected: User unknown (state 14).

   ----- Original message -----

"""
        + ORIGINAL,
        [("ann@example.net", "failed", "5.1.1")],
    ),
    Form(
        "Google, today's text",
        "Mail Delivery Subsystem <mailer-daemon@googlemail.com>",
        "Delivery Status Notification (Failure)",
        """\
** Address not found **

Your message wasn't delivered to ann@example.net because the address couldn't be found, or is unable to receive mail.

Learn more here: https://support.google.com/mail/answer/6596

The response was:

550 5.1.1 The email account that you tried to reach does not exist. Please try double-checking the recipient's email address for typos or unnecessary spaces.
""",
        [("ann@example.net", "failed", "5.1.1")],
    ),
    Form(
        "Yahoo",
        "MAILER-DAEMON@yahoo.com",
        "Delivery failure",
        """\
Message from yahoo.com.
Unable to deliver message to the following address(es).

<ann@yahoo.com>:
This user doesn't have a yahoo.com account (ann@yahoo.com) [0]

<bob@yahoo.com>:
Sorry your message to bob@yahoo.com cannot be delivered. This account is over quota.

--- Original message follows.

"""
        + ORIGINAL,
        [("ann@yahoo.com", "failed", "5.1.1"), ("bob@yahoo.com", "failed", "5.2.2")],
    ),
    Form(
        "AOL",
        "Mail Delivery Subsystem <MAILER-DAEMON@aol.com>",
        "Mail Delivery Problem",
        """\
Sorry desk@support.example. Your mail to the following recipients could not be delivered because they are not accepting mail from support.example:
\tann
""",
        [("ann@aol.com", "failed", "5.2.1")],
    ),
    Form(
        "Amazon SES, without a report",
        "MAILER-DAEMON@email.amazonses.com",
        "Delivery Status Notification (Failure)",
        """\
An error occurred while trying to deliver the mail to the following recipients:
ann@example.net

Technical report:

Reporting-MTA: dsn; a8-31.smtp-out.amazonses.com

Action: failed
Final-Recipient: rfc822; ann@example.net
Diagnostic-Code: smtp; 552 5.2.2 mailbox full
Status: 5.2.2
""",
        [("ann@example.net", "failed", "5.2.2")],
    ),
    Form(
        "Mimecast",
        '"postmaster" <postmaster@example.net>',
        "[Postmaster] Email Delivery Failure",
        """\
This is an automated alert notification. Please do not reply.

An email that you attempted to send to the following address could not be delivered:
-- ann@example.net

The problem appears to be :
-- Recipient email address is possibly incorrect

Additional information follows :
-- 5.1.1 Recipient address rejected: User unknown

This condition occurred after 1 attempt(s) to deliver over
a period of 0 hour(s).

If you require further information, please contact the Service Desk at helpdesk@example.net.
""",
        [("ann@example.net", "failed", "5.1.1")],
    ),
    Form(
        "Barracuda",
        "MAILER-DAEMON <>",
        "**Message you sent blocked by our bulk email filter**",
        """\
Your message to: ann@example.net
was blocked by our Spam Firewall. The email you sent with the following subject has NOT BEEN DELIVERED:

Subject: Your request
""",
        [("ann@example.net", "failed", "5.7.1")],
    ),
    Form(
        "MessageLabs",
        "MAILER-DAEMON@messagelabs.com",
        "Mail Delivery Failure",
        """\
This is the mail delivery agent at messagelabs.com.
I was not able to deliver your message to the following addresses.

<ann@example.net>:
203.0.113.9 does not like recipient.
Remote host said: 550 Invalid recipient <ann@example.net>

--- Below this line is a copy of the message.

"""
        + ORIGINAL,
        [("ann@example.net", "failed", "5.1.1")],
    ),
    Form(
        "MailMarshal",
        "postmaster@example.net",
        'Undeliverable Mail: "Your request"',
        """\
Your message:
   From:    desk@support.example
   Subject: Your request

Could not be delivered because of

550 5.1.1 User unknown

The following recipients were affected:
    ann@example.net

Additional Information
======================
Original Sender:    <desk@support.example>
Remote-MTA:         <203.0.113.9>
""",
        [("ann@example.net", "failed", "5.1.1")],
    ),
    Form(
        "IMail",
        "Postmaster <postmaster@example.net>",
        "Undeliverable Mail",
        """\
User mailbox exceeds allowed size: ann@example.net

Original message follows.

"""
        + ORIGINAL,
        [("ann@example.net", "failed", "5.2.2")],
    ),
    Form(
        "IMail, unknown",
        "Postmaster <postmaster@example.net>",
        "Undeliverable Mail",
        """\
Unknown user: ann@example.net

RCPT TO generated following response:
550 no such address

Original message follows.

"""
        + ORIGINAL,
        [("ann@example.net", "failed", "5.1.1")],
    ),
    Form(
        "Courier",
        "Courier mail server at mx.example.net <@>",
        "NOTICE: mail delivery status.",
        """\
This is a delivery status notification from mx.example.net,
running the Courier mail server, version 1.3.

The original message was received on Tue, 3 Mar 2026 10:15:00 +0100
from out.support.example (out.support.example [192.0.2.7])

---------------------------------------------------------------------------

                           UNDELIVERABLE MAIL

Your message to the following recipients cannot be delivered:

<ann@example.net>:
    mail.example.net [203.0.113.9]:
>>> RCPT TO:<ann@example.net>
<<< 550 User unknown.

---------------------------------------------------------------------------

If your message was also sent to additional recipients, their delivery
status is not included in this report.
""",
        [("ann@example.net", "failed", "5.1.1")],
    ),
    Form(
        "Zoho",
        "mailer-daemon@mail.zoho.com",
        "Undelivered Mail Returned to Sender",
        """\
This message was created automatically by mail delivery software.
A message that you sent could not be delivered to one or more of its recipients. This is a permanent error.

ann@example.net Invalid Address, ERROR_CODE :550, ERROR_CODE :5.1.1 <ann@example.net>: Recipient address rejected: User unknown

""",
        [("ann@example.net", "failed", "5.1.1")],
    ),
    Form(
        "GMX and 1&1",
        '"Mail Delivery System" <mailer-daemon@kundenserver.example>',
        "Mail delivery failed: returning message to sender",
        """\
This message was created automatically by mail delivery software.

A message that you sent could not be delivered to one or more of
its recipients. This is a permanent error. The following address
failed:

"ann@example.net":
SMTP error from remote server after RCPT command:
host: mail.example.net
5.1.1 <ann@example.net>: Recipient address rejected: unknown user

--- The header of the original message is following. ---

"""
        + ORIGINAL,
        [("ann@example.net", "failed", "5.1.1")],
    ),
    Form(
        "MDaemon",
        "MDaemon at mx.example.net <MDaemon@mx.example.net>",
        "MDaemon Warning - Recipient not found",
        """\
The following addresses did NOT receive a copy of your message:

> ann@example.net

--- Session Transcript ---
Attempting SMTP connection to [203.0.113.9:25]
<-- 550 5.1.1 ann@example.net... User unknown
--- End Transcript ---
""",
        [("ann@example.net", "failed", "5.1.1")],
    ),
    Form(
        "Smail",
        "<MAILER-DAEMON@mx.example.net>",
        "mail failed, returning to sender",
        """\
|------------------------- Message log follows: -------------------------|
 no valid recipients were found for this message
|------------------------- Failed addresses follow: ---------------------|
 ann@example.net ... unknown host
|------------------------- Message text follows: ------------------------|
"""
        + ORIGINAL,
        [("ann@example.net", "failed", "5.1.2")],
    ),
    Form(
        "InterScan VirusWall",
        "postmaster@mx.example.net",
        "Mail could not be delivered",
        """\
****** Message from InterScan E-Mail VirusWall NT ******

Sent <<< RCPT TO:<ann@example.net>
Received >>> 550 unknown user <ann@example.net>

Unable to deliver message to <ann@example.net>.

**************** End of message ***************
""",
        [("ann@example.net", "failed", "5.1.1")],
    ),
    Form(
        "Netscape Messaging Server",
        "Mail Administrator <Postmaster@example.net>",
        "Mail System Error - Returned Mail",
        """\
This Message was undeliverable due to the following reason:

The user(s) account is temporarily over quota.

<ann@example.net>

Please reply to <Postmaster@example.net>
if you feel this message to be in error.
""",
        [("ann@example.net", "failed", "5.2.2")],
    ),
    Form(
        "Sun and Oracle Messaging Server",
        "Internet Mail Delivery <postmaster@mx.example.net>",
        "Delivery Notification: Delivery has failed",
        """\
This report relates to a message you sent with the following header fields:

  Message-id: <original.1@support.example>
  Date: Tue, 03 Mar 2026 10:15:00 +0100
  From: Support <desk@support.example>
  To: ann@example.net
  Subject: Your request

Your message cannot be delivered to the following recipients:

  Recipient address: ann@example.net
  Reason: Remote SMTP server has rejected address
  Diagnostic code: smtp;550 5.1.1 unknown or illegal alias: ann@example.net
""",
        [("ann@example.net", "failed", "5.1.1")],
    ),
    Form(
        "hMailServer",
        "mailer-daemon@mx.example.net",
        "Message undeliverable: Your request",
        """\
Your message did not reach some or all of the intended recipients.

   Sent: Tue, 3 Mar 2026 10:15:00 +0100
   Subject: Your request

The following recipient(s) could not be reached:

ann@example.net
   Error Type: SMTP
   Remote server (203.0.113.9) issued an error.
   hMailServer sent: RCPT TO:<ann@example.net>
   Remote server replied: 550 5.1.1 unknown recipient

hMailServer
""",
        [("ann@example.net", "failed", "5.1.1")],
    ),
    Form(
        "OpenSMTPD",
        "Mailer Daemon <MAILER-DAEMON@mx.example.net>",
        "Delivery status notification: error",
        """\
    Hi!

    This is the MAILER-DAEMON, please DO NOT REPLY to this e-mail.

    An error has occurred while attempting to deliver a message for
    the following list of recipients:

ann@example.net: 550 5.2.1 <ann@example.net>... Mailbox disabled

    Below is a copy of the original message:

"""
        + ORIGINAL,
        [("ann@example.net", "failed", "5.2.1")],
    ),
    Form(
        "Japanese carrier, EZweb",
        "Postmaster@ezweb.ne.jp",
        "Mail System Error - Returned Mail",
        """\
次のあて先へのメッセージはエラーのため送信できませんでした。

送信先メールアドレスが見つかりませんでした。
メールアドレスをご確認の上、再送信してください。

Each of the following recipients was rejected by a remote
mail server.

    Recipient: <ann@ezweb.ne.jp>
    >>> RCPT TO:<ann@ezweb.ne.jp>
    <<< 550 <ann@ezweb.ne.jp>: User unknown
""",
        [("ann@ezweb.ne.jp", "failed", "5.1.1")],
    ),
    Form(
        "Japanese carrier, docomo",
        "Mail System <mail-daemon@docomo.ne.jp>",
        "Undelivered Mail Returned to Sender",
        """\
This is the mail system at host docomo.ne.jp.

I'm sorry to have to inform you that your message could not
be delivered to one or more recipients.

<ann@docomo.ne.jp>: 550 Unknown user ann@docomo.ne.jp (in reply to end of DATA command)
""",
        [("ann@docomo.ne.jp", "failed", "5.1.1")],
    ),
    Form(
        "X.400 gateway",
        "postmaster@gw.example.net",
        "Non-Delivery Notification",
        """\
Your message was not delivered to:

ann@example.net

for the following reason:

Recipient name is not recognized (1), Diagnostic code: unrecognised-OR-name
""",
        [("ann@example.net", "failed", "5.1.1")],
    ),
    Form(
        "mail.ru",
        "mailer-daemon@corp.mail.ru",
        "Mail failure.",
        """\
This message was created automatically by mail delivery software.

A message that you sent could not be delivered to one or more of its
recipients. This is a permanent error. The following address(es) failed:

ann@mail.ru
    Message was not accepted -- invalid mailbox.  Local mailbox ann@mail.ru is unavailable: user not found

**********************
Это письмо создано автоматически сервером Mail.Ru, отвечать на него не нужно.
""",
        [("ann@mail.ru", "failed", "5.1.1")],
    ),
    Form(
        "QQ",
        "PostMaster@qq.com",
        "系统退信/Systems bounce",
        """\
抱歉，您的邮件被退回来了……

原邮件信息：
时间 2026-03-03 10:15:00
收件人 ann@example.net
退信原因 收件人邮件地址（ann@example.net）不存在，邮件无法送达。
host mail.example.net[203.0.113.9] said: 550 5.1.1 User unknown
""",
        [("ann@example.net", "failed", "5.1.1")],
    ),
    Form(
        "T-Online, in German",
        "Mailsystem <mailer-daemon@t-online.example>",
        "Unzustellbare Nachricht",
        """\
|------------------------- Failed addresses follow: ---------------------|
 <ann@example.net> ... unbekannter Empfänger
|------------------------- Message header follows: ----------------------|
"""
        + ORIGINAL,
        [("ann@example.net", "failed", "5.1.1")],
    ),
    Form(
        "Exchange, in German",
        "postmaster@example.net",
        "Unzustellbar: Ihre Anfrage",
        """\
Fehler bei der Nachrichtenzustellung an folgende Empfänger oder Gruppen:

ann@example.net
Die eingegebene E-Mail-Adresse konnte nicht gefunden werden.

Diagnoseinformationen für Administratoren:

Generierender Server: mx.example.net

ann@example.net
Remote Server returned '550 5.1.1 RESOLVER.ADR.RecipNotFound; not found'

Ursprüngliche Nachrichtenkopfzeilen:

"""
        + ORIGINAL,
        [("ann@example.net", "failed", "5.1.1")],
    ),
    Form(
        "A hosted Exchange, in French",
        "Microsoft Outlook <postmaster@example.net>",
        "Non remis : Votre demande",
        """\
Échec de la remise pour ces destinataires ou groupes :

ann@example.net
La boîte aux lettres du destinataire est pleine et ne peut pas accepter de messages pour le moment.

Informations de diagnostic pour les administrateurs :

Générant le serveur : mx.example.net

ann@example.net
Remote Server returned '554 5.2.2 mailbox full'
""",
        [("ann@example.net", "failed", "5.2.2")],
    ),
    Form(
        "CommuniGate Pro",
        "<MAILER-DAEMON@mx.example.net>",
        "Undeliverable mail: Your request",
        """\
Failed to deliver to 'ann@example.net'
SMTP module(domain mail.example.net) reports:
 host mail.example.net says:
 550 5.1.1 unknown user
""",
        [("ann@example.net", "failed", "5.1.1")],
    ),
    Form(
        "usa.net",
        "Mail Delivery Service <mailer-daemon@mx.example.net>",
        "Returned mail",
        """\
Your message could not be delivered.

Intended Recipient:  ann@example.net

The recipient's mailbox is full.

--------RETURNED MAIL FOLLOWS--------

"""
        + ORIGINAL,
        [("ann@example.net", "failed", "5.2.2")],
    ),
]


def message(form: Form) -> bytes:
    text = f"""\
Return-Path: <>
From: {form.sender}
To: desk@support.example
Subject: {form.subject}
Date: Tue, 3 Mar 2026 10:16:00 +0100
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

{form.body}"""
    return text.encode()


@pytest.mark.parametrize("form", FORMS, ids=[form.system for form in FORMS])
def test_a_notice_of_each_mail_system_is_a_bounce_of_its_recipients(form: Form) -> None:
    found = classify(mime.read_tree(message(form)), form.body)
    assert found.kind is Kind.BOUNCE
    assert found.bounce is not None
    assert [(r.address, r.action, r.status) for r in found.bounce.recipients] == form.recipients
    assert found.automatic.is_automatic


@pytest.mark.parametrize("form", FORMS, ids=[form.system for form in FORMS])
def test_a_notice_is_recognised_where_return_path_was_not_kept(form: Form) -> None:
    raw = message(form).partition(b"\n")[2]
    found = classify(mime.read_tree(raw), form.body)
    assert found.kind is Kind.BOUNCE


@pytest.mark.parametrize("form", FORMS, ids=[form.system for form in FORMS])
def test_a_customer_who_pastes_a_notice_wrote_a_message(form: Form) -> None:
    raw = message(form).partition(b"\n")[2].replace(form.sender.encode(), b"Ann <ann@customer.example>", 1)
    found = classify(mime.read_tree(raw), f"I got this, what does it mean?\n\n{form.body}")
    assert found.kind is Kind.MESSAGE
    assert not found.automatic.is_automatic


@pytest.mark.parametrize("form", FORMS, ids=[form.system for form in FORMS])
def test_the_original_is_found_where_its_headers_are_in_the_text(form: Form) -> None:
    if "original.1@" not in form.body:
        return
    bounce = classify(mime.read_tree(message(form)), form.body).bounce
    assert bounce is not None
    assert bounce.original_message_id == "original.1@support.example"
