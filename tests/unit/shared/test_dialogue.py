"""The text of separate channels: by where segments begin, a line for each turn."""

from shared.dialogue import Said, dialogue

SAID = [
    Said(4.0, 1, "Fine."),
    Said(0.0, 0, "Hello."),
    Said(1.5, 0, "How are you?"),
    Said(5.0, 1, "Thanks."),
    Said(5.0, 0, "Good."),
    Said(3.0, 0, ""),
]


def test_turns_are_lines_and_segments_without_text_are_ignored() -> None:
    assert dialogue(SAID) == "Hello. How are you?\nFine.\nGood.\nThanks."
    assert dialogue([]) == ""


def test_labels_name_the_channels() -> None:
    assert dialogue(SAID[:2], labelled=True) == "Channel 0: Hello.\nChannel 1: Fine."
