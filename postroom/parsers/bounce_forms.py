"""What bounces look like that follow no standard: the words of each mail system, as tables.

All phrases are lower case, with one blank for any white space, and are looked for in the notice only (never in quoted
lines, never in the copy of the original). A phrase is here because a mail system writes it, and people hardly do.
"""

from __future__ import annotations

# fmt: off

# The notice itself: by mail system, so that a new one finds its place.
NOTICES: tuple[str, ...] = (
    # qmail, netqmail, qmail-ldap, Courier, and those that copied them
    "this is the qmail-send program", "wasn't able to deliver your message", "was not able to deliver your message",
    "this is the machine generated message from mail service", "this is the mail delivery agent at",
    "this is the courier mail server", "the original message was received on",
    # Exim, 1&1 Nemesis, GMX, MX Logic, Smail
    "created automatically by mail delivery software", "created automatically by the mail system",
    "a message that you sent could not be delivered", "a message that you have sent could not be delivered",
    "could not be delivered to one or more", "could not be delivered to all of its recipients",
    "failed addresses follow", "no valid recipients were found",
    # Postfix, OpenSMTPD
    "this is the mail system at host", "this is the postfix program", "this is the mailer-daemon",
    "i'm sorry to have to inform you", "i am sorry to have to inform you", "postfix smtp server: errors",
    # Sendmail, Active!Hunter, LiteMail, Biglobe
    "the original message was received at", "had permanent fatal errors", "had transient non-fatal errors",
    "had delivery problems", "had successful delivery notifications", "transcript of session follows",
    "this is a mime-encapsulated message", "message could not be delivered for",
    # Exchange, Office 365, IIS SMTP, Outlook.com
    "did not reach the following recipient", "did not reach some or all", "delivery has failed to these recipients",
    "this is an automatically generated delivery status notification", "your message wasn't delivered",
    "your message couldn't be delivered", "couldn't be delivered to", "wasn't found at",
    "delivery to the following recipient", "the following recipient(s) could not be reached",
    "the following recipient(s) cannot be reached", "undelivered message to", "rejected your message to",
    "the email below could not be delivered", "generating server:", "the mts-id of the original message",
    "delivery is delayed to these recipients", "delivery of this message to", "remote server returned",
    "was not delivered to:", "your message was not delivered",
    # Lotus Notes, Domino, GroupWise, Novell
    "your document:", "was not delivered to", "undeliverable to the following", "the message that you sent was undeliverable",
    "not listed in domino directory", "the message you sent was not delivered", "undelivered message",
    # Google, Google Groups, Yahoo, AOL, Amazon SES and WorkMail, Facebook, Zoho, iCloud
    "address not found", "message not delivered", "message blocked", "recipient inbox full", "delivery incomplete",
    "your message wasn't delivered to", "delivery to the following recipient failed", "unable to deliver message to",
    "the group you tried to contact", "message rejected by google groups", "mail to the following recipients could not",
    "an error occurred while trying to deliver", "this message could not be delivered",
    "sorry, we were unable to deliver your message", "we were unable to deliver", "invalid user address",
    # Filters: Mimecast, Barracuda, MessageLabs, Symantec, MailMarshal, SurfControl, McAfee, amavis, InterScan
    "this is an automated alert notification", "that you attempted to send", "was blocked by", "has not been delivered",
    "has not been delivered:", "was not relayed to", "could not be delivered because", "recipients were affected",
    "message from interscan", "your message could not be", "was rejected by the recipient", "your email was rejected",
    "this message was blocked", "the message was not delivered", "email rejected", "spam firewall",
    # Sun, iPlanet, Netscape, Oracle, PMDF, MMDF, X.400, CommuniGate, Mercury, IMail, MDaemon, hMailServer, X1…X6
    "this report relates to a message you sent", "your message cannot be delivered", "cannot be delivered to",
    "message was undeliverable", "is undeliverable", "could not be delivered to", "not be delivered to the following",
    "non-delivery report", "non-delivery notification", "delivery report", "did not receive a copy",
    "did not receive this message", "failed to be delivered", "failed to deliver", "failed recipients",
    "failed recipient", "list of failed", "delivery failed", "delivery failure", "delivery has failed",
    "has encountered a delivery problem", "we had trouble delivering", "there was an error sending your mail",
    "undeliverable address", "undeliverable mail", "undelivered mail", "unable to deliver", "unable to be delivered",
    "mailbox exceeds allowed size", "user mailbox", "user's mailbox is full", "not deliverable", "not be delivered",
    "rejected by a remote mail server", "returned to sender", "returned mail", "returning message",
    "permanent error", "permanent failure", "fatal error", "delivery attempt", "intended recipient:",
    "mail could not be delivered", "not been delivered to", "was rejected for the following reason",
    "message status - undeliverable", "that's not a valid user", "was automatically rejected", "have yet to be delivered",
    "receiver not found", "were unknown", "requested action not taken", "mail system error",
    # Still trying
    "this is a warning only", "you do not need to resend", "not yet been delivered", "has been delayed", "is delayed",
    "delivery delayed", "will be retried", "still being retried", "delayed for more than", "delivery status notification",
    "delivery notification",
    # German
    "konnte nicht zugestellt werden", "konnte nicht an", "nicht zugestellt", "unzustellbar", "zustellung fehlgeschlagen",
    "fehler bei der nachrichtenzustellung", "hat einige oder alle empfänger nicht erreicht", "nicht ausgeliefert",
    "folgende empfänger", "zustellung an folgende", "zustellung nicht möglich", "konnte nicht übermittelt werden",
    # French
    "n'a pas pu être remis", "n'a pas pu être délivré", "n'a pas pu être livré", "n'a pas pu être distribué",
    "échec de la remise", "échec de remise", "n'est pas parvenu", "non remis", "impossible de remettre",
    "n'a pas été remis", "n'a pas été délivré", "échec de distribution",
    # Spanish, Portuguese, Italian, Romanian
    "no se pudo entregar", "no se ha podido entregar", "no pudo ser entregado", "error en la entrega",
    "error de entrega", "no se entregó", "la entrega a estos destinatarios", "no se ha entregado", "no fue entregado",
    "não pôde ser entregue", "não foi possível entregar", "falha na entrega", "não foi entregue", "não entregue",
    "non è stato possibile recapitare", "recapito non riuscito", "mancato recapito", "non è stato recapitato",
    "impossibile recapitare", "non consegnato", "consegna non riuscita", "nu a putut fi livrat",
    # Dutch, Swedish, Danish, Norwegian, Finnish
    "kon niet worden bezorgd", "kon niet worden afgeleverd", "niet bezorgd", "bezorging is mislukt", "onbestelbaar",
    "kunde inte levereras", "kunde inte skickas", "går inte att leverera", "kunne ikke leveres", "levering mislykkedes",
    "kan ikke leveres", "toimitus epäonnistui", "ei voitu toimittaa",
    # Polish, Czech, Slovak, Hungarian, Turkish, Greek
    "nie została dostarczona", "nie mogła zostać dostarczona", "nie można dostarczyć", "niepowodzenie dostarczenia",
    "nie mogła być dostarczona", "nebyla doručena", "nelze doručit", "nebylo možné doručit", "nebola doručená",
    "nem kézbesíthető", "kézbesítése sikertelen", "nem sikerült kézbesíteni", "teslim edilemedi", "iletilemedi",
    "δεν ήταν δυνατή η παράδοση", "δεν παραδόθηκε", "αποτυχία παράδοσης",
    # Russian, Ukrainian, Bulgarian
    "не удалось доставить", "не может быть доставлено", "не доставлено", "не было доставлено", "невозможно доставить",
    "ошибка доставки", "сбой доставки", "не вдалося доставити", "не было доставлено",
    # Chinese, Japanese, Korean
    "无法投递", "无法送达", "投递失败", "退信", "未能送达", "发送失败", "未送达", "無法傳遞", "無法送達", "退回", "傳送失敗",
    "配信できません", "配信に失敗", "送信できません", "送信エラー", "配送できません", "配達できません", "届けることができません",
    "エラーのため送信", "返送", "전송되지 않", "배달되지 않", "전달되지 않", "배달하지 못", "반송",
)

