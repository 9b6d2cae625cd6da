from postroom.outbound.headers import MAX_FIELD, bounded_references, message_ids, one_line, parameter


def test_few_references_are_all_kept():
    assert bounded_references(["root@a", "next@b", "next@b", "last@c"]) == ("root@a", "next@b", "last@c")


def test_many_references_keep_the_root_and_the_newest_and_fit_one_line():
    ids = [f"{'x' * 40}{number}@example.org" for number in range(100)]
    kept = bounded_references(ids)
    assert kept[0] == ids[0]
    assert list(kept[1:]) == ids[-(len(kept) - 1) :]
    assert 10 < len(kept) < 100
    assert len(message_ids("References", kept)) <= MAX_FIELD


def test_what_is_no_message_id_is_left_out():
    assert bounded_references(["two words@example.org", "no-at-sign", "a@b\r\nBcc: c@d", "good@example.org"]) == (
        "good@example.org",
    )
    assert message_ids("References", ["bad id@x"]) == ""


def test_one_long_reference_alone_is_kept():
    assert bounded_references([f"{'x' * 450}@{'y' * 450}", "small@example.org"])[0].startswith("xxx")


def test_controls_and_line_ends_become_blanks():
    assert one_line("a\r\n\tb\0c\u2028d\x85e") == "a b c d e"


def test_a_parameter_cannot_leave_its_quotes():
    assert parameter("filename", 'a"; evil="b\\') == ';\r\n filename="a\\"; evil=\\"b\\\\"'
