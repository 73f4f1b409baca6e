"""Everything that can go wrong, by name: exit codes, reason codes and the exceptions that carry them.

A message states the rule, the offending value and the remedy. `valle explain CODE` prints what is written here.
"""

from dataclasses import dataclass
from enum import IntEnum, StrEnum


class ExitCode(IntEnum):
    """What a `valle` process tells the shell."""

    DONE = 0  # also: nothing was left to do
    RUN_FAILED = 1
    USAGE = 2  # a wrong command line or configuration
    TOO_MANY_QUARANTINED = 3
    ENVIRONMENT = 4  # a missing package, program or device
    PREEMPTED = 75  # the same command resumes
    INTERRUPTED = 130


class ReasonCode(StrEnum):
    """Why an utterance, a shard or a run was refused."""

    NOT_AUDIO = "not_audio"
    TRUNCATED_AUDIO = "truncated_audio"
    BAD_HEADER = "bad_header"
    EMPTY_AUDIO = "empty_audio"
    SILENT_AUDIO = "silent_audio"
    CLIPPED_AUDIO = "clipped_audio"
    NON_FINITE_AUDIO = "non_finite_audio"
    TOO_LONG = "too_long"
    TOO_SHORT = "too_short"
    NO_SPEECH = "no_speech"
    BAD_TIMESTAMPS = "bad_timestamps"
    ASR_SUSPECT = "asr_suspect"
    MISSING_TEXT = "missing_text"
    TEXT_EMPTY = "text_empty"
    TEXT_TOO_LONG = "text_too_long"
    TEXT_NOT_UTF8 = "text_not_utf8"
    TEXT_MARKUP = "text_markup"
    TEXT_UNSPEAKABLE = "text_unspeakable"
    TEXT_WRONG_LANGUAGE = "text_wrong_language"
    TEXT_NOT_ALIGNED = "text_not_aligned"
    UNKNOWN_LANGUAGE = "unknown_language"
    DUPLICATE_ID = "duplicate_id"
    DUPLICATE_AUDIO = "duplicate_audio"
    UNMATCHED_PATH = "unmatched_path"
    CODE_OUT_OF_RANGE = "code_out_of_range"
    UNKNOWN_PHONE = "unknown_phone"
    UNSAFE_MEMBER = "unsafe_member"
    CORRUPT_ARCHIVE = "corrupt_archive"
    CORRUPT_SHARD = "corrupt_shard"
    MISSING_SHARD = "missing_shard"
    FOREIGN_SHARD = "foreign_shard"
    BAD_ROW = "bad_row"
    DATASET_MISMATCH = "dataset_mismatch"
    OUTPUT_LOCKED = "output_locked"
    SOURCE_CHANGED = "source_changed"
    STORAGE_FAILED = "storage_failed"
    DECODER_CRASHED = "decoder_crashed"
    DECODER_TIMEOUT = "decoder_timeout"
    WORKER_CRASHED = "worker_crashed"
    WORKER_TIMEOUT = "worker_timeout"
    WORKER_OUT_OF_MEMORY = "worker_out_of_memory"
    BROKEN_CHECKPOINT = "broken_checkpoint"
    CHECKPOINT_MISMATCH = "checkpoint_mismatch"
    NON_FINITE_LOSS = "non_finite_loss"


@dataclass(frozen=True)
class Explanation:
    """What a reason code means and what its user can do about it."""

    meaning: str
    remedy: str


