"""`tts`: speak a text in the voice of a prompt whose own text is not given."""

import numpy as np

from valle_data.records import Example
from valle_data.tasks.base import Draw, Speech, Task, speech_example


class TextToSpeech(Task):
    """The prompt is a stretch of another utterance of the speaker, or nothing (then any voice will do)."""

    name = "tts"

    def example(self, draw: Draw) -> Example:
        prompt = draw.prompt if draw.prompt is not None else np.zeros((len(draw.codes), 0), dtype=np.int64)
        speech = Speech(self.name, draw.level, draw.language, draw.phones, prompt, draw.codes, text_covers_prompt=False)
        return speech_example(speech, self.layout, draw.row)
