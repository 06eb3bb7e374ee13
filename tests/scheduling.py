"""Which tests run in the same process of pytest-xdist, and which run first.

A file is a unit, since its tests share what its fixtures have started; so are files that start the same services. The
longest units run first, so that the last one is short and no process waits for it.
"""

from typing import Any, Final

from xdist.scheduler import LoadScopeScheduling

TOGETHER: Final = {
    file: head
    for head, files in {
        # model libraries
        "tests/integration/test_realtime_service.py": (
            "tests/gpu/test_serve.py",
            "tests/integration/test_recovery_commits.py",
        ),
        # model libraries
        "tests/voxtral/test_service.py": ("tests/integration/test_chaos.py",),
        # Whisper in this process, without sessions and with them
        "tests/integration/test_onnx_whisper.py": ("tests/integration/test_repeated_speech.py",),
        "tests/integration/test_whisper_engine.py": (
            "tests/integration/test_bench_speech.py",
            "tests/integration/test_whisper_keyterms.py",
            "tests/integration/test_whisper_parallel.py",
            "tests/integration/test_whisper_recordings.py",
            "tests/integration/test_whisper_speech.py",
        ),
        # a service with Whisper
        "tests/integration/test_cli.py": (
            "tests/integration/test_api_audio.py",
            "tests/integration/test_api_endures.py",
            "tests/integration/test_api_models.py",
            "tests/integration/test_api_refusals.py",
            "tests/integration/test_asyncapi.py",
            "tests/integration/test_channels_speech.py",
            "tests/integration/test_client.py",
            "tests/integration/test_frontends_refuse.py",
            "tests/integration/test_mistral_realtime.py",
            "tests/integration/test_openai_realtime.py",
            "tests/integration/test_recording_warnings.py",
            "tests/integration/test_speakers_heard.py",
            "tests/integration/test_worker.py",
            "tests/test_streaming.py",
        ),
        # browsers, a service with Whisper and one with keys
        "tests/browser/test_resuming.py": (
            "tests/browser/test_accessibility.py",
            "tests/browser/test_docs.py",
            "tests/browser/test_documents.py",
            "tests/browser/test_key.py",
            "tests/browser/test_operators.py",
            "tests/browser/test_speaking.py",
            "tests/browser/test_tls.py",
        ),
        # browsers
        "tests/browser/test_page.py": (
            "tests/browser/test_captions.py",
            "tests/browser/test_editing.py",
            "tests/browser/test_files.py",
            "tests/browser/test_firefox.py",
            "tests/browser/test_page_speakers.py",
            "tests/browser/test_recording.py",
            "tests/browser/test_second_pass.py",
        ),
        # services with keys and with TLS
        "tests/integration/test_access.py": (
            "tests/integration/test_access_dialects.py",
            "tests/integration/test_access_limits.py",
            "tests/integration/test_api_head.py",
            "tests/integration/test_api_strays.py",
            "tests/integration/test_damaged_recordings.py",
            "tests/integration/test_deepgram.py",
            "tests/integration/test_erasure_requests.py",
            "tests/integration/test_helm_relations.py",
            "tests/integration/test_hosts.py",
            "tests/integration/test_javascript_client.py",
            "tests/integration/test_operators.py",
            "tests/integration/test_telephony.py",
            "tests/integration/test_tls.py",
            "tests/integration/test_viewers_access.py",
            "tests/integration/test_whisperlive.py",
            "tests/integration/test_wyoming.py",
        ),
    }.items()
    for file in files
}
"""Files that run with another one, so that what they share is started once: it takes processor time while it waits."""

LONGEST_FIRST: Final = (
    "tests/integration/test_whisper_engine.py",
    "tests/integration/test_cli.py",
    "tests/browser/test_resuming.py",
    "tests/integration/test_access.py",
    "tests/integration/test_realtime_service.py",
    "tests/browser/test_page.py",
    "tests/integration/test_frontends_endure.py",
    "tests/integration/test_recovery.py",
    "tests/integration/test_recovery_speech.py",
    "tests/integration/test_launch.py",
    "tests/integration/test_api_documents.py",
    "tests/integration/test_realtime_engine.py",
    "tests/integration/test_redis_outage.py",
    "tests/integration/test_cluster.py",
    "tests/integration/test_documented_commands.py",
    "tests/integration/test_onnx_whisper.py",
    "tests/integration/test_decoding.py",
    "tests/integration/test_realtime_compiled.py",
    "tests/voxtral/test_service.py",
    "tests/integration/test_models.py",
    "tests/voxtral/test_engine.py",
    "tests/voxtral/test_transcribing.py",
    "tests/integration/test_whisper_models.py",
    "tests/integration/test_sentinel.py",
    "tests/integration/test_spreading.py",
    "tests/voxtral/test_compiled.py",
    "tests/integration/test_webhooks.py",
    "tests/integration/test_draining.py",
    "tests/gpu/test_check.py",
    "tests/integration/test_second_pass.py",
    "tests/voxtral/test_answering.py",
    "tests/integration/test_processors.py",
    "tests/integration/test_realtime_loading.py",
    "tests/integration/test_health.py",
    "tests/tiny/test_checkpoint.py",
    "tests/integration/test_memory_returned.py",
    "tests/integration/test_realtime_precision.py",
    "tests/integration/test_speakers.py",
    "tests/integration/test_realtime_keyterms.py",
    "tests/integration/test_sherpa_engine.py",
    "tests/integration/test_client_resumes.py",
    "tests/integration/test_late_device.py",
    "tests/voxtral/test_drafts.py",
    "tests/integration/test_realtime_recall.py",
    "tests/integration/test_realtime_overlap.py",
    "tests/integration/test_channels.py",
    "tests/integration/test_cli_service.py",
    "tests/integration/test_cli_sources.py",
    "tests/integration/test_second_pass_recovery.py",
    "tests/integration/test_frontends.py",
    "tests/integration/test_sherpa_long.py",
    "tests/unit/worker/engines/voxtral_realtime/test_attention_choice.py",
    "tests/integration/test_sherpa_kinds.py",
    "tests/voxtral/test_steps.py",
    "tests/integration/test_realtime_kernels_compile.py",
    "tests/integration/test_helm_chart.py",
    "tests/integration/test_decoders_fail.py",
    "tests/integration/test_access_starts.py",
    "tests/integration/test_realtime_window.py",
    "tests/integration/test_realtime_operations.py",
    "tests/integration/test_crowds.py",
    "tests/integration/test_webhook_clients.py",
    "tests/integration/test_erasure.py",
    "tests/voxtral/test_chunks.py",
    "tests/integration/test_web.py",
    "tests/integration/test_compose.py",
    "tests/integration/test_prometheus.py",
    "tests/integration/test_admission.py",
    "tests/integration/test_wheel.py",
    "tests/integration/test_healthcheck.py",
    "tests/integration/test_cli_interrupts.py",
    "tests/integration/test_model_files.py",
    "tests/integration/test_whisper_models_service.py",
    "tests/integration/test_no_speech.py",
    "tests/integration/test_tracing.py",
    "tests/integration/test_store.py",
    "tests/integration/test_api_padding.py",
    "tests/integration/test_ownership_model.py",
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