EXPLANATIONS: dict[ReasonCode, Explanation] = {
    ReasonCode.NOT_AUDIO: Explanation(
        "The file is not audio: empty, a web page, random bytes, a directory or a link that leads nowhere.",
        "Look at the path in the message; download or export the recording again.",
    ),
    ReasonCode.TRUNCATED_AUDIO: Explanation(
        "The file ends before the number of frames its header declares.", "Copy or download the recording again; a cut file is never used."
    ),
    ReasonCode.BAD_HEADER: Explanation(
        "The header declares something no speech recording has (0 Hz, 255 channels, more frames than the file can hold).",
        "Export the recording again with an ordinary sample rate (8-192 kHz) and one or two channels.",
    ),
    ReasonCode.EMPTY_AUDIO: Explanation("The recording has no samples, or next to none.", "Remove the file or record it again."),
    ReasonCode.SILENT_AUDIO: Explanation("Every sample is zero or the same value.", "Check the microphone channel (`channel` in the corpus configuration)."),
    ReasonCode.CLIPPED_AUDIO: Explanation(
        "A large share of the samples sits at full scale, or lies beyond it.", "Record at a lower level, or raise `decode.max_clipped_fraction`."
    ),
    ReasonCode.NON_FINITE_AUDIO: Explanation(
        "The samples contain NaN, infinity or absurd values.", "Export the recording again as 16-bit or float audio in -1..1."
    ),
    ReasonCode.TOO_LONG: Explanation("The recording is longer than `decode.max_duration_s`.", "Cut it into utterances, or raise the limit."),
    ReasonCode.TOO_SHORT: Explanation("The recording is shorter than `decode.min_duration_s`.", "Remove it, or lower the limit."),
    ReasonCode.NO_SPEECH: Explanation(
        "Nobody speaks in the recording, or not long enough to be an utterance.", "Listen to it; lower `threshold` or `min_duration_s` of the segmenter."
    ),
    ReasonCode.BAD_TIMESTAMPS: Explanation(
        "The timestamps of a recording cannot be read, or do not fit it.", "Correct the file in the message: times go up and end with the recording."
    ),
    ReasonCode.ASR_SUSPECT: Explanation(
        "The recognised text is probably not what was said: it loops, stands on silence, or is too long or too short for the recording.",
        "Listen to it and write the text yourself, take a larger recogniser, or keep such utterances with `transcribe.suspects: mark`.",
    ),
    ReasonCode.TEXT_NOT_ALIGNED: Explanation(
        "The words of the transcript were not found in the recording.", "Check that the two belong together and that the language is right."
    ),
    ReasonCode.MISSING_TEXT: Explanation("The recording has no transcript.", "Put the text beside the recording or name it in the corpus table."),
    ReasonCode.TEXT_EMPTY: Explanation("The transcript is empty, or nothing speakable is left of it.", "Write what is said in the recording."),
    ReasonCode.TEXT_TOO_LONG: Explanation("The transcript is longer than `phonemize.max_characters`.", "Cut the recording into utterances."),
    ReasonCode.TEXT_NOT_UTF8: Explanation("The transcript is not UTF-8.", "Save the file as UTF-8."),
    ReasonCode.TEXT_MARKUP: Explanation("The transcript carries markup (SSML, espeak `[[ ]]`), which would be executed instead of read.", "Remove the markup."),
    ReasonCode.TEXT_UNSPEAKABLE: Explanation("The phonemizer found nothing to say in the transcript.", "Check the text and its language."),
    ReasonCode.TEXT_WRONG_LANGUAGE: Explanation(
        "The transcript has letters of a script that its language is not written in, such as Cyrillic in German.",
        "Name the language of the text in the corpus, or leave it out there and turn on the stage `language`.",
    ),
    ReasonCode.UNKNOWN_LANGUAGE: Explanation(
        "The phonemizer has no such language.", "Use a BCP 47 tag such as en-us or de; `valle doctor` lists what is installed."
    ),
    ReasonCode.DUPLICATE_ID: Explanation("Two files would get the same utterance id.", "Rename one of the two paths in the message."),
    ReasonCode.DUPLICATE_AUDIO: Explanation("The same recording occurs twice under two names.", "Remove one, or set `duplicate_audio: keep`."),
    ReasonCode.UNMATCHED_PATH: Explanation(
        "A path does not fit the corpus pattern, or a filter of the corpus fits nothing.", "Change `corpus.pattern` or the filter, or move the file."
    ),
    ReasonCode.CODE_OUT_OF_RANGE: Explanation(
        "A code is not below the codebook size of the codec.", "The data was written by another codec or is damaged: prepare it again."
    ),
    ReasonCode.UNKNOWN_PHONE: Explanation(
        "A phone is not in the vocabulary of the model or data set.", "Prepare with the same phonemizer and version, or extend the vocabulary."
    ),
    ReasonCode.UNSAFE_MEMBER: Explanation(
        "An archive holds a path that leaves its folder, a link, a device or a pickle.", "Nothing was written or run. Do not use archives from such a source."
    ),
    ReasonCode.CORRUPT_ARCHIVE: Explanation(
        "An archive or packed table of a corpus is cut or damaged; what could be read of it is used.", "Download or copy the file in the message again."
    ),
    ReasonCode.CORRUPT_SHARD: Explanation(
        "A checksum of a shard or index does not match what was committed.",
        "Run `valle repair DATASET --dry-run`: it says what can be put back, made again or salvaged, and what `valle prepare` has to make anew.",
    ),
    ReasonCode.MISSING_SHARD: Explanation(
        "A committed part has lost one of its files.", "Restore it, or run `valle repair DATASET --rebuild` and then `valle prepare` again."
    ),
    ReasonCode.FOREIGN_SHARD: Explanation(
        "A file in `shards/` belongs to no commit record or to another data set.", "Readers ignore it; `valle repair DATASET` moves it away."
    ),
    ReasonCode.BAD_ROW: Explanation(
        "A row of a corpus table or of an index has a missing or impossible value.",
        "Correct the row of the table; where it is an index, remove the part named in the message and run `valle prepare` again.",
    ),
    ReasonCode.DATASET_MISMATCH: Explanation(
        "Two things that must agree (codec, weights, phonemizer, vocabulary, schema) do not.",
        "Prepare the data again, or choose the checkpoint that belongs to it.",
    ),
    ReasonCode.OUTPUT_LOCKED: Explanation(
        "Another run is writing to this folder.", "Wait for it or stop it; `--take-over` removes the lock of a process that is gone."
    ),
    ReasonCode.SOURCE_CHANGED: Explanation(
        "A recording changed between its planning and its decoding.", "Let nothing write to the corpus and run the same command: it plans the recording anew."
    ),
    ReasonCode.STORAGE_FAILED: Explanation(
        "Writing or reading failed: disk full, read-only, input/output error, an object store that does not answer or refuses the credentials.",
        "Free space, fix the disk, or renew the credentials, and run the same command: it resumes.",
    ),
    ReasonCode.DECODER_CRASHED: Explanation(
        "The file made the audio decoder crash, or take more memory than its limits allow; the decoder runs in a process of its own, so nothing else was lost.",
        "Convert the recording with another program (`ffmpeg -i IN OUT.flac`) or leave it out; a file that crashes a decoder is damaged or hostile.",
    ),
    ReasonCode.DECODER_TIMEOUT: Explanation(
        "The file kept the audio decoder busy for longer than `decode.time_limit_s` allows.",
        "Convert the recording with another program, or raise `decode.time_limit_s` if the disk is slow.",
    ),
    ReasonCode.WORKER_CRASHED: Explanation(
        "The utterance ended its worker process in the stage named beside it, alone as well as among others.",
        "Look at the recording and the text; leave the utterance out, or report it with its file: a stage should refuse what it cannot do.",
    ),
    ReasonCode.WORKER_TIMEOUT: Explanation(
        "The utterance made a stage stand still for longer than `stall_limit_s`, alone as well as among others.",
        "Look at the recording and the text; leave the utterance out, or raise the limit if the stage is only slow.",
    ),
    ReasonCode.WORKER_OUT_OF_MEMORY: Explanation(
        "A stage ran out of memory over this utterance alone.",
        "Cut the recording into shorter utterances, give the pool more memory, or leave it out.",
    ),
    ReasonCode.BROKEN_CHECKPOINT: Explanation("A checkpoint is incomplete or damaged.", "The newest complete one is used; remove the broken folder."),
    ReasonCode.CHECKPOINT_MISMATCH: Explanation(
        "A checkpoint does not fit this model, codec or vocabulary.", "Use the configuration saved beside the checkpoint."
    ),
    ReasonCode.NON_FINITE_LOSS: Explanation(
        "The loss or a gradient became NaN or infinite.", "The batch was written down; lower the learning rate or look at its utterances."
    ),
}


class ValleError(Exception):
    """A failure with a sentence for the user: rule, value, remedy."""

    exit_code = ExitCode.RUN_FAILED


class InputError(ValleError, ValueError):
    """Bad input with a reason code; in ingestion it sends one utterance to quarantine, elsewhere it stops the command."""

    def __init__(self, reason: ReasonCode, message: str) -> None:
        super().__init__(message)
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.reason}: {self.args[0]}"

    def __reduce__(self) -> tuple[type["InputError"], tuple[ReasonCode, str]]:
        return type(self), (self.reason, self.args[0])


class UsageError(ValleError, ValueError):
    """A command line or configuration that cannot mean what was meant."""

    exit_code = ExitCode.USAGE


class EnvironmentProblem(ValleError, RuntimeError):
    """This machine lacks something that was asked for."""

    exit_code = ExitCode.ENVIRONMENT
