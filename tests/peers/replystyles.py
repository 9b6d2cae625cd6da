"""How mail programs answer a mail of ours in HTML and in text: {new} is what was written, {old} the mail that is answered."""

GMAIL = (
    '<div dir="ltr">{new}</div><br><div class="gmail_quote gmail_quote_container"><div dir="ltr" class="gmail_attr">On Tue, 24 Nov 2026 at 12:00, Support '
    '&lt;<a href="mailto:support@example.com">support@example.com</a>&gt; wrote:<br></div><blockquote class="gmail_quote" style="margin:0px 0px 0px 0.8ex;'
    'border-left:1px solid rgb(204,204,204);padding-left:1ex">{old}</blockquote></div>'
)
OUTLOOK = (
    '<html xmlns:o="urn:schemas-microsoft-com:office:office"><head><style>p.MsoNormal{{margin:0cm}}</style></head><body lang="EN-GB"><div class="WordSection1">{new}'
    '<div><div style="border:none;border-top:solid #E1E1E1 1.0pt;padding:3.0pt 0cm 0cm 0cm"><p class="MsoNormal"><b>From:</b> Support &lt;support@example.com&gt;'
    "<br><b>Sent:</b> Tuesday, 24 November 2026 12:00<br><b>To:</b> Ann<br><b>Subject:</b> [T-1001] Printer</p></div></div>{old}</div></body></html>"
)
OUTLOOK_WEB = '<div style="font-family:Calibri">{new}</div><div id="appendonsend"></div><hr><div id="divRplyFwdMsg"><b>From:</b> Support</div>{old}'
APPLE = (
    '<html><body style="overflow-wrap: break-word;">{new}<br><div><br><blockquote type="cite"><div>On 24 Nov 2026, at 12:00, Support &lt;support@example.com&gt; '
    'wrote:</div><br class="Apple-interchange-newline"><div>{old}</div></blockquote></div></body></html>'
)
THUNDERBIRD = (
    '<html><body>{new}<div class="moz-cite-prefix">On 24/11/2026 12:00, Support wrote:<br></div><blockquote type="cite" cite="mid:x@example.com">{old}'
    "</blockquote></body></html>"
)
PROGRAMS = {"gmail": GMAIL, "outlook": OUTLOOK, "outlook-web": OUTLOOK_WEB, "apple": APPLE, "thunderbird": THUNDERBIRD}

GMAIL_DE = GMAIL.replace("On Tue, 24 Nov 2026 at 12:00,", "Am Di., 24. Nov. 2026 um 12:00 Uhr schrieb").replace(
    "&gt; wrote:", "&gt;:"
)
OUTLOOK_DE = (
    OUTLOOK.replace("From:", "Von:").replace("Sent:", "Gesendet:").replace("To:", "An:").replace("Subject:", "Betreff:")
)
APPLE_DE = APPLE.replace("On 24 Nov 2026, at 12:00,", "Am 24.11.2026 um 12:00 schrieb").replace("&gt; wrote:", "&gt;:")
IN_HTML = {**PROGRAMS, "gmail-de": GMAIL_DE, "outlook-de": OUTLOOK_DE, "apple-de": APPLE_DE}

# the same in plain text; "{quoted}" has a mark before each line, "{old}" has none
IN_TEXT = {
    "gmail": "{new}\n\nOn Tue, 24 Nov 2026 at 12:00, Support <support@example.com> wrote:\n\n{quoted}\n",
    "gmail-de": "{new}\n\nAm Di., 24. Nov. 2026 um 12:00 Uhr schrieb Support <support@example.com>:\n\n{quoted}\n",
    "apple": "{new}\n\n> On 24 Nov 2026, at 12:00, Support <support@example.com> wrote:\n> \n{quoted}\n",
    "thunderbird": "{new}\n\nOn 24/11/2026 12:00, Support wrote:\n{quoted}\n",
    "thunderbird-de": "{new}\n\nAm 24.11.26 um 12:00 schrieb Support:\n{quoted}\n",
    "outlook": (
        "{new}\n\nFrom: Support <support@example.com>\nSent: Tuesday, 24 November 2026 12:00\nTo: Cy <cy@customer.example>\n"
        "Subject: Re: Printer on fire\n\n{old}\n"
    ),
    "outlook-old": (
        "{new}\n\n-----Original Message-----\nFrom: Support <support@example.com>\nSent: Tuesday, 24 November 2026 12:00\n"
        "To: Cy <cy@customer.example>\nSubject: Re: Printer on fire\n\n{old}\n"
    ),
    "outlook-de": (
        "{new}\n\nVon: Support <support@example.com>\nGesendet: Dienstag, 24. November 2026 12:00\nAn: Cy <cy@customer.example>\n"
        "Betreff: Re: Printer on fire\n\n{old}\n"
    ),
}  # fmt: skip
