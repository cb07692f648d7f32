# SPDX-License-Identifier: MIT
"""Accents that no synthesiser has: some sounds are said as another dialect says them.

espeak-ng has few accents of English: weights answered 90 % of what they were asked in six that they
had learned from and 76 % in one that they had not. What shifts is drawn for each speaker from what
is heard among those who grew up with English somewhere (the vowels of London, Belfast, Glasgow,
Lagos, Auckland, Texas) and those who learned it later (sounds that their first language lacks).
"""

import re

VOWEL_SHIFTS, CONSONANT_SHIFTS = 0.2, 0.1      # share of each that a speaker with an accent shifts

# sound: as espeak-ng, IPA and misaki (of hibari) write it; "lot" is espeak-ng's British vowel alone
_WRITTEN = {
    "iy": ("i:", "iː", "i"), "ih": ("I", "ɪ", "ɪ"), "ey": ("eI", "eɪ", "A"),
    "eh": ("E", "ɛ", "ɛ"), "ae": ("a", "æ", "æ"), "aa": ("A:", "ɑː", "ɑ"),
    "lot": ("0", None, None), "ao": ("O:", "ɔː", "ɔ"), "ow": ("oU", "oʊ", "O"),
    "uh": ("U", "ʊ", "ʊ"), "uw": ("u:", "uː", "u"), "ah": ("V", "ʌ", "ʌ"),
    "er": ("3:", "ɜː", "ɜ"), "ay": ("aI", "aɪ", "I"), "aw": ("aU", "aʊ", "W"),
    "oy": ("OI", "ɔɪ", "Y"),
    "th": ("T", "θ", "θ"), "dh": ("D", "ð", "ð"), "ng": ("N", "ŋ", "ŋ"), "t": ("t", "t", "t"),
    "d": ("d", "d", "d"), "f": ("f", "f", "f"), "v": ("v", "v", "v"), "s": ("s", "s", "s"),
    "z": ("z", "z", "z"), "w": ("w", "w", "w"), "n": ("n", "n", "n"), "r": ("r", "ɹ", "ɹ"),
}
_VOWELS = dict(iy="ih ey", ih="iy eh ah", ey="eh ay", eh="ih ae", ae="eh aa ah", aa="ae ao",
               lot="aa ao ae", ao="aa ow", ow="ao aw", uh="uw ah", uw="uh", ah="uh aa eh",
               er="eh ah ao", ay="oy aa", aw="ow uw", oy="ay")
_CONSONANTS = dict(th="t f s", dh="d v z", ng="n", v="w f", w="v", z="s", r="w")


def draw(rng):
    """-> {sound: the sound said in its place}"""
    return {sound: str(rng.choice(others.split()))
            for table, share in ((_VOWELS, VOWEL_SHIFTS), (_CONSONANTS, CONSONANT_SHIFTS))
            for sound, others in table.items() if rng.random() < share}


def variant_lines(accent):
    """For a variant file of espeak-ng."""
    return "".join(f"replace 0 {_WRITTEN[a][0]} {_WRITTEN[b][0]}\n" for a, b in accent.items())


def _shifted(text, accent, column):
    sounds = {written[column]: sound for sound, written in _WRITTEN.items() if written[column]}

    def other(found):
        sound = sounds[found[0]]
        return _WRITTEN[accent.get(sound, sound)][column]

    longest_first = sorted(sounds, key=len, reverse=True)       # a diphthong is not two vowels
    return re.sub("|".join(longest_first), other, text)


def in_ipa(text, accent):
    """IPA as espeak-ng writes its American -> the same with an accent"""
    return _shifted(text, accent, 1)


def in_misaki(text, accent):
    return _shifted(text, accent, 2)
