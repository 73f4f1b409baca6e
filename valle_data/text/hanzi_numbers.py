"""Whole numbers in hanzi, as Mandarin says them; num2words has no Chinese."""

DIGITS = "零一二三四五六七八九"
PLACES = ("", "十", "百", "千")
GROUPS = ("", "万", "亿", "万亿")


def spell_digits(number: str) -> str:
    """Digit by digit, as years and codes are said."""
    return "".join(DIGITS[int(digit)] for digit in number)


def spell_hanzi(value: int) -> str:
    """A number of at most 16 digits: groups of four, 零 once for any run of empty places, 十 rather than 一十 in front."""
    if value == 0:
        return DIGITS[0]
    groups = []
    while value:
        value, group = divmod(value, 10_000)
        groups.append(group)
    said = ""
    for index in reversed(range(len(groups))):
        if not groups[index]:
            continue
        gap = said and (groups[index] < 1000 or (index + 1 < len(groups) and groups[index + 1] == 0))
        said += (DIGITS[0] if gap else "") + _group(groups[index]) + GROUPS[index]
    return said[1:] if said.startswith("一十") else said


def _group(value: int) -> str:
    said = ""
    for place in (3, 2, 1, 0):
        digit = value // 10**place % 10
        if digit:
            said += DIGITS[digit] + PLACES[place]
        elif said and not said.endswith(DIGITS[0]):
            said += DIGITS[0]
    return said.rstrip(DIGITS[0])
