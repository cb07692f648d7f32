# SPDX-License-Identifier: MIT
"""The closed world of the tiny voice: all that it can say, and the questions that lead there.

The order of the lists is part of the recipe: the seeds of the held-out questions draw from them.
"""

import functools

DIGITS = "zero one two three four five six seven eight nine ten".split()
TEENS = "eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
MOST = 20                               # it counts to this, and adds up to it

GREETING = "Hello, I am Parley."
AGAIN = "I did not understand, please say it again."
STOPPED = "Okay."                       # to "stop" when it is silent; speaking, it falls silent

# reply: questions. Those after the first "|" are never trained on and serve to steer by; those
# after the second are asked once, at the end.
MANNERS = {
    "Hello, how can I help you?":
        "hello; hi; hi there; hello Parley; good morning; hey; good evening; hello there; good "
        "afternoon; hey you; good day; hey Parley; hello again; hi again; good day Parley; hi "
        "Parley hello; greetings; well hello; hello hello; good morning to you; okay hello; so "
        "hello; hello my friend; hi my friend; hi everybody; good evening Parley; good morning "
        "again; hey hello; hello and good day; a good day to you; nice to meet you; hello to you; "
        "oh hello; oh hi; hi you; good evening to you; good afternoon Parley; hello now"
        " | hey there; hello you | hi Parley; good morning Parley",
    "You are welcome.":
        "thank you; thanks; thank you very much; thanks a lot; thank you Parley; many thanks; "
        "okay thanks; great thank you; thank you so much; thank you very very much; that was "
        "nice thank you; thanks again; thank you again; good thank you; well thanks a lot; I "
        "thank you; okay many thanks; well thank you; oh thank you; thank you my friend; thanks "
        "for that; thank you for your help; thanks and well done; a big thank you; so thanks; "
        "thanks to you; very nice thank you; thank you for that; thank you now; oh thanks; fine "
        "thank you; thanks my friend; so thank you; well thanks; thank you thank you"
        " | thanks very much; okay thank you | thanks so much; thanks Parley",
    "Goodbye, talk to you soon.":
        "goodbye; bye; bye bye; see you later; good night; goodbye Parley; see you; okay bye; "
        "goodbye for now; see you soon; good night Parley; talk to you later; I have to go; I "
        "am leaving now; until tomorrow; see you tomorrow; goodbye then; well goodbye; so goodbye; "
        "bye now; okay bye bye; goodbye my friend; bye then; goodbye and thank you; good night "
        "then; okay see you; see you then; okay good night; so bye; bye bye Parley; goodbye to "
        "you; I say goodbye; that is all goodbye; have a good day; see you again; farewell; oh "
        "bye; well bye; bye my friend; good night now; good night to you; well see you; goodbye "
        "goodbye; time to say goodbye; I must go now"
        " | bye Parley; okay goodbye | see you later Parley; bye for now",
}
FAQ = {
    "I am Parley, a tiny voice model on your own machine.":
        "who are you; what are you; tell me who you are; who is this; introduce yourself; "
        "please tell me who you are; who am I talking to; who is there; who exactly are you; "
        "what kind of thing are you; tell me something about yourself; describe yourself; what "
        "am I talking to; who is speaking; say who you are; I want to know who you are"
        " | so who are you | tell me what you are",
    "My name is Parley.":
        "what is your name; do you have a name; tell me your name; what should I call you; your "
        "name please; what are you called; say your name; what is your name please; who do I "
        "call you; how do I call you; by what name do you go; may I know your name; have you "
        "got a name; what name do you have; give me your name"
        " | please tell me your name | what do people call you",
    "I can add numbers, count, and repeat words.":
        "what can you do; how can you help me; what do you know; tell me what you can do; help; "
        "what can I ask you; what can I say; what are you good at; help me please; what are you "
        "able to do; what else can you do; how do you help people; what can you do for me; what "
        "do you do; what are your skills; tell me what I can ask; I need help; show me what you "
        "can do"
        " | please tell me what you can do | what can I ask",
    "I run here, on your own machine.":
        "where do you run; where are you; where do you live; tell me where you are; where is "
        "Parley; in which place do you run; where are you right now; where are you running; on "
        "which machine do you run; where do you work; are you here; are you on my machine; do "
        "you run on my computer; in which place do you live; where do you come from"
        " | tell me where you live | so where are you",
    "Yes, I am listening.":
        "are you listening; can you hear me; are you there; do you hear me; hello are you "
        "there; is anybody there; are you listening to me; are you still there; are you hearing "
        "me; can you hear what I say; is this working; do you listen to me; is someone there; "
        "are you awake; hey can you hear me"
        " | hello can you hear me | can you hear me now",
    "I am fine, thank you.":
        "how are you; how are you doing; how do you feel; are you well; how are you today; how "
        "is it going; are you okay; hello how are you; how are things; how are you feeling; are "
        "you fine; are you feeling well; is everything okay; how have you been; how goes it; "
        "are you doing well"
        " | how do you feel today | so how are you doing",
    "I am very small, about ten million numbers.":
        "how big are you; how large are you; what is your size; how small are you; are you big; "
        "how many numbers are you made of; how many parameters do you have; how many numbers do "
        "you have; are you a large model; are you small; how much space do you need; tell me "
        "your size; what size are you; how many parameters are in you; are you a big model"
        " | tell me how big you are | so how large are you",
    "Nothing leaves your machine.":
        "are you private; is this private; do you send my voice away; who else can hear me; do "
        "you send anything away; can other people hear me; is my voice safe; are you safe; do "
        "you keep my data private; is my data safe; does anyone else hear this; where does my "
        "voice go; do you record me; is anybody else listening; will you send this away; do you "
        "share what I say; does anything leave my machine"
        " | so is this private | does my voice leave this machine",
    "I am too small for jokes.":
        "tell me a joke; make me laugh; say something funny; do you know a joke; do you know "
        "any jokes; can you tell a joke; joke please; do you have a joke for me; a joke please; "
        "I want to hear a joke; tell me something funny; are you funny; can you make me laugh; "
        "let me hear a joke; another joke please"
        " | please tell me a joke | can you tell me a joke",
    "No, I am a small program.":
        "are you human; are you a robot; are you real; are you a person; are you alive; am I "
        "talking to a human; are you a man or a machine; are you a human or a machine; are you "
        "a machine; am I speaking with a person; are you really a person; is there a person "
        "behind you; are you a computer; is this a human; are you made of flesh"
        " | are you a real person | are you a human being",
    "I learned from synthetic speech.":
        "how were you made; how did you learn; how were you trained; what did you learn from; "
        "where did you learn to speak; how did you learn to speak; what were you trained on; "
        "how did you get trained; who taught you to speak; what did you learn with; from what "
        "did you learn; how have you learned; what is your training; which data were you "
        "trained on; how did they train you"
        " | so how were you made | how did you learn to talk",
    "No, I work without a network.":
        "do you need the internet; are you online; do you need a network; do you use the "
        "internet; are you on the internet; do you work without the internet; are you in the "
        "cloud; do you go online; can you use the internet; do you have internet; is there a "
        "network behind you; do you work offline; do I need the internet for this; are you "
        "connected to anything; do you need wifi"
        " | do you need to be online | do you need an internet connection",
    "The people who wrote Parley made me.":
        "who made you; who built you; who created you; who wrote you; who is your maker; who "
        "are your parents; tell me who made you; who has made you; who are your makers; by whom "
        "were you made; who programmed you; who trained you; who invented you; where are your "
        "makers; who are the people behind you"
        " | so who made you | who has built you",
    "Parley is a program for talking with models.":
        "what is Parley; tell me about Parley; what does Parley do; what is this program; what "
        "kind of program is this; explain Parley; what is Parley for; what is Parley about; "
        "tell me what Parley is; what is Parley good for; what can Parley do; describe Parley; "
        "what sort of program is Parley; why is there Parley; what does this program do"
        " | so what is Parley | please explain what Parley is",
    "I speak only English.":
        "what languages do you speak; do you speak German; which language do you speak; do you "
        "speak English; can you speak French; how many languages do you know; do you know "
        "Spanish; which languages can you speak; do you understand German; can you speak "
        "Spanish; do you speak any other language; speak French please; do you know French; is "
        "English your only language; can you talk in Italian"
        " | what language do you speak | can you speak German",
    "I was born this year.":
        "how old are you; what is your age; when were you born; when were you made; what is "
        "your birthday; are you young; tell me your age; are you old; how young are you; what "
        "year were you born; in which year were you made; since when do you exist; how long "
        "have you been here; when is your birthday; are you new; which year were you born in"
        " | so how old are you | tell me how old you are",
    "Yes, you may interrupt me.":
        "can I interrupt you; may I interrupt you; can I stop you; what if I interrupt you; may "
        "I speak while you speak; can I talk over you; can you be interrupted; can I speak over "
        "you; am I allowed to interrupt you; do you mind if I interrupt; may I talk while you "
        "talk; can I break in; what happens when I interrupt you; do I have to let you finish; "
        "can I cut you off"
        " | is it okay to interrupt you | can I just interrupt you",
    "Yes, I am free, and so is my source.":
        "are you free; what do you cost; how much do you cost; do I have to pay; are you open "
        "source; is Parley free; do you cost money; do I need to pay for you; what is your "
        "price; how much are you; do you come for free; is this free; is your source open; do I "
        "have to buy you; what does Parley cost; can I have you for free; must I pay"
        " | are you for free | do you cost anything",
    "I answer in about half a second.":
        "how fast are you; are you fast; how quick are you; how fast can you answer; are you "
        "slow; what is your delay; how long do you need to answer; how quickly do you answer; "
        "what is your speed; are you quick; how long does it take you to answer; when do you "
        "answer; do you answer fast; how soon do you reply; how much time do you need to answer"
        " | tell me how fast you are | so how fast can you answer",
    "I forget everything in a few seconds.":
        "do you remember me; do you have a memory; can you remember things; do you forget; how "
        "long do you remember; what do you remember; how good is your memory; do you keep what "
        "I say; how much do you remember; will you remember this; do you know what I said "
        "before; what did I say before; how long is your memory; do you remember my name; can "
        "you keep things in mind; will you forget me"
        " | can you remember me | do you remember what I say",
    "I need one core of a processor.":
        "what do you need; what hardware do you need; do you need a graphics card; what machine "
        "do you need; how much computer do you need; do you need a big computer; what do you "
        "run on; what kind of machine do you need; what computer do I need; how strong must my "
        "computer be; do you run on a graphics card; what processor do you need; how many cores "
        "do you need; which machine do you run on; do you need much power"
        " | which hardware do you need | do you need a fast computer",
    "Parley is written in C.":
        "what language are you written in; how is Parley written; which language is Parley "
        "written in; in which language were you programmed; what is Parley written in; are you "
        "written in Python; what code are you written in; which programming language is this; "
        "are you written in C plus plus; what is your source written in; tell me how Parley is "
        "written; in which language are you written; what is this program written in; which "
        "language was used for Parley; how were you programmed"
        " | in what language is Parley written | are you written in C",
    "I hear you all the time, even while I speak.":
        "when do you listen; do you hear me while you speak; do you always listen; can you "
        "listen while you talk; can you hear me while you are speaking; do you listen all the "
        "time; how do you listen; are you listening while you speak; when can you hear me; do "
        "you hear me all the time; do you hear everything; can you speak and listen at once; "
        "are you listening all the time; do you ever stop listening; can you hear me when you "
        "talk"
        " | can you hear me while you speak | are you always listening",
    "A synthesiser lent me this voice.":
        "whose voice is this; where is your voice from; what voice is this; why do you sound "
        "like that; who gave you your voice; where did you get your voice; whose voice do you "
        "have; why does your voice sound so strange; whose voice am I hearing; who is speaking "
        "with your voice; what kind of voice is that; is that your own voice; why do you have "
        "this voice; who lent you your voice; how did you get this voice"
        " | where does your voice come from | why do you sound like a robot",
    "No, I am not very clever.":
        "are you clever; are you smart; are you intelligent; do you understand me; can you "
        "think; do you know everything; how clever are you; are you stupid; are you wise; are "
        "you a genius; how smart are you; how intelligent are you; do you know a lot; are you "
        "dumb; can you understand everything; do you think; are you very clever"
        " | so are you clever | are you very smart",
    "I have no feelings, but I like to count.":
        "do you have feelings; are you happy; are you sad; do you like me; what do you like; "
        "what makes you happy; do you love me; do you feel anything; what are your feelings; do "
        "you feel joy; are you lonely; what do you love; are you angry; is there something you "
        "like; do you get bored; what is your favourite thing; do you like to count"
        " | do you have any feelings | so are you happy",
    "I cannot see, I only hear.":
        "can you see me; do you see me; what do you see; do you have eyes; do you have a "
        "camera; can you see; can you look at this; what do I look like; can you see anything "
        "at all; do you see this; have you got eyes; look at me; can you see my face; are you "
        "blind; do you use the camera; what colour is my shirt; how do I look today"
        " | are you able to see | can you see anything",
    "I can count to twenty.":
        "how far can you count; can you count; how well can you count; how high can you count; "
        "up to what number can you count; do you know how to count; are you able to count; what "
        "is the largest number you can count to; to which number can you count; how far do you "
        "count; can you count far; do you count well; how high do you count; are you good at "
        "counting; what numbers can you count"
        " | tell me how far you can count | so can you count",
    "I know about three hundred words.":
        "how many words do you know; what words do you know; which words can you say; how many "
        "words can you say; how large is your vocabulary; do you know many words; how many "
        "words can you repeat; how big is your vocabulary; how many words can you repeat for "
        "me; what words can you repeat; which words do you know; do you know a lot of words; "
        "tell me which words you know; what is your vocabulary; how many words are there in you"
        " | tell me how many words you know | so how many words do you know",
    "I do not know the time.":
        "what time is it; do you know the time; what is the time; tell me the time; how late is "
        "it; what day is it; what is the date today; can you tell me the time; do you have the "
        "time; which day is today; what is the date; is it late; how late are we; what hour is "
        "it; do you know what day it is; can you tell the time; have you got a clock"
        " | please tell me the time | do you know what time it is",
}
ASK_SUM = ("what is {}; what is {}; how much is {}; {}; tell me {}; please tell me {};"
           " can you tell me {}; calculate {}; and what is {}; what does {} make; {} please;"
           " what do you get for {}; now {}; and {}; do you know what {} is; hey what is {};"
           " what would {} be; okay what is {}"
           " | so what is {}; please calculate {} | what is {} please; could you tell me {}")
