"""The corpus that is measured with is what it says, or the figures mean nothing."""

from __future__ import annotations

import email
import importlib.util
import mailbox
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[2] / "bench" / "corpus.py"
COUNT = 1200


@pytest.fixture(scope="module")
def corpus() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bench_corpus", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where its dataclasses look for their annotations
    spec.loader.exec_module(module)
    return module


def test_the_same_seed_makes_the_same_bytes(corpus: ModuleType) -> None:
    first, second, other = (corpus.describe(corpus.make_corpus(60, seed)) for seed in (1, 1, 2))
    assert first == second
    assert first["sha256"] != other["sha256"]


def test_kinds_and_conversations_have_their_shares_and_sizes(corpus: ModuleType) -> None:
    mails = list(corpus.make_corpus(COUNT))
    for kind, share in corpus.KINDS.items():
        sizes = [len(mail.raw) for mail in mails if mail.kind == kind]
        assert len(sizes) == pytest.approx(share * COUNT, rel=0.25, abs=10)
        low, high = corpus.SIZES[kind]
        assert all(low * 0.8 < size < high * 1.1 for size in sizes)
    assert sum(mail.is_new for mail in mails) == pytest.approx(0.4 * COUNT, rel=0.1)


def test_every_message_is_sound_and_names_what_it_answers(corpus: ModuleType) -> None:
    conversation_of: dict[str, str] = {}
    for mail in corpus.make_corpus(300):
        message = email.message_from_bytes(mail.raw)
        assert [defect for part in message.walk() for defect in part.defects] == []
        assert max(map(len, mail.raw.split(b"\r\n"))) < 998
        assert message["Message-ID"] == f"<{mail.message_id}>"
        named = [reference.strip("<>") for reference in (message["References"] or "").split()]
        assert {conversation_of[name] for name in named} == ({mail.conversation} if named else set())
        assert bool(named) is not mail.is_new
        conversation_of[mail.message_id] = mail.conversation


def test_the_mbox_holds_the_same_messages(corpus: ModuleType, tmp_path: Path) -> None:
    mails = list(corpus.make_corpus(50))
    corpus.write_mbox(tmp_path / "corpus.mbox", mails)
    kept = mailbox.mbox(tmp_path / "corpus.mbox", create=False)
    try:
        assert [message["Message-ID"] for message in kept] == [f"<{mail.message_id}>" for mail in mails]
    finally:
        kept.close()
