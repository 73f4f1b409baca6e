"""Tasks: ways to lay an utterance down as a training example."""

from valle_data.registry import Table

TASKS = Table("task", {"tts": "valle_data.tasks.tts:TextToSpeech", "tts-c": "valle_data.tasks.continuation:Continuation"})