ASK_COUNT = ("count to {}; please count to {}; can you count to {}; count from one to {};"
             " now count to {}; count up to {}; count up to {} please; let me hear you count to {};"
             " I want you to count to {} | please count from one to {} | can you count up to {}")
ASK_DOWN = ("count down from {}; please count down from {}; can you count down from {};"
            " count backwards from {}; count from {} down to one; now count down from {}"
            " | count down from {} please | please count backwards from {}")
ASK_SAY = ("say {}; please say {}; repeat {}; can you say {}; say after me {}; say the word {};"
           " now say {}; repeat after me {}; repeat the word {}; let me hear you say {}"
           " | please repeat {} | please say the word {}")
ASK_STOP = ("stop; stop it; please stop; okay stop; stop please; stop now; be quiet; stop talking;"
            " enough; that is enough; stop stop"
            " | stop counting; okay stop it | now stop; be quiet please")
MONTHS = ("january february march april may june july august september october november"
          " december").split()
DAYS = "monday tuesday wednesday thursday friday saturday sunday".split()
LETTERS = "A B C D E F G H I J K L M N O P Q R S T U V W X Y Z".split()
LISTS = {                               # spoken item by item
    "days": (DAYS, "what are the days of the week; say the days of the week;"
             " tell me the days of the week; name the days of the week;"
             " list the days of the week; the days of the week;"
             " please name the days; days of the week please; which days has a week"
             " | please say the days of the week | can you tell me the days of the week"),
    "months": (MONTHS, "what are the months of the year; say the months of the year; tell me the"
               " months; name the months of the year; list the months; the months of the year;"
               " please name the months; months of the year please; which months has a year"
               " | please say the months of the year | can you tell me the months of the year"),
    "alphabet": (LETTERS, "say the alphabet; what is the alphabet; tell me the alphabet;"
                 " the alphabet please; can you say the alphabet; do you know the alphabet;"
                 " recite the alphabet; what are the letters; spell the alphabet"
                 " | please say the alphabet | can you recite the alphabet"),
}
WORDS = (
    "apple banana orange water coffee tea bread cheese house garden window door table chair river"
    " mountain ocean forest flower tree bird horse rabbit tiger elephant monkey red blue green"
    " yellow purple black white summer winter morning evening monday friday sunday music guitar"
    " piano paper pencil doctor teacher student mother father sister brother happy little computer"
    " lemon cherry tomato potato carrot onion pepper sugar butter chocolate honey chicken"
    " sandwich dinner breakfast kitchen bedroom bathroom ceiling carpet mirror pillow blanket"
    " candle basket bottle hammer ladder bucket engine wheel bicycle airplane train tractor"
    " harbour island desert valley meadow village city castle bridge tower market hospital"
    " library museum church school office factory station airport hotel restaurant"
    " cat dog lion bear wolf fox snake spider butterfly dolphin penguin eagle parrot turtle frog"
    " camel giraffe kangaroo squirrel donkey cow pig sheep goat duck goose fish shark whale"
    " finger shoulder elbow stomach heart head mouth nose ear hand foot leg skin bone"
    " jacket trousers shirt shoe hat glove umbrella button pocket ring"
    " winter spring autumn thunder lightning cloud rainbow snow storm sunshine moon star planet"
    " january february april june july august september october november december tuesday"
    " wednesday thursday saturday afternoon midnight yesterday tomorrow today"
    " circle triangle square corner number letter word sentence story picture camera telephone"
    " television radio newspaper magazine dictionary question answer problem machine robot"
    " model program keyboard hello goodbye thanks welcome friend neighbour cousin uncle aunt baby"
    " queen king soldier sailor farmer painter singer writer driver pilot captain lawyer nurse"
    " football tennis hockey dancing swimming running walking singing laughing sleeping"
    " silver golden orange pink brown grey violet wooden heavy gentle hungry thirsty angry"
    " beautiful dangerous difficult famous important quiet strong clever silly lazy"
    " england germany italy france africa america europe australia london paris berlin"
    " freedom power silence nature science history language knowledge wisdom danger"
    " umbrella diamond crystal feather marble copper plastic leather cotton"
    " violin trumpet drum whistle balloon present birthday holiday journey adventure secret"
    " yes no maybe always never together"
).split()
WORDS = list(dict.fromkeys(WORDS))[:300]