# A list that turns a message away: Mailman, fml, Majordomo, ezmlm, Listserv, Sympa. Only from a list's manager.
LIST_REFUSALS: tuple[str, ...] = (
    "your message has been rejected", "is not a member of this mailing list", "you are not a member of", "are not member",
    "you are not subscribed", "not authorized to send", "not allowed to post", "non-member submission", "loop alert",
    "duplicated message-id", "message was not distributed", "has not been distributed", "your message has been refused",
)

# Subjects of bounces, as they begin or as they are; a reply's or forward's prefix takes their weight away.
SUBJECTS: tuple[str, ...] = (
    "failure notice", "failure delivery", "failed delivery", "failed mail", "delivery failure", "delivery failed",
    "delivery error", "delivery problem", "delivery report", "delivery notification", "delivery status",
    "delivery has failed", "delivery delayed", "delayed mail", "delayed:", "undeliverable", "undelivered", "undelivery",
    "unzustellbar", "nondeliverable", "nondelivery", "non-delivery", "non delivery", "not delivered", "non remis",
    "returned mail", "returned message", "returned to sender", "returning message to sender", "mail returned",
    "mail delivery", "mail failed", "mail failure", "mail could not be delivered", "mail system error", "mail error",
    "message delivery", "message status", "message not delivered", "message blocked", "message you sent blocked",
    "could not send message", "could not be delivered", "couldn't be delivered", "unable to deliver", "not deliverable",
    "email delivery failure", "permanent delivery failure", "permanent failure", "bounced mail", "bounce notification",
    "error sending your mail", "error delivering", "errors from", "warning: message", "warning: could not send",
    "mdaemon warning", "mdaemon notification", "nodelivery", "ndn:", "ndr:", "rejected:", "no delivery", "user unknown",
    "sendmail delivery", "successful mail delivery", "relayed:", "expanded:", "delivered:", "message undeliverable",
    "benachrichtung zum übermittlungsstatus", "benachrichtigung zum übermittlungsstatus", "nicht zustellbar",
    "zustellung fehlgeschlagen", "fehlgeschlagene zustellung", "mail nicht zugestellt", "nachricht nicht zugestellt",
    "rückgabe", "échec de la remise", "échec de remise", "non remis", "notification d'état de remise", "non distribué",
    "message non délivré", "non délivré", "no se puede entregar", "no entregado", "error de entrega",
    "notificación de estado de la entrega", "devolución", "não entregue", "não é possível entregar", "falha na entrega",
    "notificação de status de entrega", "não foi possível entregar", "mancato recapito", "non recapitabile",
    "impossibile recapitare", "notifica di stato del recapito", "onbestelbaar", "niet bezorgd", "bezorging mislukt",
    "går inte att leverera", "olevererbart", "kan ikke leveres", "ikke leveret", "ei voi toimittaa", "toimitus epäonnistui",
    "niedostarczon", "nie można dostarczyć", "zwrot", "nedoručitelné", "nedoručiteľné", "nelze doručit", "kézbesíthetetlen",
    "teslim edilemedi", "не доставлено", "недоставленное", "не удается доставить", "ошибка доставки", "недоставлене",
    "退信", "无法送达", "未送达", "投递失败", "系统退信", "無法傳遞", "未傳遞", "配信不能", "配信できません", "配信エラー",
    "送信エラー", "배달되지 않음", "반송", "전송 실패",
)

