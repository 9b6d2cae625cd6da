"""Does whoever runs it hear of trouble?"""

import pytest
from peers.outgoing import desk_in, mail

from postroom.errors import ConfigError


def tell(desk, title="Mail waits in quarantine", text=("Two mails.", "Look at: postroom inbound list")):
    with desk.store.write() as connection:
        return desk.notifier.tell_operator(connection, title, text)


def test_the_operator_gets_plain_words_that_nobody_need_answer(tmp_path):
    with desk_in(tmp_path, "[operator]\naddress = 'root@example.com'\n[smtp]\nhostname = 'mail.example.com'") as desk:
        assert tell(desk)
        (delivery,) = desk.outbox("operator")
        message = desk.mail(delivery)
        assert (delivery.recipient, delivery.ticket_id, delivery.automatic) == ("root@example.com", None, True)
        assert message["Subject"] == "[Postroom] Mail waits in quarantine"
        assert message["Auto-Submitted"] == "auto-generated"
        assert message["Reply-To"] is None
        text = message.get_body(("plain",)).get_content().replace("\r\n", "\n")
        assert "Two mails.\n\nLook at: postroom inbound list\n" in text
        assert text.rstrip().endswith("Postroom on mail.example.com")


def test_without_an_address_nothing_is_sent(tmp_path):
    with desk_in(tmp_path) as desk:
        assert not tell(desk)
        assert desk.outbox() == []


def test_he_is_written_to_in_his_language(tmp_path):
    with desk_in(tmp_path, "[operator]\naddress = 'root@example.com'\nlanguage = 'de'") as desk:
        tell(desk)
        assert "Postroom auf " in desk.mail(desk.outbox("operator")[0]).get_body(("plain",)).get_content()


def test_a_title_is_no_place_for_headers(tmp_path):
    with desk_in(tmp_path, "[operator]\naddress = 'root@example.com'") as desk:
        tell(desk, title="x\r\nBcc: all@example.net")
        message = desk.mail(desk.outbox("operator")[0])
        assert message["Bcc"] is None
        assert message["Subject"] == "[Postroom] x Bcc: all@example.net"


def test_an_address_that_is_none_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match=r"operator\.address"), desk_in(tmp_path, "[operator]\naddress = 'root'"):
        pass


def test_an_answer_to_it_is_part_of_no_ticket(tmp_path):
    with desk_in(tmp_path, "[operator]\naddress = 'root@example.com'") as desk:
        desk.receive(mail())
        tell(desk)
        (delivery,) = desk.outbox("operator")
        assert desk.signer.read_message_id(delivery.email_message_id.partition("@")[0]) == 0