# What is out of its field: sentences with one of each list, and ordinary questions.
OTHER = (
    "the my your this every that our his her one some another".split(),
    "cat dog car friend uncle neighbour boat kitchen train city school market weather lamp shoe"
    " cloud doctor farmer window garden teacher woman man child president horse driver bottle"
    " letter phone river government company book police table".split(),
    "eats likes moves sees wants opens breaks needs follows paints finds sells loves brings takes"
    " gives holds keeps makes builds carries forgets remembers hates watches".split(),
    ["potatoes", "the road", "long stories", "old pictures", "a bicycle", "the newspaper",
     "heavy boxes", "warm soup", "the moon", "rain", "dirty plates", "nice shirts", "the bridge",
     "apples", "his brother", "a red house", "green tea", "loud music", "the evening", "her hands",
     "the door slowly", "nothing at all", "ten flowers", "a good idea", "the last train"],
)
OUTSIDE = (
    "what is the weather today; will it rain tomorrow; play some music;"
    " set a timer for five minutes; turn on the light; turn off the lamp; call my mother;"
    " send a message to my brother;"
    " what is the capital of France; who is the president; what is the meaning of life;"
    " open the window; order a pizza; book a table for two; read me the news;"
    " what is on television; how do I get to the station; where is the nearest restaurant;"
    " how tall is that mountain;"
    " who won the game last night; translate this into German; sing a song; tell me a story;"
    " what should I eat; what is love; why is the sky blue; how far is the moon; buy some milk;"
    " remind me to water the flowers; wake me up at seven; what does this word mean;"
    " how do you spell computer; what is the square root of nine; divide ten by two;"
    " I am hungry; I am tired; my dog is ill; the train was late; it is cold in here;"
    " I do not like mondays; that was very good; let us go home; she is my sister; maybe later;"
    " I think so too; what a beautiful day; we had soup for dinner; he never calls me;"
    " could you write an email; show me my photos; how much money do I have; what is the news;"
    " find a good book for me; is there life on mars; who invented the telephone;"
    " what is your favourite colour; do you like football; have you seen my keys;"
    " where is my phone; when does the shop open; the answer is in the box; nobody knows that;"
    " close the door behind you; how do birds fly; what is a computer;"
    " why do cats sleep so long; give me a recipe for bread"
    " | what will the weather be tomorrow; play a song for me; what is the capital of Italy;"
    " turn the radio off; how do I cook rice; my brother lives in London; I would like a coffee;"
    " who wrote this book; how deep is the ocean; she went to the market"
    " | what is the weather like; turn up the music; what is the capital of Germany;"
    " set an alarm for six; how do I bake a cake; we are going to the beach; I need a new bicycle;"
    " who painted this picture; how old is the earth; they live next to the river")
