"""Which names in a note are a colleague's, and of which is its writer told that they are nobody's?"""

import time

import pytest

from postroom.outbound.mentions import Colleague, misnamed, named

BERT = Colleague("bert", "Bert Brand", "b.brand@example.com")
CORA = Colleague("cora", "Cora Schmidt", "cora@example.com")
DESK = [BERT, CORA]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        # nearly a colleague's, wherever it stands
        ("can @bret look?", ["bret"]),
        ("can you look (@corra)?", ["corra"]),
        ("ask @Schmitt.", ["schmitt"]),
        ("ask @schmidt, he knows", ["schmidt"]),  # a title's word is no name
        ("ask @b.brand", ["b.brand"]),
        ("for @corra@example.com", ["corra@example.com"]),
        # spoken to at the beginning of a line
        ("@helga, can you look?", ["helga"]),
        ("@helga can you look?", ["helga"]),
        ("@Änne: bitte ansehen", ["änne"]),
        ("Done.\n@helga please", ["helga"]),
        ("@cora, @bert and @helga: can you look?", ["helga"]),
        ("@helga und @tom: bitte", ["helga", "tom"]),
        ("Hi @helga, can you look?", ["helga"]),
        ("@all please read this", ["all"]),
        ("@helga", ["helga"]),
        # colleagues
        ("@cora, @bert: can you look? (@CORA!)", []),
        ("for @cora@example.com", []),
        # no colleague was meant
        ("they wrote as @acme_support on the net", []),
        ("the rule @media is missing", []),
        ("@media print is missing", []),
        ("@media screen and (max-width: 600px) {", []),
        ("@import url(x.css);", []),
        ("@font-face { src: url(x) }", []),
        ("@param name the name", []),
        ("@Override", []),
        ("@SpringBootTest(classes = App.class)", []),
        ("    @corra = true", []),
        ("\t@corra", []),
        ("```\n@helga\n@corra\n```\ndone", []),
        ("~~~\n@helga", []),
        ("run `@corra` again", []),
        ("> @helga, can you look?", []),
        ("mail corra@example.com", []),
        ("mailto:x@corra", []),
        ("https://medium.example/@corra", []),
        ("npm i @corra/core", []),
        ("root@corra:~#", []),
        ("git@corra.example:x.git", []),
        ("toot to @corra@social.example", []),
        ("SELECT @corra=1", []),
        ("$x = @$corra", []),
        ("@1corra", []),
        ("@@corra", []),
        ("@ corra", []),
        ("@" + "x" * 41 + " look", []),
        ("", []),
    ],
)  # fmt: skip
def test_a_name_of_nobodys_is_told_where_a_colleague_was_surely_meant(text, names):
    assert misnamed(text, DESK) == names


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("@cora, @Bert.", {"cora", "bert"}),
        ("(@cora)", {"cora"}),
        ("@cora@example.com.", {"cora@example.com"}),
        ("x@cora", set()),
        ("@cora/@bert", {"cora", "bert"}),
    ],
)
def test_who_is_named_is_told_wherever_his_name_stands(text, names):
    assert named(text) == names


@pytest.mark.parametrize(
    "text", ["@a" * 50_000, "`" * 100_000, "@a and " * 20_000, "@a, " * 30_000 + "{", "~~~\n" * 30_000]
)
def test_it_takes_no_longer_than_the_text_is_long(text):
    began = time.process_time()
    misnamed(text, DESK)
    named(text)
    assert time.process_time() - began < 30  # quadratic in it would be minutes
