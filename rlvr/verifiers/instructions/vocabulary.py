"""Lists of English words and ranges of signs that the checks need offline."""


def _listed(text: str) -> frozenset[str]:
    return frozenset(text.split())


# fmt: off
STOP_WORDS = _listed("""
i me my myself we our ours ourselves you your yours yourself yourselves he him his himself she her hers herself it its
itself they them their theirs themselves this that these those who whom which what
am is are was were be been being have has had having do does did doing will can should shall
a an the and but if or because as until while so than nor not no
of at by for with about against between into through during before after above below to from up down in out on off over
under again further then once here there when where why how
all any both each few more most other some such only own same too very just now
s t d m o y ll re ve ma don ain aren couldn didn doesn hadn hasn haven isn mightn mustn needn shan shouldn wasn weren
won wouldn
""")
"""English function words, and the pieces of their contractions as runs: "don't" is "don" and "t"."""

CONJUNCTIONS = frozenset(("for", "and", "nor", "but", "or", "yet", "so"))
"""The coordinating conjunctions."""

PRONOUNS = _listed("""
i me my mine myself we us our ours ourselves you your yours yourself yourselves he him his himself she her hers herself
it its itself they them their theirs themselves this that these those who whom whose which what whoever whomever
whatever whichever anybody anyone anything everybody everyone everything nobody nothing somebody someone something each
either neither both all some any none
""")
"""Personal, possessive, reflexive, demonstrative, relative, interrogative and indefinite pronouns."""

NAMES = (
    "Emma", "Liam", "Sophia", "Jackson", "Olivia", "Noah", "Ava", "Lucas", "Isabella", "Mason", "Mia", "Ethan",
    "Charlotte", "Alexander", "Amelia", "Benjamin", "Harper", "Leo", "Zoe", "Daniel", "Chloe", "Samuel", "Lily",
    "Matthew", "Grace", "Owen", "Abigail", "Gabriel", "Ella", "Jacob", "Scarlett", "Nathan", "Victoria", "Elijah",
    "Layla", "Nicholas", "Audrey", "David", "Hannah", "Christopher", "Penelope", "Thomas", "Nora", "Andrew", "Aria",
    "Joseph", "Claire", "Ryan", "Stella", "Jonathan",
)
"""The names that the instruction of count:person_names lists."""

CAPITALS = (
    "Reykjavik", "Helsinki", "Oslo", "Tallinn", "Stockholm", "Riga", "Moscow", "Copenhagen", "Vilnius", "Minsk",
    "Dublin", "Berlin", "Amsterdam", "Warsaw", "London", "Brussels", "Kyiv", "Prague", "Luxembourg", "Paris", "Vienna",
    "Bratislava", "Budapest", "Vaduz", "Chisinau", "Bern", "Ljubljana", "Zagreb",
)
"""Capitals of European countries north of 45 degrees, from north to south."""

ABBREVIATIONS = _listed("""
adm al apr approx apt assn aug ave blvd bros ca capt cf co col comdr corp cpl dec dept dr ed eg eq esp est etc ex
feb fig figs gen gov hon ie inc jan jr ltd lt maj messrs mr mrs ms mt mts no nos nov oct op p pp prof rep rev rt sen
sept sgt sr st v vol vs
""")
"""English abbreviations that a full stop follows inside a sentence, without their own dots."""

MINOR_WORDS = _listed("""
a an the and but or nor for so yet as at by in of off on per to up via with from into
""")
"""Articles, conjunctions and short prepositions, which title case leaves in small letters."""