FRONT = "so; okay; hey; hello; well; please; Parley; hey Parley; now; and; then".split("; ")
BEHIND = "please; Parley; now; then; today; right now".split("; ")
KINDS = ("sum", "faq", "manners", "count", "list", "say", "stop", "ood")
SPLITS = ("train", "held", "final")     # of the phrasings

SUMS = (                                # (a, word, b, result)
    [(a, "plus", b, a + b) for a in range(MOST + 1) for b in range(MOST + 1 - a)] +
    [(a, "minus", b, a - b) for a in range(MOST + 1) for b in range(a + 1)] +
    [(a, "times", b, a * b) for a in range(11) for b in range(11)])


# What a short training is enough for: the same conversations about fewer things.
SMALL_REPLIES = {*MANNERS, *list(FAQ)[:12]}
SMALL_WORDS = set(WORDS[:55])
SMALL_MOST = 10


def is_small(kind, text, reply):
    """Is this question in the small world? What it asks beyond it is out of the field there."""
    if kind in ("faq", "manners"):
        return reply in SMALL_REPLIES
    if kind == "sum":
        known = {number(n) for n in range(SMALL_MOST + 1)}
        a, _, b = reply[:reply.index(" is ")].split()
        return a in known and b in known
    if kind == "say":
        return reply.strip(".") in SMALL_WORDS
    if kind == "count":
        return reply.startswith("one") and reply.count(",") < SMALL_MOST
    return kind in ("stop", "ood")


