"""The checker of plain English: it finds what it is for, and few other things."""

import pytest
from tests.tools.plain_english import first_words, long_sentences, prose, retired_words

LONG = " ".join(["word"] * 31)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("The image that stands beside it.", ["stands", "beside"]),
        ("A stand-in for the server; the letters stand for sigma.", []),
        ("Data of one's own, taken up from results/.trail.", ["one's own", "taken up"]),
        ("Images outside of the folder are skipped.", []),
    ],
)
def test_retired_words_are_found(text, found):
    assert sorted(complaint.split('"')[1] for _, complaint in retired_words(text)) == sorted(found)


def test_docstrings_begin_with_a_verb_or_a_noun():
    source = '"""Whether it works."""\n\n\ndef f():\n    """Where it is."""\n\n\ndef g():\n    """Whereas nothing."""\n'
    assert [number for number, _ in first_words(source)] == [1, 5]


def test_sentences_are_counted_without_code_and_tables():
    assert len(list(long_sentences(f"Short. {LONG}. Short again."))) == 1
    assert not list(long_sentences("Short: `" + LONG + "` is code."))
    assert not list(long_sentences(prose(f"| {LONG} |\n```\n{LONG}\n```\n# {LONG}\n")))
