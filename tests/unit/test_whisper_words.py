from worker.engines.whisper.words import TimedWord, spread_words, timed_words, word_groups


def test_word_groups_join_marks_to_their_words() -> None:
    assert word_groups([" He", ",", " no", "."]) == [range(2), range(2, 4)]
    assert word_groups([" said", ' "', "yes", "."]) == [range(1), range(1, 4)]
    assert word_groups([]) == []


def test_timed_words_end_where_the_next_begins() -> None:
    alignments = [(0, 5), (0, 6), (1, 10), (2, 15), (3, 20)]
    assert timed_words([" old", " house", "."], [1, 1, 1], alignments, 9000) == (
        TimedWord(" old", 1600, 3200),
        TimedWord(" house.", 3200, 6400),
    )


def test_timed_words_stay_in_order_and_in_the_audio() -> None:
    words = timed_words([" a", " b"], [1, 1], [(0, 9), (1, 4), (2, 99)], 3200)
    assert words == (TimedWord(" a", 2880, 2880), TimedWord(" b", 2880, 3200))


def test_spread_words_fills_the_audio_in_proportion_to_the_letters() -> None:
    words = spread_words([" one", " seventeen", "."], 1500)
    assert words == (TimedWord(" one", 0, 400), TimedWord(" seventeen.", 400, 1500))
    assert spread_words([], 1500) == ()