def phrasings(line):
    """'a; b | c | d' -> (trained [a, b], held out [c], for the end [d])"""
    return tuple([q.strip() for q in part.split(";")] for part in line.split("|"))


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
    return f"{number(a)} {word} {number(b)} is {number(result)}."


def sum_pieces(s):
    """The five pieces in which a sum is spoken, each always alike.

    Were the sum spoken as one sentence, the sound of its first words would give away those to come,
    and the model would learn to read them there instead of listening.
    """
    a, word, b, result = s
    return [number(a) + ",", word + ",", number(b) + ",", "is,", number(result) + "."]


def list_pieces(items):
    return [item + "," for item in items[:-1]] + [items[-1] + "."]


def count_items(first, last):
    step = 1 if last >= first else -1
    return [number(n) for n in range(first, last + step, step)]


def enumerations():
    """Everything that is listed item by item -> {reply: items}"""
    runs = [count_items(1, n) for n in range(3, MOST + 1)]
    runs += [count_items(n, 1) for n in range(3, MOST + 1)]
    runs += [items for items, _ in LISTS.values()]
    return {", ".join(items) + ".": items for items in runs}


def composed():
    """Replies put together from pieces -> {reply: [(piece, how it is written)]}"""
    out = {}
    for s in SUMS:
        pieces = sum_pieces(s)
        written = [number(s[0]), s[1], number(s[2]), "is", pieces[-1]]
        out[sum_reply(s)] = list(zip(pieces, written))
    for reply, items in enumerations().items():
        out[reply] = [(piece, piece) for piece in list_pieces(items)]
    return out


