from shared.word_places import places_of, spelled_words


def test_each_word_is_found_after_the_one_before_it() -> None:
    assert places_of("no no, nobody", ["no", "no,", "nobody"]) == [range(2), range(3, 6), range(7, 13)]
    assert spelled_words(" no no, nobody", ["no", "no,", "nobody"]) == [" no", " no,", " nobody"]
    assert spelled_words("電車で行く", ["電", "車", "で", "行", "く"]) == ["電", "車", "で", "行", "く"]
    assert places_of("", []) == spelled_words("", []) == []


def test_word_that_is_not_there_has_no_place_and_moves_no_other() -> None:
    assert places_of("the fox", ["a", "the", "quick", "fox"]) == [range(0), range(3), range(3, 3), range(4, 7)]
    assert spelled_words(" the fox", ["a", "the", "quick", "fox"]) == ["", " the", "", " fox"]
