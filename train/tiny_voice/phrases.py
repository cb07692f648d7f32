# SPDX-License-Identifier: MIT
"""The closed world of the tiny voice: all that it can say, and the questions that lead there.

The order of the lists is part of the recipe: the seeds of the held-out questions draw from them.
"""

DIGITS = "zero one two three four five six seven eight nine ten".split()
TEENS = "eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()

GREETING = "Hello, I am Parley."
STOPPED = "Okay, I stopped."
AGAIN = "I did not understand, please say it again."

# reply: questions. Those after "|" are never trained on, only asked in the evaluation.
FAQ = {
    "Hello, how can I help you?":
        "hello; hi; hi there; hello Parley; good morning; hey; good evening; hello there"
        " | hey there; hi Parley",
    "I am Parley, a tiny voice model on your own machine.":
        "who are you; what are you; tell me who you are; who is this; introduce yourself;"
        " please tell me who you are | so who are you",
    "My name is Parley.":
        "what is your name; do you have a name; tell me your name; what should I call you;"
        " your name please | please tell me your name",
    "I can add numbers, count, and repeat words.":
        "what can you do; how can you help me; what do you know; tell me what you can do; help"
        " | please tell me what you can do",
    "I run here, on your own machine.":
        "where do you run; where are you; where do you live; tell me where you are"
        " | tell me where you live",
    "Yes, I am listening.":
        "are you listening; can you hear me; are you there; do you hear me; hello are you there"
        " | hello can you hear me",
    "You are welcome.":
        "thank you; thanks; thank you very much; thanks a lot; thank you Parley"
        " | thanks very much",
    "Goodbye, talk to you soon.":
        "goodbye; bye; bye bye; see you later; good night; goodbye Parley | bye Parley",
    "I am fine, thank you.":
        "how are you; how are you doing; how do you feel; are you well; how are you today"
        " | how do you feel today",
    "I am very small, about ten million numbers.":
        "how big are you; how large are you; what is your size; how small are you"
        " | tell me how big you are",
    "Nothing leaves your machine.":
        "are you private; is this private; do you send my voice away; who else can hear me"
        " | so is this private",
    "I am too small for jokes.":
        "tell me a joke; make me laugh; say something funny; do you know a joke"
        " | please tell me a joke",
    "No, I am a small program.":
        "are you human; are you a robot; are you real; are you a person | are you a real person",
    "I learned from synthetic speech.":
        "who made you; how were you made; how did you learn; who built you | so who made you",
    "No, I work without a network.":
        "do you need the internet; are you online; do you need a network"
        " | do you need to be online",
}
ASK_SUM = ("what is {}; how much is {}; {}; tell me {}; please tell me {}; can you tell me {};"
           " calculate {}; and what is {} | so what is {}; please calculate {}")
ASK_COUNT = ("count to {}; please count to {}; can you count to {}; count from one to {};"
             " now count to {} | please count from one to {}")
ASK_SAY = "say {}; please say {}; repeat {}; can you say {} | please repeat {}"
ASK_STOP = "stop; stop it; please stop; okay stop; stop please; stop now | stop stop"
WORDS = (
    "apple banana orange water coffee tea bread cheese house garden window door table chair river"
    " mountain ocean forest flower tree bird horse rabbit tiger elephant monkey red blue green"
    " yellow purple black white summer winter morning evening monday friday sunday music guitar"
    " piano paper pencil doctor teacher student mother father sister brother happy little computer"
).split()
OTHER = (                                   # sentences out of its field: one of each list
    "the my your this every".split(),
    "cat dog car friend uncle neighbour boat kitchen train city school market weather lamp shoe"
    " cloud".split(),
    "eats likes moves sees wants opens breaks needs follows paints finds sells loves"
    " brings".split(),
    ["potatoes", "the road", "long stories", "old pictures", "a bicycle", "the newspaper",
     "heavy boxes", "warm soup", "the moon", "rain", "dirty plates", "nice shirts", "the bridge"],
)
KINDS = ("sum", "faq", "count", "say", "stop", "ood")

SUMS = (                                    # (a, word, b, result)
    [(a, "plus", b, a + b) for a in range(11) for b in range(11)] +
    [(a, "minus", b, a - b) for a in range(11) for b in range(a + 1)] +
    [(a, "times", b, a * b) for a in range(11) for b in range(11)])


def phrasings(line):
    """'a; b | c' -> (trained [a, b], held out [c])"""
    trained, held = line.split("|")
    return tuple([q.strip() for q in part.split(";")] for part in (trained, held))


def number(n):
    """0 to 100 in words."""
    if n <= 10:
        return DIGITS[n]
    if n < 20:
        return TEENS[n - 11]
    if n == 100:
        return "one hundred"
    return TENS[n // 10 - 2] + (" " + DIGITS[n % 10] if n % 10 else "")


def sum_reply(s):
    a, word, b, result = s
    return f"{DIGITS[a]} {word} {DIGITS[b]} is {number(result)}."


def sum_pieces(s):
    """The five pieces in which a sum is spoken, each always alike.

    Were the sum spoken as one sentence, the sound of its first words would give away those to come,
    and the model would learn to read them there instead of listening.
    """
    a, word, b, result = s
    return [DIGITS[a] + ",", word + ",", DIGITS[b] + ",", "is,", number(result) + "."]


def all_sum_pieces():
    return sorted({piece for s in SUMS for piece in sum_pieces(s)})


def count_reply(n):
    return ", ".join(DIGITS[1:n + 1]) + "."


def replies():
    """Every sentence that the model can say."""
    return ([GREETING, STOPPED, AGAIN] + list(FAQ) + [sum_reply(s) for s in SUMS] +
            [count_reply(n) for n in range(3, 11)] + [w + "." for w in WORDS])


def ask(rng, kind, held_out=False):
    """-> (what the user says, what the model answers); held_out takes the untrained phrasings."""
    def draw(items):
        return items[rng.integers(len(items))]

    def phrase(line):
        return draw(phrasings(line)[int(held_out)])

    if kind == "sum":
        s = draw(SUMS)
        return phrase(ASK_SUM).format(f"{DIGITS[s[0]]} {s[1]} {DIGITS[s[2]]}"), sum_reply(s)
    if kind == "faq":
        reply = draw(list(FAQ))
        return phrase(FAQ[reply]), reply
    if kind == "count":
        n = int(rng.integers(3, 11))
        return phrase(ASK_COUNT).format(DIGITS[n]), count_reply(n)
    if kind == "say":
        word = draw(WORDS)
        return phrase(ASK_SAY).format(word), word + "."
    if kind == "stop":
        return phrase(ASK_STOP), STOPPED
    if kind == "ood":
        return " ".join(draw(part) for part in OTHER), AGAIN
    raise KeyError(kind)


def user_vocabulary():
    """Every word a user can say -> its class in the listening head; 0 is 'none ends here'."""
    lines = list(FAQ.values()) + [ASK_SUM, ASK_COUNT, ASK_SAY, ASK_STOP]
    texts = [q.replace("{}", "") for line in lines for part in phrasings(line) for q in part]
    texts += [phrase for part in OTHER for phrase in part]
    words = {w for text in texts for w in text.split()}
    words |= set(DIGITS) | set(WORDS) | {"plus", "minus", "times"}
    return {w: i + 1 for i, w in enumerate(sorted(words))}