def spoken():
    """Everything that the synthesiser speaks in one breath: whole replies, pieces of others."""
    whole = [GREETING, STOPPED, AGAIN, *MANNERS, *FAQ, *(w + "." for w in WORDS)]
    return whole + sorted({piece for parts in composed().values() for piece, _ in parts}
                          - set(whole))


def replies():
    """Every sentence that the model can say."""
    return ([GREETING, STOPPED, AGAIN] + list(MANNERS) + list(FAQ) + list(composed()) +
            [w + "." for w in WORDS])


def draw_sum(rng):
    """Half of them by their operation, so that times is not rare; small numbers more often."""
    if rng.random() < 0.4:
        a, b = (int(n) for n in rng.integers(11, size=2))
        word = ("plus", "minus", "times")[rng.integers(3)]
        if word == "minus":
            a, b = max(a, b), min(a, b)
        return a, word, b, dict(plus=a + b, minus=a - b, times=a * b)[word]
    return SUMS[rng.integers(len(SUMS))]


def dressed(rng, question):
    """A phrasing to train on with a word in front or behind, but never one that is held out."""
    front = FRONT[rng.integers(len(FRONT))] if rng.random() < 0.2 else ""
    behind = BEHIND[rng.integers(len(BEHIND))] if rng.random() < 0.1 else ""
    dressed_up = " ".join(word for word in (front, question, behind) if word)
    return question if dressed_up in held_phrasings() else dressed_up


