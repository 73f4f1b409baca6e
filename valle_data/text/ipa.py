"""The closed phone inventory: the International Phonetic Alphabet (chart of 2020, https://www.internationalphoneticassociation.org), one code point a phone.

What espeak writes as several code points (an affricate `tʃ`, a nasal vowel `ɔ̃`, a long `iː`) is several phones here, so that the inventory is the same
for every language. The order gives ids and is append-only.
"""

from valle_data.text.phonemizers.base import PUNCTUATION, WORD_BOUNDARY

SUPRASEGMENTALS = tuple("ˈˌːˑ")
VOWELS = tuple("iyɨʉɯuɪʏʊeøɘɵɤoəɛœɜɞʌɔæɐaɶɑɒ") + tuple("ᵻᵿɚɝ")
PULMONIC = tuple("pbtdʈɖcɟkɡqɢʔmɱnɳɲŋɴʙrʀⱱɾɽɸβfvθðszʃʒʂʐçʝxɣχʁħʕhɦɬɮʋɹɻjɰlɭʎʟ")
NON_PULMONIC = tuple("ʘǀǃǂǁɓɗʄɠʛʼ")
OTHER_CONSONANTS = tuple("ʍwɥʜʢʡɕʑɺɧɫ")
DIACRITICS = (
    "\u0325", "\u030a", "\u032c", "\u0339", "\u031c", "\u031f", "\u0320", "\u0308", "\u033d", "\u0329", "\u032f", "\u02de", "\u0324", "\u0330", "\u033c", "ʰ",
    "ʷ", "ʲ", "ˠ", "ˤ", "\u0334", "\u031d", "\u031e", "\u0318", "\u0319", "\u032a", "\u033a", "\u033b", "\u0303", "ⁿ", "ˡ", "\u031a", "\u0361", "\u0306", "ᵝ",
)  # fmt: skip
TONES = tuple("˥˦˧˨˩") + tuple("↗↘↓↑") + tuple("123456789")

IPA = (WORD_BOUNDARY, *PUNCTUATION, *SUPRASEGMENTALS, *VOWELS, *PULMONIC, *NON_PULMONIC, *OTHER_CONSONANTS, *DIACRITICS, *TONES)
