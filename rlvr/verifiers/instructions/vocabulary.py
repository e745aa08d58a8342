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
abandon absorb accelerate accept access accompany account accumulate accuse achieve acknowledge act activate adapt add
address adjust admire admit adopt adore advance advertise advise affirm agree aim align allocate allow alter amaze
analyse analyze annotate announce annoy answer anticipate apologise apologize appear append applaud apply appoint
appreciate approach approve argue arise arouse arrange arrive articulate ask aspire assemble assert assess assign assist
assume attach attack attain attempt attend attract automate avoid await awaken babysit backup bake balance bark batch
bathe be bear beat become beg begin behave behold believe belong bend benefit bet beware bind bite blame blend bless
blink blow boast boil boost borrow bounce brainstorm break breathe brew bring broaden browse brush build burn burst bury
buy calculate calibrate call calm cancel capture care carry carve cast catch cater cause caution cease celebrate
challenge change charge chase cheat check cherish chew choose chop chuckle circle claim clap clarify classify clean
clear clench click climb close clutch coat coax collaborate collapse collect combine come comfort command commence
comment commit communicate commute compare compensate compete compile complain complement complete comply compose
comprehend compress compute conceal concede conceive concentrate conclude condense conduct confer confess confide
configure confine confirm confront congratulate connect conquer consider consist construct consult consume contact
contain contemplate continue contrast contribute control converse convert convey convince cook cooperate cope copy
correct correspond cost could count cover crack craft crash crawl create cross crouch crumble crush cry cultivate
customize cut cycle dab dance dare dazzle deal debug decide declare decline decode decompose decorate decrease dedicate
deduce deduct deepen defeat defend define degrade delay delete deliver delve demand demonstrate deny depart depend
depict deploy depress derive descend describe deserve design desire destroy detach detect deter determine develop
deviate devise devote devour differ differentiate dig diminish dine dip disable disagree disappear discard disconnect
discourage discover discuss dismiss display dispose dissolve distinguish distract distribute disturb dive divert divide
divorce do document dominate donate double doubt download doze draft drag drain drape draw dream drift drill drink drip
drive drop drown duplicate dwell earn ease eat edit educate elaborate elect elevate eliminate embark embed embrace
emerge emit emphasise emphasize employ empower enable encode encounter encourage encrypt end endorse endure enforce
engage enhance enjoy enlist enrich enroll ensure entail enter entertain entitle envision equip erase erode erupt escape
establish estimate evacuate evaluate evoke evolve exaggerate examine exceed excel exchange excite exclude excuse execute
exercise exhale exhaust exhibit exist expand expect experience experiment explain exploit explore export express extend
extinguish extract face fade fail fall fasten feed feel ferment fetch fight figure fill filter find finish fix flatten
flatter flee flip float flourish flow fluctuate fly focus fold follow forbid foresee forge forget forgive form format
formulate foster found frame freeze fry fulfill gain garnish gather gaze generate get giggle give glance glide glow go
google govern grab grant grasp grate greet grill grin grind groom grow guard guess guide hack halt hammer handle hang
happen harness hate haunt have heal hear heat heed help hide highlight hike hire hit hold honor honour hop hope hover
howl hug hum hunt hurry hydrate idealize identify ignite ignore illuminate illustrate imagine immerse implement implore
imply import impose impress imprison improve incline incorporate increase indicate indulge infer inflate influence
inform inhabit inhale inherit inhibit initialize initiate inject injure innovate inquire insert insist inspect inspire
install instruct insulate insure integrate intend interact interpret interrupt intervene introduce introspect invent
invest investigate invite invoke involve irritate isolate iterate jog join jot journey judge juggle jump justify keep
kick kill kiss knead kneel knit knock know label lament land laugh launch lay lead lean leap learn leave lend let
leverage lick lie lift light limit link list listen live load localize locate lock lodge log long look loosen lose love
lower lubricate magnify maintain make manage manipulate map march marinate mark marry marvel mash massage master match
maximize may mean measure meditate meet melt memorize mention mentor merge might migrate mimic mind minimize miss mix
moan mock modernize modify moisturize monitor mop motivate mourn move mow multiply mumble munch murmur must nag name
narrate navigate need neglect negotiate nestle nod nominate normalize note notice notify nourish nurture obey observe
obstruct obtain occupy occur offer omit ooze open operate oppose optimize order organize originate overcome oversee
overtake owe own pack package pad paint pamper parse participate pass pause pay peek peel perceive perform permit
persevere persist persuade photograph pick picture pivot place plait plan plant play plead please pluck plunge poach
point poke polish ponder populate portray possess postpone pour practice practise praise pray preach prefer preheat
prepare prescribe present preserve press presume pretend prevail prevent prick prime print prioritize probe proceed
process produce prohibit prolong promise promote pronounce propagate propel propose prosper protect prove provide prune
publicize publish puff pull punch punish purchase purify pursue push put quantify quarrel question quit raise rank
rattle reach react read realign realise realize reassure rebel rebuild recall receive recite reckon recline recognize
recollect recommend reconcile reconsider record recover recreate recur recycle redeem redesign redirect redo reduce
refactor refer refine reflect refrain refresh refuse refute regain regard regret regulate rehearse reign reinforce
reiterate reject rejoice relate relax release relieve relocate rely remain remember remind remove rename render renew
renovate reorganize repair repay repeat repent rephrase replace replicate reply report represent reproduce request
require rescue research reserve reside resign resist resize resolve respect respond rest restart restate restore
restrict result resume retain retell rethink retire retreat retrieve retry return reuse reveal reverse revert review
revise revisit revive revolutionize rewrite rid ride ring rinse rip ripen rise roam roar rob roll rotate rub ruin rule
run rush salute salvage satisfy save say scan scatter schedule scold scoop scrape scratch scream scroll scrub sculpt
seal search season seat secure see seek seem select sell send sense separate serve set settle sew shake shall shape
share sharpen shave shed shift shine shiver shoot shorten should shout shovel show shred shrink shrug shuffle shun shut
sigh sign signal simplify simulate sing sink sip sit skate sketch skim skip slam slap slash sleep slice slide slip slow
smash smear smell smile sneak sneeze sniff snore soak soar socialize soften solidify solve soothe sort sound spare
sparkle spawn speak specify spell spend spin spit splash spoil spread sprinkle sprint stab stand standardize stare start
starve state stay steal steer step sterilize stick stimulate stir stitch stop store strengthen stretch strike strive
stroll structure struggle study submit subscribe substitute subtract succeed suck sue suffer suffocate suggest suit sum
summarize summon supervise supply support suppose suppress surf surrender surround survive sustain swallow sway swear
sweep swim swing swirl switch symbolize sympathize sync synthesize tackle tailor take talk taste teach tear tell tempt
tend terminate terrify test thank thaw thicken think threaten thrive throw tickle tidy tie tighten toggle tolerate touch
track trade train transform translate transport travel treat tremble trigger trip trot troubleshoot trust try tuck tug
tumble turn twist type uncover undergo underline understand undertake undo unfold unite unleash unlock unpack unplug
unravel unveil unwind unwrap update upgrade upload urge use utilize vaccinate validate value vanish vary ventilate
venture verbalize verify vibrate view violate visit visualize vow wait wake walk wander want warn wash waste watch waver
weaken wear weave weep weigh welcome whisk whisper widen wiggle win wipe wish withdraw withhold withstand witness wonder
work worry worship would wrap wrestle wriggle write yawn yearn yell yield zip zoom
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
    """Gives whether a lower-case word is a listed verb or its -s or -ed form, or ends in -ing as participles do.

    Verbs in -ise are listed with a z.
    """
    word = word.replace("ise", "ize") if word not in VERBS else word
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