# Where the copy of the original begins: nothing below is the notice.
ORIGINAL_MARKS: tuple[str, ...] = (
    "below this line is a copy of the message", "enclosed is a copy of the message", "this is a copy of the message",
    "this is a copy of your message", "this is a copy of the headers", "here is a copy of", "here is your returned mail",
    "copy of the message follows", "copy of the original message", "copy of your message follows", "copy of the message header",
    "copy of the message, including", "original message follows", "original message headers", "original message header",
    "original message text", "original message attached", "header of the original message", "----- original message",
    "----original message", "message header follows", "message headers follow", "message text follows",
    "message contents follow", "message body follows", "message that you sent follows", "unsent message",
    "returned message follows", "start of returned message", "start of original message", "returned mail follows",
    "returned message", "your original message:", "your message reads", "old message:", "original mail as follows",
    "original email", "rejected message follows", "the message header was", "end of notice", "original header",
    "content-type: message/rfc822", "content-type: text/rfc822-headers", "content-type: message/global",
    "ursprüngliche nachricht", "originalnachricht", "original-nachricht", "kopie der nachricht", "kopie ihrer nachricht",
    "header der nachricht", "message d'origine", "message original", "en-têtes du message", "mensaje original",
    "encabezados de mensajes", "mensagem original", "cabeçalhos de mensagem", "messaggio originale",
    "intestazioni originali", "oorspronkelijke bericht", "ursprungliga meddelande", "oprindelige meddelelse",
    "oryginalna wiadomość", "původní zpráva", "eredeti üzenet", "исходное сообщение", "оригинал сообщения",
    "原始邮件", "原始郵件", "元のメッセージ", "以下の内容", "원본 메시지",
)