VERBS = _listed("""
accept access account achieve acknowledge act adapt add address adjust adopt advance advise affirm agree aim align allow
alter analyze analyse answer anticipate apologize apologise appear apply appreciate approach approve argue arise arrange
arrive ask aspire assemble assert assess assign assist assume attach attack attempt attend attract avoid await awaken
bake balance be bear beat become beg begin behold believe belong bend bet beware bind bite blame blend bless blow boast
boil boost borrow bounce break breathe bring broaden browse build burn burst bury buy calculate call calm cancel capture
care carry carve cast catch cause cease celebrate challenge change charge chase check cherish choose chop circle claim
clarify classify clean clear click climb close coat collaborate collapse collect combine come comfort command commence
comment commit communicate compare compete compile complete compose comprehend compute conceal concentrate conclude
conduct confess configure confirm confront connect conquer consider consist construct consult consume contact contain
contemplate continue contrast contribute control convert convey convince cook cooperate cope copy correct cost could
count cover crack craft crash crawl create cross crush cry cultivate cut dance dare deal debug decide declare decline
decorate decrease dedicate deepen defend define delay delete deliver delve demand demonstrate deny depart depend depict
deploy derive descend describe deserve design desire destroy detect determine develop devise devote dig diminish dine
disable disagree disappear discard discover discuss dismiss display dissolve distinguish distribute dive divide do
document donate double doubt download draft drag draw dream drink drive drop earn ease eat edit educate elaborate
elevate eliminate embark embrace emerge emphasize emphasise employ empower enable encounter encourage end endure engage
enhance enjoy enrich ensure enter envision escape establish estimate evaluate evolve examine exceed exchange execute
exercise exhale exist expand expect experience experiment explain explore export express extend extract face fade fail
fall feed feel fetch fight figure fill filter find finish fix flee float flourish flow fly focus fold follow forbid
forge forget forgive form formulate foster found frame freeze fry fulfill gain gather gaze generate get give glance
glide glow go grab grant grasp greet grin grow guard guess guide handle hang happen harness hate have heal hear heat
help hide highlight hire hit hold honor honour hope hug hunt hurry identify ignite ignore illuminate illustrate imagine
implement imply import improve incorporate increase indicate indulge influence inform inhale initialize initiate inquire
insert insist inspect inspire install integrate intend interact interpret introduce invent invest investigate invite
involve join journey judge jump justify keep kick kill kiss kneel knit knock know label land laugh launch lay lead lean
leap learn leave lend let leverage lie lift light limit link list listen live load locate lock long look lose love
lower maintain make manage manipulate map march mark marry master match maximize may mean measure meditate meet melt
mention merge might migrate mind minimize miss mix modify monitor motivate move multiply must name narrate navigate need
negotiate nestle note notice nourish nurture obey observe obtain occur offer open operate optimize order organize
originate overcome owe own paint participate pass pause pay perceive perform permit persist persuade picture place plan
plant play plead please plunge point ponder portray possess pour practice practise praise pray prefer prepare present
preserve press pretend prevent print prioritize proceed process produce promise promote propose protect prove provide
publish pull purchase pursue push put question quit raise reach react read realize realise rebuild recall receive
recognize recommend record recreate reduce refer refine reflect refrain refuse regard regret reject rejoice relate relax
release rely remain remember remind remove rename render repair repeat replace reply report represent request require
rescue research reserve resist resolve respect respond rest restore result retain retire retrieve return reveal reverse
review revise revisit revolutionize rewrite ride ring rise roll rotate rule run rush save say scan schedule scream seal
search season secure see seek seem select sell send sense separate serve set settle shake shall shape share sharpen
shift shine shoot should shout show shut sigh sign simplify simulate sing sink sit sketch skip sleep slice slide slow
smell smile solve sort sound sparkle speak specify spend spin spread stand stare start state stay steal step stick stir
stop store stretch strike strive structure struggle study submit succeed suffer suggest suit sum summarize summon supply
support suppose surrender surround survive sustain swear sweep swim swing switch take talk taste teach tear tell tend
test thank think thrive throw tie touch track trade train transform translate transport travel treat trigger trust try
turn twist type uncover understand unite unleash unlock unravel update upgrade upload use utilize validate value vanish
vary venture verify view visit visualize wait wake walk wander want warn wash waste watch wear weave welcome whisper win
wish witness wonder work worry would wrap write yearn yield
am is are was were been being has had having does did done doing can cannot will won't don't can't isn't aren't let's
went gone got gotten gave given took taken made said saw seen knew known thought found told felt left kept held brought
began begun wrote written stood lost paid met ran sat spoke spoken led grew grown fell fallen sent built spent cut
understood drew drawn broke broken wore worn chose chosen ate eaten drove driven slept taught sold caught fought flew
flown threw thrown shown shone woke hid hidden rose risen sang sung swam
""")
"""Common English verbs in their base form, auxiliaries, and irregular past forms."""
# fmt: on

_NOT_PARTICIPLES = _listed("""
anything beijing boeing ceiling clothing darling during dumpling duckling earring evening everything herring inkling
king lightning morning nothing offspring pudding ring seedling shilling sibling something sterling string spring
thing viking wing wedding
""")
"""Common words that end in -ing and are no form of a verb."""

_EMOJI_RANGES = (
    (0x1F000, 0x1FAFF),
    (0x2600, 0x27BF),
    (0x2300, 0x23FF),
    (0x2B00, 0x2BFF),
    (0x25A0, 0x25FF),
    (0x2190, 0x21FF),
    (0x3297, 0x3299),
    (0x1F1E6, 0x1F1FF),
)
EMOJI = frozenset(code for first, last in _EMOJI_RANGES for code in range(first, last + 1)) | {0x203C, 0x2049, 0x2122}
"""Code points that are shown as an emoji; the blocks of symbols and arrows are taken whole."""


def is_emoji(character: str) -> bool:
    """Gives whether a character is shown as an emoji."""
    return ord(character) in EMOJI


def is_verb(word: str) -> bool:
    """Gives whether a lower-case word is a listed verb or its -s or -ed form, or ends in -ing as participles do."""
    if word in VERBS or (word.endswith("ing") and len(word) > 4 and word not in _NOT_PARTICIPLES):
        return True
    for ending in ("ied", "ies", "ed", "es", "s", "d"):
        if word.endswith(ending) and len(word) > len(ending) + 1:
            stem = word.removesuffix(ending)
            doubled = stem[:-1] if len(stem) > 2 and stem[-1] == stem[-2] else stem
            if not VERBS.isdisjoint((stem, f"{stem}e", f"{stem}y", doubled)):
                return True
    return False


def syllables(word: str) -> int:
    """Gives about how many syllables an English word has: its groups of vowels, without silent endings; at least 1."""
    letters = [letter for letter in word.lower() if "a" <= letter <= "z"]
    plain = "".join(letters)
    vowels = [letter in "aeiouy" for letter in plain]
    count = sum(now and not before for now, before in zip(vowels, [False, *vowels], strict=False))
    silent_e = plain.endswith("e") and not plain.endswith(("le", "ee", "ie", "ye", "oe", "ue"))
    le_after_vowel = plain.endswith("le") and len(plain) > 2 and plain[-3] in "aeiouy"
    silent_ending = plain.endswith(("es", "ed")) and len(plain) > 3 and not vowels[-3]
    spoken = plain.endswith(("ses", "zes", "xes", "ches", "shes", "ces", "ges", "ted", "ded", "les"))
    if silent_e or le_after_vowel or (silent_ending and not spoken):
        count -= 1
    hiatus = sum(plain.count(pair) for pair in ("ia", "eo", "io", "ua", "iu")) - sum(
        plain.count(one) for one in ("tion", "sion", "cia", "tia", "gio", "cio", "qua", "gua", "geo", "sua", "xio")
    )
    return max(1, count + max(hiatus, 0))
