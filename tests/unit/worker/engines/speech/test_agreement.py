from worker.engines.speech.agreement import StableText


def heard(*hypotheses: str, held_back_words: int = 1) -> list[str]:
    text = StableText(held_back_words)
    return [" ".join(text.hear(hypothesis.split(), new_audio_s=0.3)) for hypothesis in hypotheses]


def test_hear_holds_back_the_edge_until_two_decodes_agree() -> None:
    assert heard("the old", "the old house", "the old house") == ["", "the old", "the old house"]


def test_hear_keeps_shown_words_through_one_disagreement() -> None:
    assert heard("a b c", "a b c d", "a x y", "a b c d")[-2:] == ["a b c", "a b c"]


def test_hear_replaces_shown_words_when_two_decodes_agree_on_others() -> None:
    assert heard("a b c", "a b c d", "a x y", "a x y z")[-1] == "a x y"


def test_hear_ignores_changes_of_case_and_punctuation() -> None:
    assert heard("we went home", "we went home and slept", "We went, Home and slept")[-1] == "we went home and slept"


def test_hear_shows_no_full_stop_at_the_edge() -> None:
    assert heard("we went", "we went home.", "we went home.")[-1] == "we went home"


def test_hear_believes_no_more_words_than_the_new_audio_holds() -> None:
    assert heard("we went", "we went home and then we all went to bed")[-1] == "we went home and"


def test_hear_shows_everything_when_speech_has_ended() -> None:
    text = StableText(1)
    assert text.hear(["yes."], new_audio_s=0.3, speech_ended=True) == ("yes.",)
