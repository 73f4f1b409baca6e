"""What every corpus owes, on a replica of its true layout."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import soundfile
from pydantic import ValidationError

from tests.corpus_replicas import REPLICAS, Expected
from valle_data import audio
from valle_data.audio import AudioLimits, probe, read_sound
from valle_data.corpora import CORPORA
from valle_data.corpora.base import Corpus, CorpusConfig, ListingProblem
from valle_data.errors import UsageError
from valle_data.records import Utterance
from valle_data.shards.base import check_id

LIMITS = AudioLimits()


@pytest.fixture(scope="module", params=list(CORPORA))
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def replica(kind: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Expected]:
    root = tmp_path_factory.mktemp(kind) / "corpus"
    root.mkdir()
    return root, REPLICAS[kind](root)


def corpus(kind: str, replica: tuple[Path, Expected], **config: object) -> Corpus:
    root, expected = replica
    return CORPORA[kind](CORPORA[kind].Config.model_validate({"name": kind, "root": root, **expected.config, **config}))


def utterances(found: Iterator[Utterance | ListingProblem]) -> list[Utterance]:
    return sorted((entry for entry in found if isinstance(entry, Utterance)), key=lambda utterance: utterance.id)


def test_every_corpus_has_a_replica() -> None:
    assert set(REPLICAS) == set(CORPORA)


def test_says_what_is_there(kind: str, replica: tuple[Path, Expected]) -> None:
    expected = replica[1]
    entries = list(corpus(kind, replica).entries())
    found = utterances(iter(entries))
    problems = [entry for entry in entries if isinstance(entry, ListingProblem)]
    assert {(u.speaker, u.group, u.language, u.text) for u in found} == expected.said
    assert tuple(problem.reason for problem in problems) == expected.reasons
    for utterance in found:
        check_id(utterance.id)
        assert utterance.corpus == kind
    assert len({utterance.id for utterance in found}) == len(found)
    assert any(expected.extra.items() <= utterance.extra.items() for utterance in found)


def test_every_sound_can_be_read_where_it_is_said_to_lie(kind: str, replica: tuple[Path, Expected]) -> None:
    digests = set()
    for utterance in utterances(corpus(kind, replica).entries()):
        sound = read_sound(utterance.audio, LIMITS)
        assert 0.35 < sound.duration_s <= 6 and probe(utterance.audio, LIMITS).sample_rate_hz == sound.sample_rate_hz
        if utterance.audio.duration_s is not None:
            assert sound.duration_s == pytest.approx(utterance.audio.duration_s, abs=1e-3)
        digests.add(sound.samples.tobytes())
    assert len(digests) == len(utterances(corpus(kind, replica).entries())), "each is another sound"


def test_is_made_from_a_configuration_and_says_whether_it_knows_speakers(kind: str, replica: tuple[Path, Expected]) -> None:
    cls = CORPORA[kind]
    assert issubclass(cls, Corpus) and issubclass(cls.Config, CorpusConfig) and cls.Config.model_fields["name"].default == kind
    made = corpus(kind, replica)
    speakers = {utterance.speaker for utterance in utterances(made.entries())}
    assert made.gives_speakers == (speakers != {"unknown"})
    licences = {utterance.extra.get("licence") for utterance in utterances(made.entries())}
    assert licences == {made.config.licence or None} and (licences == {None}) == (kind in ("folder", "manifest", "lhotse", "huggingface"))
    doc = __import__(cls.__module__, fromlist=["x"]).__doc__ or ""
    assert "icence" in doc or "CC" in doc or "public domain" in doc or "terms" in doc
    assert "Layout" in doc or kind == "folder"


def test_ids_are_the_same_again_and_elsewhere(kind: str, replica: tuple[Path, Expected], tmp_path: Path) -> None:
    first = {(u.id, u.text) for u in utterances(corpus(kind, replica).entries())}
    assert first == {(u.id, u.text) for u in utterances(corpus(kind, replica).entries())}
    (tmp_path / "another/place").mkdir(parents=True)
    elsewhere = tmp_path / "another/place", REPLICAS[kind](tmp_path / "another/place")
    assert first == {(u.id, u.text) for u in utterances(corpus(kind, elsewhere).entries())}


def test_a_relative_root_gives_the_same_ids(kind: str, replica: tuple[Path, Expected], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(replica[0].parent)
    relative = utterances(corpus(kind, replica, root="./corpus/").entries())
    assert [u.id for u in relative] == [u.id for u in utterances(corpus(kind, replica).entries())]


def test_opens_no_recording(kind: str, replica: tuple[Path, Expected], monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[object] = []
    monkeypatch.setattr(soundfile, "SoundFile", lambda *args, **kwargs: opened.append(args))
    monkeypatch.setattr(audio, "identify", lambda *args: opened.append(args))
    assert utterances(corpus(kind, replica).entries()) and not opened


def test_streams(kind: str, replica: tuple[Path, Expected]) -> None:
    entries = corpus(kind, replica).entries()
    assert iter(entries) is entries and isinstance(next(entries), Utterance | ListingProblem)


def test_label_language_speaker_and_group_are_as_configured(kind: str, replica: tuple[Path, Expected]) -> None:
    given = corpus(kind, replica, label="mine", language="cy", speaker="me", group="ours", licence="secret")
    found = utterances(given.entries())
    plain = utterances(corpus(kind, replica).entries())
    assert {u.corpus for u in found} == {"mine"} and {u.extra["licence"] for u in found} == {"secret"}
    for before, after in zip(plain, found, strict=True):
        assert before.id == after.id
        assert after.group == (before.group if before.group not in (kind, "all") else "ours")
        assert after.speaker in (before.speaker, "me")


def test_filters_choose(kind: str, replica: tuple[Path, Expected]) -> None:
    everything = utterances(corpus(kind, replica).entries())
    ids = lambda **filters: [u.id for u in utterances(corpus(kind, replica, **filters).entries())]  # noqa: E731
    one = everything[0]
    assert ids(include_speakers=[one.speaker]) == [u.id for u in everything if u.speaker == one.speaker]
    assert ids(include_groups=[one.group]) == [u.id for u in everything if u.group == one.group]
    assert ids(include=["*"]) == [u.id for u in everything] == ids(include_speakers=["*"], include_groups=["*"])
    for other in {u.speaker for u in everything} - {one.speaker}:
        assert ids(exclude_speakers=[other]) == [u.id for u in everything if u.speaker != other]
    with pytest.raises(UsageError, match=r"The filters `corpus\.include`, `corpus\.exclude` leave nothing of the corpus"):
        ids(include=["*"], exclude=["*"])


def test_a_filter_that_fits_nothing_names_the_nearest(kind: str, replica: tuple[Path, Expected]) -> None:
    speaker = utterances(corpus(kind, replica).entries())[0].speaker
    with pytest.raises(UsageError, match=f"`corpus.include_speakers` has '{speaker}z', which fits nothing. Did you mean '{speaker}'"):
        list(corpus(kind, replica, include_speakers=[f"{speaker}z"]).entries())
    problems = [e for e in corpus(kind, replica, exclude_speakers=[f"{speaker}z"]).entries() if isinstance(e, ListingProblem)]
    assert [problem.path for problem in problems if problem.reason == "unmatched_path"] == ["corpus.exclude_speakers"]


def test_a_root_that_is_no_such_corpus(kind: str, replica: tuple[Path, Expected], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"`corpus\.root` names a folder"):
        list(corpus(kind, replica, root=tmp_path / "nowhere").entries())
    if kind in ("folder", "libritts", "librilight"):  # an empty folder is an empty corpus of these
        assert list(corpus(kind, replica, root=tmp_path).entries()) == []
        return
    with pytest.raises(UsageError, match=r"(?i)`?corpus\.(root|table)`?"):
        list(corpus(kind, replica, root=tmp_path).entries())


def test_unknown_options_are_refused(kind: str, replica: tuple[Path, Expected]) -> None:
    with pytest.raises(ValidationError, match="speakers"):
        corpus(kind, replica, speakers=["x"])


def test_a_sound_that_is_gone_is_still_listed(kind: str, replica: tuple[Path, Expected], tmp_path: Path) -> None:
    """Whether a recording is there is found when it is looked at, which gives the reason; tables may name millions."""
    if kind in ("emilia", "huggingface", "folder", "vctk", "libritts", "librilight", "lhotse"):
        pytest.skip("these are found by walking, or hold the sounds themselves")
    copy = tmp_path / "corpus"
    shutil.copytree(replica[0], copy)
    for folder, _, names in os.walk(copy):
        for name in names:
            if name.endswith((".wav", ".flac", ".ogg", ".mp3")):
                os.unlink(os.path.join(folder, name))
    found = utterances(corpus(kind, (copy, replica[1])).entries())
    assert {(u.speaker, u.group, u.language, u.text) for u in found} == replica[1].said
