"""Which tests run in the same process of pytest-xdist, and which run first.

A file is a unit, since its tests share what its fixtures have started; so are files that start the same services. The
longest units run first, so that the last one is short and no process waits for it.
"""

from typing import Any, Final

from xdist.scheduler import LoadScopeScheduling

TOGETHER: Final = {
    "tests/integration/test_recovery_commits.py": "tests/integration/test_realtime_service.py",
    "tests/integration/test_chaos.py": "tests/voxtral/test_service.py",
    "tests/gpu/test_serve.py": "tests/integration/test_realtime_service.py",
    "tests/integration/test_access_dialects.py": "tests/integration/test_access.py",
    "tests/integration/test_access_limits.py": "tests/integration/test_access.py",
    "tests/browser/test_speaking.py": "tests/browser/test_resuming.py",
    "tests/browser/test_docs.py": "tests/browser/test_captions.py",
    "tests/browser/test_key.py": "tests/browser/test_captions.py",
}
"""Files that run with another one, so that model libraries, a service with keys or a browser are started once."""

LONGEST_FIRST: Final = (
    "tests/integration/test_whisper_speech.py",
    "tests/integration/test_whisper_engine.py",
    "tests/integration/test_realtime_engine.py",
    "tests/browser/test_resuming.py",
    "tests/integration/test_realtime_service.py",
    "tests/browser/test_captions.py",
    "tests/integration/test_recovery.py",
    "tests/integration/test_redis_outage.py",
    "tests/integration/test_frontends_endure.py",
    "tests/integration/test_launch.py",
    "tests/integration/test_cli.py",
    "tests/browser/test_page.py",
    "tests/voxtral/test_service.py",
    "tests/integration/test_cluster.py",
    "tests/integration/test_recovery_speech.py",
    "tests/integration/test_sentinel.py",
    "tests/integration/test_whisper_keyterms.py",
    "tests/integration/test_api_audio.py",
    "tests/integration/test_webhooks.py",
    "tests/browser/test_accessibility.py",
    "tests/integration/test_frontends_refuse.py",
    "tests/browser/test_documents.py",
    "tests/integration/test_bench_speech.py",
    "tests/integration/test_documented_commands.py",
    "tests/integration/test_asyncapi.py",
    "tests/integration/test_api_endures.py",
    "tests/integration/test_spreading.py",
    "tests/integration/test_access.py",
    "tests/integration/test_api_documents.py",
    "tests/voxtral/test_transcribing.py",
    "tests/voxtral/test_drafts.py",
    "tests/browser/test_firefox.py",
    "tests/voxtral/test_engine.py",
    "tests/integration/test_realtime_compiled.py",
    "tests/integration/test_memory_returned.py",
    "tests/integration/test_javascript_client.py",
    "tests/integration/test_openai_realtime.py",
    "tests/integration/test_mistral_realtime.py",
    "tests/integration/test_draining.py",
    "tests/integration/test_speakers.py",
    "tests/integration/test_whisper_models.py",
    "tests/unit/worker/engines/voxtral_realtime/test_attention_choice.py",
    "tests/integration/test_decoding.py",
    "tests/integration/test_realtime_operations.py",
    "tests/integration/test_models.py",
    "tests/integration/test_health.py",
    "tests/tiny/test_checkpoint.py",
    "tests/gpu/test_check.py",
    "tests/integration/test_client_resumes.py",
    "tests/integration/test_realtime_recall.py",
    "tests/integration/test_realtime_kernels_compile.py",
    "tests/voxtral/test_chunks.py",
    "tests/voxtral/test_steps.py",
    "tests/integration/test_ownership_model.py",
    "tests/integration/test_compose.py",
    "tests/integration/test_damaged_recordings.py",
)
"""Measured with `--durations=0`. The others follow, ordered by the number of their tests."""


class LongestFirst(LoadScopeScheduling):
    """Gives a free process the longest remaining unit."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return TOGETHER.get(file, file)

    def _assign_work_unit(self, node: Any) -> None:
        self.workqueue.move_to_end(min(self.workqueue, key=self._place), last=False)
        super()._assign_work_unit(node)

    def _place(self, unit: str) -> tuple[int, int]:
        if unit in LONGEST_FIRST:
            return LONGEST_FIRST.index(unit), 0
        return len(LONGEST_FIRST), -len(self.workqueue[unit])
