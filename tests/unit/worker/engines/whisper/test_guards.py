import pytest

from worker.engines.whisper import guards


def test_compression_ratio_distinguishes_loops_from_sentences() -> None:
    assert guards.compression_ratio("and so on " * 20) > guards.COMPRESSION_RATIO_LIMIT
    assert guards.compression_ratio("The library lends books, films, and even musical instruments.") < 1.5
    assert guards.compression_ratio("no no no") == 0


@pytest.mark.parametrize(
    ("text", "log_probability", "hit_cap", "suspect"),
    [
        ("fine", -0.2, False, False),
        ("fine", -0.2, True, True),
        ("fine", -1.2, False, True),
        ("and so on " * 20, -0.2, False, True),
        ("Test. Test. Test. Test. Test. Test.", -0.2, False, False),
    ],
)
def test_is_suspect_names_each_reason(text: str, log_probability: float, hit_cap: bool, suspect: bool) -> None:
    """Few words that are said again and again are no reason: the voice under them decides."""
    assert guards.is_suspect(text, log_probability, hit_cap=hit_cap) is suspect


def test_is_noise_needs_doubt_besides_no_speech() -> None:
    assert guards.is_noise(-1.5, 0.9, 0.9, voiced_windows=12)
    assert not guards.is_noise(-0.3, 0.9, 0.9, voiced_windows=12)
    assert not guards.is_noise(-1.5, 0.9, 0.9, voiced_windows=24)
    assert guards.is_noise(-2.0, 0.9, 0.9, voiced_windows=24)
    assert guards.is_noise(-0.8, 0.1, 0.9, voiced_windows=2)
    assert not guards.is_noise(-0.2, 0.1, 0.9, voiced_windows=2)


def test_likely_words_over_the_telephone_are_no_noise() -> None:
    assert not guards.is_noise(-1.46, 0.67, 0.98, voiced_windows=14)
    assert not guards.is_noise(-1.13, 0.65, 0.5, voiced_windows=15)
    assert guards.is_noise(-1.46, 0.67, 0.3, voiced_windows=14)
    assert guards.is_noise(-1.46, 0.85, 0.98, voiced_windows=14)


def test_short_text_of_guesses_alone_is_noise() -> None:
    assert guards.is_noise(-0.5, 0.5, 0.2, voiced_windows=8)
    assert not guards.is_noise(-0.5, 0.5, 0.3, voiced_windows=8)
    assert not guards.is_noise(-0.5, 0.5, 0.2, voiced_windows=16)


@pytest.mark.parametrize(
    ("before", "text", "repeated"),
    [
        ("", " Good morning. Good morning.", True),
        ("", " volume down, volume down,", True),
        ("", " Bye-bye.", True),
        ("", " Left, left, left, right, left.", True),
        (" Turn right.", " Turn right.", True),
        (" Test, test,", " test.", True),
        ("", " 1-1-1-2", True),
        ("", "さささささささ", True),
        ("", "ありがとう、ありがとう", True),
        ("", "人々人々人々", True),
        ("", " It was very, very cold.", False),
        ("", " Sit down.", False),
        (" Test, test, test.", " That is all.", False),
        ("", "いろいろなものがあります", False),
        ("", " का, का, का", True),
        ("", " का की के", False),
        ("", " ...", False),
        ("", "", False),
    ],
)
def test_repeats_recognises_words_and_sentences_said_again(before: str, text: str, repeated: bool) -> None:
    assert guards.repeats(before, text) is repeated