# Labels that name the one who did not get it: `label: address` or `label address`.
RECIPIENT_LABELS: tuple[str, ...] = (
    "recipient", "rcpt", "addressee", "to address", "failed address", "undeliverable", "undelivered", "unknown",
    "mailbox", "user", "userid", "did not reach", "delivery failed", "delivery failure", "failed to deliver",
    "failed", "could not be delivered", "not delivered", "unable to deliver", "deliver to", "delivered to", "message to",
    "mail to", "email to", "sent to", "full", "quota", "exceed", "destination", "destinataire", "destinatario",
    "destinatário", "empfänger", "adressat", "ontvanger", "mottagare", "modtager", "odbiorc", "adresat", "příjemce",
    "címzett", "alıcı", "получател", "адресат", "收件人", "宛先", "받는 사람", "addressed to", "rejected", "blocked",
    "address", "your message:", "no such", "invalid",
)
# … and those that name somebody else.
OTHER_LABELS: tuple[str, ...] = (
    "from", "sender", "reply-to", "reply to", "contact", "postmaster", "support", "help", "assistance", "administrator",
    "message-id", "mail from", "sent by", "return-path", "von", "absender", "expéditeur", "remitente", "mittente",
    "nadawc", "отправител", "発信", "送信者", "发件人", "visit", "abuse", "information", "please send", "forward",
    "original sender", "generated from", "expanded from", "unsubscribe", "on behalf", "write to", "e-mail us",
)

# What stands before the address of one who can help, or who sent the message: no recipient, wherever it is named.
CONTACTS: tuple[str, ...] = (
    "contact", "assistance", "for help", "support", "questions", "more information", "please send", "send mail to",
    "e-mail to the", "report this", "complain", "mail from", "message sent by", "sent by", "sender:", "sender is", "original sender", "sender address", "unsubscribe",
    "from:", "kontakt", "wenden sie sich", "contacter", "póngase en contacto", "entre em contato", "contattare", "skontaktuj",
    "обратитесь", "обращайтесь", "連絡", "問い合わせ", "联系", "聯絡", "문의",
)

# The message is still on its way, or arrived after all.
STILL_TRYING: tuple[str, ...] = (
    "this is a warning only", "warning message only", "do not need to resend", "still being retried", "will be retried",
    "will retry", "will keep trying", "keep trying", "will continue to", "not yet been delivered", "has been delayed",
    "is delayed", "delayed for more than", "delivery delayed", "delivery is delayed", "transient non-fatal errors",
    "temporary failure report", "will try again", "still trying", "not been delivered yet", "delivery will be attempted",
    "no action is required", "delivery incomplete", "verzögert", "retardé", "retrasado", "ritardat", "задерж",
)
GIVEN_UP: tuple[str, ...] = (
    "permanent error", "permanent fatal error", "i've given up", "not going to try again", "giving up", "gave up",
    "has failed", "no further attempts", "will not try", "will not retry", "will be deleted", "returned to sender",
)
ARRIVED: tuple[str, ...] = (
    "was successfully delivered", "has been successfully delivered", "successfully delivered to", "was delivered to the",
    "has been delivered to the", "successful delivery notifications", "your message was delivered",
)
# fmt: on