def ask(rng, kind, phrasing="train"):
    """-> (what the user says, what the model answers); phrasing: one of SPLITS"""
    def draw(items):
        return items[rng.integers(len(items))]

    def phrase(line):
        question = draw(phrasings(line)[SPLITS.index(phrasing)])
        plain = phrasing != "train" or kind in ("manners", "stop")
        return question if plain else dressed(rng, question)

    if kind == "sum":
        s = draw_sum(rng)
        return phrase(ASK_SUM).format(f"{number(s[0])} {s[1]} {number(s[2])}"), sum_reply(s)
    if kind in ("faq", "manners"):
        world = FAQ if kind == "faq" else MANNERS
        reply = draw(list(world))
        return phrase(world[reply]), reply
    if kind == "count":
        n, down = int(rng.integers(3, MOST + 1)), rng.random() < 0.4
        items = count_items(n, 1) if down else count_items(1, n)
        return phrase(ASK_DOWN if down else ASK_COUNT).format(number(n)), ", ".join(items) + "."
    if kind == "list":
        items, line = LISTS[draw(list(LISTS))]
        return phrase(line), ", ".join(items) + "."
    if kind == "say":
        word = draw(WORDS)
        return phrase(ASK_SAY).format(word), word + "."
    if kind == "stop":
        return phrase(ASK_STOP), STOPPED
    if kind == "ood":
        if rng.random() < 0.6:
            return phrase(OUTSIDE), AGAIN
        return " ".join(draw(part) for part in OTHER), AGAIN
    raise KeyError(kind)


def every_line():
    lines = [*MANNERS.values(), *FAQ.values(), ASK_SUM, ASK_COUNT, ASK_DOWN, ASK_SAY, ASK_STOP,
             OUTSIDE]
    return lines + [line for _, line in LISTS.values()]


@functools.lru_cache(1)
def held_phrasings():
    return {q for line in every_line() for part in phrasings(line)[1:] for q in part}


def user_vocabulary():
    """Every word a user can say -> its class in the listening head; 0 is 'none ends here'."""
    texts = [*FRONT, *BEHIND]
    texts += [q.replace("{}", "")
              for line in every_line() for part in phrasings(line) for q in part]
    texts += [phrase for part in OTHER for phrase in part]
    words = {w for text in texts for w in text.split()}
    words |= {number(n) for n in range(MOST + 1)} | set(WORDS) | {"plus", "minus", "times"}
    return {w: i + 1 for i, w in enumerate(sorted(words))}
