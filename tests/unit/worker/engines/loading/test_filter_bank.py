"""The mel filters are those of the checkpoints' own extractors."""

import numpy as np
import pytest
from transformers import VoxtralRealtimeFeatureExtractor, WhisperFeatureExtractor

from worker.engines.loading.filter_bank import filter_bank


@pytest.mark.parametrize("extractor_class", [VoxtralRealtimeFeatureExtractor, WhisperFeatureExtractor])
def test_filters_equal_those_of_the_extractor(extractor_class: type) -> None:
    extractor = extractor_class(feature_size=128)
    filters = filter_bank(sample_rate_hz=16_000, n_fft=400, n_mels=128).numpy()
    assert filters.dtype == np.float32
    np.testing.assert_allclose(filters, extractor.mel_filters.T, rtol=0, atol=1e-8)
