"""A name server on loopback that knows a few records."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

RECORDS = {
    ("x.example.", "TXT"): ['"v=spf1 " "a -all"', '"caf\\233"'],
    ("x.example.", "MX"): ["10 mx.x.example."],
    ("x.example.", "A"): ["192.0.2.1", "192.0.2.2"],
    ("x.example.", "AAAA"): ["2001:db8::1"],
    ("1.2.0.192.in-addr.arpa.", "PTR"): ["mx.x.example."],
}


@contextmanager
def serving(answers: bool = True, more: Mapping[tuple[str, str], list[str]] = {}) -> Iterator[str]:
    """A name server, by its address and port; one that is silent where `answers` is False. `more` are further records."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as door:
        door.bind(("127.0.0.1", 0))

        def serve() -> None:
            while True:
                question, client = door.recvfrom(4096)
                if question == b"end":
                    return
                if answers:
                    door.sendto(_answer(question, {**RECORDS, **more}), client)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"127.0.0.1:{door.getsockname()[1]}"
        finally:
            door.sendto(b"end", door.getsockname())
            thread.join()


def _answer(octets: bytes, records: Mapping[tuple[str, str], list[str]]) -> bytes:
    query = dns.message.from_wire(octets)
    response = dns.message.make_response(query)
    response.flags |= dns.flags.RA
    name, kind = query.question[0].name.to_text(), dns.rdatatype.to_text(query.question[0].rdtype)
    if name == "alias.example.":
        response.answer.append(dns.rrset.from_text(name, 60, "IN", "CNAME", "x.example."))
        name = "x.example."
    if name == "broken.example.":
        response.set_rcode(dns.rcode.SERVFAIL)
    elif (name, kind) in records:
        response.answer.append(dns.rrset.from_text(name, 60, "IN", kind, *records[name, kind]))
    elif name != "x.example.":
        response.set_rcode(dns.rcode.NXDOMAIN)
    return response.to_wire()
