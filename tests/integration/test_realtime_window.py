"""A language model that looks back less far than it was trained to hears as well, as far as the tiny checkpoint shows.

Its window is 128 positions (10.24 s). Scenes are several times as long, so that each ring goes round and round.
"""

import jiwer
import torch

from shared.session_options import SessionOptions
from tests.engine_sessions import drained, plain, text_of
from tests.tiny import scenes
from tests.tiny.checkpoint import TEXT_WINDOW_POSITIONS
from tests.tiny.engine import ENOUGH_SLOTS, loaded_realtime

SPOKEN = [scenes.scene(seed, 24, gap_s=(0.1, 1.2)) for seed in (40, 41)]


def test_words_are_heard_with_half_the_window() -> None:
    window = TEXT_WINDOW_POSITIONS // 2
    threads = torch.get_num_threads()
    engine = loaded_realtime(slots=ENOUGH_SLOTS, text_window=window)
    engine.warm_up()
    assert engine._model._memory.text.length == TEXT_WINDOW_POSITIONS // 2
    for number, spoken in enumerate(SPOKEN):
        assert len(spoken.audio) > 1.5 * TEXT_WINDOW_POSITIONS * 1280
        engine.open(str(number), SessionOptions())
        engine.feed(str(number), spoken.audio)
        engine.finish(str(number))
    heard = drained(engine)
    torch.set_num_threads(threads)
    texts = [plain(text_of(heard[str(number)])) for number in range(len(SPOKEN))]
    assert jiwer.wer([spoken.text for spoken in SPOKEN], texts) <= 0.03
