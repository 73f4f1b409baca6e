"""Names of languages as corpora write them -> BCP 47 tags."""

TAGS = {
    "english": "en", "chinese": "zh", "mandarin": "zh", "cantonese": "yue", "german": "de", "french": "fr", "japanese": "ja", "korean": "ko",
    "dutch": "nl", "spanish": "es", "italian": "it", "portuguese": "pt", "polish": "pl", "russian": "ru", "swedish": "sv", "catalan": "ca",
}  # fmt: skip


def language_tag(word: str) -> str:
    """`German` -> `de`, `zh_CN` -> `zh-cn`; what is no known name is taken for a tag, which the planner checks."""
    plain = word.strip().lower().replace("_", "-")
    return TAGS.get(plain, plain)
