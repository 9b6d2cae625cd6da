"""`postroom parse`, run as its users run it."""

import json
import subprocess
import sys
from pathlib import Path

EMAILS = Path(__file__).parents[1] / "emails"
GMAIL, PGP = str(EMAILS / "gmail-reply.eml"), str(EMAILS / "pgp-signed.eml")


def run(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "postroom", "parse", *arguments], input=stdin, capture_output=True, check=False
    )


def test_json_is_one_object_a_line_in_the_order_of_the_files() -> None:
    done = run("--json", GMAIL, PGP)
    first, second = (json.loads(line) for line in done.stdout.decode().splitlines())
    assert done.returncode == 0
    assert (first["file"], second["file"]) == (GMAIL, PGP)
    assert first["from"] == [{"name": "Zoë Köhler", "address": "zoe.koehler@example.net"}]
    assert first["date"] == "2026-11-25T09:11:02Z"
    assert (first["kind"], first["automatic"]["isAutomatic"], first["bounce"], first["forwarded"]) == (
        "message",
        False,
        None,
        None,
    )
    assert [attachment["filename"] for attachment in second["attachments"]] == ["signature.asc"]


def test_an_unreadable_file_is_a_line_with_an_error_and_exit_1() -> None:
    done = run("--json", "/no/such/file.eml", PGP)
    first, second = (json.loads(line) for line in done.stdout.splitlines())
    assert done.returncode == 1
    assert first == {"file": "/no/such/file.eml", "error": "No such file or directory"}
    assert second["subject"] == "signed request"
    assert done.stderr.decode() == "postroom: /no/such/file.eml: No such file or directory\n"


def test_a_dash_is_standard_input() -> None:
    done = run("--json", "-", stdin=b"Subject: from a pipe\n\nx")
    assert json.loads(done.stdout)["subject"] == "from a pipe"


def test_a_bare_text_has_its_reply_read() -> None:
    done = run("--json", "--text", "-", stdin=b"Jo, geht.\n\nAm 25.11.2026 um 10:00 schrieb Ann:\n> geht es?\n")
    read = json.loads(done.stdout)
    assert (read["replyText"], read["html"]) == ("Jo, geht.", None)


def test_a_bare_html_has_its_text_read() -> None:
    done = run("--json", "--html", "-", stdin=b"<p>Yes.</p><script>x</script>")
    read = json.loads(done.stdout)
    assert (read["text"], read["html"]) == ("Yes.", "<p>Yes.</p>")


def test_a_person_sees_headers_and_reply_and_nothing_that_a_terminal_obeys() -> None:
    done = run("-", stdin=b"From: Ann <ann@example.org>\nSubject: \x1b[31mred\n\nhello \x1b]0;x\x07there\n")
    shown = done.stdout.decode()
    assert "From:        Ann <ann@example.org>" in shown
    assert "hello" in shown
    assert "\x1b" not in shown
    assert "\x07" not in shown


def test_without_a_file_the_usage_is_wrong() -> None:
    assert run().returncode == 2
