"""`tts-c`: continue an utterance whose whole text is given (VALL-E's continual form, Wang et al. 2023, section 5.1)."""

from valle_data.records import Example
from valle_data.tasks.base import Draw, Speech, Task, speech_example


class Continuation(Task):
    """The prompt is the utterance's own beginning, `draw.cut` of its frames."""

    name = "tts-c"

    def example(self, draw: Draw) -> Example:
        cut = int(draw.cut * draw.codes.shape[1])
        speech = Speech(self.name, draw.level, draw.language, draw.phones, draw.codes[:, :cut], draw.codes[:, cut:], text_covers_prompt=True)
        return speech_example(speech, self.layout, draw.row)
