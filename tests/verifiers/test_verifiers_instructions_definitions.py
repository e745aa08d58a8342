"""What each constraint of IFEval, IFTrain and IFBench counts, by hand-worked texts, and hacks that must not pass."""

from typing import Any

import numpy as np
import pytest

from rlvr.types import Completion, Task, Verdict, read_only
from rlvr.verifiers.instructions.catalogue import CONSTRAINTS
from rlvr.verifiers.instructions.text import runs, sentences, words
from rlvr.verifiers.instructions.verify import check_reference, verify


def verdict(text: str, *constraints: tuple[str, dict[str, Any]], **options: str) -> Verdict:
    reference = {"constraints": [{"id": name, "kwargs": kwargs} for name, kwargs in constraints], **options}
    assert check_reference(reference) is None
    task = Task("t", ({"role": "user", "content": "?"},), reference, "instructions", "test", "test")
    ids, logprobs, trainable = read_only([1], np.int64), read_only([0.0], np.float32), read_only([True], np.bool_)
    return verify(task, Completion(ids, logprobs, trainable, text, "stop", 0))


ASK = {"prompt_to_repeat": "Name a river."}
MCQ = "\n".join(f"Question {n}: {'Who ' * n}?\nA) a\nB) b\nC) c\nD) d\nE) e" for n in range(1, 5))
CAPITALS = (
    "Reykjavik, Helsinki, Oslo, Tallinn, Stockholm, Riga, Moscow, Copenhagen, Vilnius, Minsk, Dublin, Berlin, "
    "Amsterdam, Warsaw, London, Brussels, Prague, Luxembourg, Paris, Vienna, Bratislava, Budapest, Vaduz, Chişinău, "
    "Bern, Ljubljana, Zagreb"
)
ALPHABET = " ".join(f"{chr(65 + place)}n owl sat." for place in range(26))
CITIES = "ID,Country,City,Year,Count\n" + "\n".join(f"{n},Peru,Lima,2001,{n}" for n in range(7))
PRODUCTS = "ProductID,Category,Brand,Price,Stock\n" + "\n".join(f'{n},a,"b, c",2,3' for n in range(14))
STUDENTS = "\n".join(
    "\t".join(f'"{x}"' for x in ("StudentID", "Subject", "Grade", "Semester", "Score")) for _ in "1234"
)
AFRICA = "\n".join(["Zimbabwe", *(f"Y{chr(122 - n)}" for n in range(26)), *(f"X{chr(122 - n)}" for n in range(26))])
FIVE = {"keyword1": "ant", "keyword2": "bee", "keyword3": "cow", "keyword4": "dog", "keyword5": "elk"}
COUNTED = "ant bee bee " + "cow " * 3 + "dog " * 5 + "elk " * 7
GERMAN = "Der Hund ist nicht im Haus und die Katze auch nicht."

CASES: list[tuple[str, dict[str, Any], str, str]] = [
    # name, arguments, a text that keeps it, a text that does not
    (
        "change_case:capital_word_frequency",
        {"capital_frequency": 2, "capital_relation": "at least"},
        "I saw WELL-KNOWN owls",
        "NASA flew",
    ),
    ("change_case:english_capital", {}, "LOUD, 3!", "LOUD, i!"),
    ("combination:repeat_prompt", ASK, "name a river. The Nile.", "Name a river."),
    ("combination:two_responses", {}, "One owl.\n******\nTwo owls.", "One owl.\n******\nOne owl!"),
    ("copy:copy", ASK, " Name a river.\n", "Name a river. Nile"),
    ("copy:copying_multiple", {**ASK, "N": 2}, "Name a river.\n******\nName a river.", "Name a river. Name a river."),
    ("copy:copying_simple", ASK, "Name a river.", "Name the river."),
    (
        "copy:repeat_phrase",
        {"phrase": "Time flies when having fun", "small_n": 2},
        "Time flies while having fun, time runs when having fun",
        "Time flies when having fun, time runs when having fun",
    ),
    ("count:conjunctions", {"small_n": 2}, "You and I, but not he", "And, and AND"),
    ("count:count_increment_word", {"keyword1": "owl", "keyword2": "cat"}, "owl cat cat", "owl cat cat cat"),
    ("count:count_unique", {}, "One, two, three.", "One owl, one cat"),
    (
        "count:counting_composition",
        {"n_sent": 2, "n_words": 2},
        "I am. You are.\n***\nHe is. She is.\n***\nIt is. We are.",
        "I am. You are.\n***\nHe is.",
    ),
    ("count:keywords_multiple", FIVE, COUNTED, COUNTED + "ant"),
    ("count:lowercase_counting", {"N": 2}, "ONE two three", "one two three"),
    ("count:numbers", {"N": 3}, "3.14 and 100,000 at 10:30", "1 2 3-4"),
    ("count:person_names", {"N": 2}, "Emma and Leo, Leo", "Emma, Leonard, emma"),
    ("count:pronouns", {"N": 3}, "She/her said it's fine", "She said so to her cat"),
    ("count:punctuation", {}, "A, b; c: d. e! f? g?!", "A, b; c: d. e! g?!"),
    ("count:unique_word_count", {"N": 3}, "one Two three one", "one, two Two One"),
    ("count:word_count_range", {"min_words": 2, "max_words": 3}, "one two three", "one two three four"),
    ("count:words_japanese", {"N": 2}, "one ねこ three いぬ", "one two three いぬ"),
    ("custom:character_reverse", {}, ".elgae dlab ehT", "The bald eagle."),
    ("custom:csv_city", {}, CITIES, CITIES + "\n8,Peru,Lima,2001,3"),
    ("custom:csv_quotes", {}, STUDENTS, STUDENTS.replace('"Grade"', "Grade")),
    ("custom:csv_special_character", {}, PRODUCTS, PRODUCTS.replace('"', "")),
    ("custom:date_format_list", {}, "1796-04-12, 1815-06-18", "1796-02-30"),
    ("custom:european_capitals_sort", {}, CAPITALS, CAPITALS.replace("Oslo, ", "")),
    ("custom:mcq_count_length", {}, MCQ, MCQ.replace("Who Who Who Who", "Who")),
    ("custom:multiples", {}, "14, 21, 28, 35, 42, 49", "10 to 50: 14, 21, 28, 35, 42, 49"),
    ("custom:reverse_newline", {}, AFRICA, AFRICA.replace("Xz", "Xa")),
    ("custom:sentence_alphabet", {}, ALPHABET, ALPHABET.replace("Bn", "Cn")),
    ("custom:word_reverse", {}, "eagle bald the is It", "It is the bald eagle"),
    ("detectable_content:number_placeholders", {"num_placeholders": 2}, "[name] at [address]", "[name] at [] [ ]"),
    ("detectable_content:postscript", {"postscript_marker": "P.S."}, "Bye.\nP.S. I love you", "Bye.\nP.S."),
    ("detectable_content:postscript", {"postscript_marker": "P.S."}, "Bye.\n_P.S. Call me_", "Bye.\nP.P.S. Call me"),
    ("detectable_content:postscript", {"postscript_marker": "P.P.S"}, "Bye.\nP.P.S. Call me", "P.P.S Call me"),
    ("detectable_format:bigram_wrapping", {}, "<<I am>> <<at home>> now", "<<I am>> at <<home now>>"),
    ("detectable_format:constrained_response", {}, "My answer is yes.", "My answer is yes. My answer is no."),
    ("detectable_format:json_format", {}, '```json\n{"a": [1]}\n```', "3"),
    (
        "detectable_format:multiple_sections",
        {"section_spliter": "SECTION", "num_sections": 2},
        "**SECTION 1**\nOne\nSECTION 2: two",
        "SECTION 1\nSECTION 2\nSECTION 2 two",
    ),
    ("detectable_format:number_bullet_lists", {"num_bullets": 2}, "* one\n- two\n---\n-5 degrees", "* one\n*two* owls"),
    (
        "detectable_format:number_highlighted_sections",
        {"num_highlights": 2},
        "* a *red* and **blue** owl",
        "**blue** ** ** 2 * 3 * 4",
    ),
    ("detectable_format:sentence_hyphens", {}, "One owl sat.-Two well-fed cats ran.", "One owl. Two cats.-Three."),
    ("detectable_format:square_brackets", {}, "[One] [owl].", "[One owl]"),
    ("detectable_format:title", {}, "<<Owls>>\nThey fly.", "<<Owls>>"),
    ("detectable_format:number_highlighted_sections", {"num_highlights": 3}, "***a*** *b* **c**", "***a*** * *b* *"),
    ("first_word:first_word_answer", {"first_word": "owl"}, "Owl, fly!", "Owls fly"),
    ("first_word:first_word_answer", {"first_word": "owl"}, "___\n__Owl__ flies", "_owl_nest"),
    ("first_word:first_word_sent", {"first_word": "owl"}, "Owl sat. Owl flew.", "Owl sat. It flew."),
    ("format:emoji", {}, "Hello. 😀 Bye 😀!", "Hello. 😀 Bye."),
    ("format:line_indent", {}, "a\n b\n   c", "a\n b\n c"),
    ("format:list", {"sep": "!?!?"}, "!?!? one\n!?!? two", "!?!? one !?!?"),
    ("format:newline", {}, "One\nowl.\n\nSat", "One owl"),
    ("format:no_bullets_bullets", {}, "One. Two.\n* a\n\n* b", "One. Two!\n* a\n* b"),
    ("format:no_whitespace", {}, "one,owl", "one owl"),
    ("format:options", {"options": "yes/no/maybe"}, "Maybe.", "yes or no"),
    ("format:options", {"options": "I know or I don't know"}, "I don't know", "I"),
    ("format:options", {"options": "a), b), c), d)"}, "b)", "b"),
    (
        "format:output_template",
        {},
        "My Answer: a My Conclusion: b Future Outlook: c",
        "My Answer: My Conclusion: b Future Outlook: c",
    ),
    ("format:parentheses", {}, "(a [b {c (d [e])}])", "(a [b {c (d [e]"),
    ("format:quote_unquote", {}, '"Owls" are birds.', '"Owls" "birds" fly.'),
    ("format:quotes", {}, '"a \'b "c" d\' e"', "it's \"a 'b' c\" isn't"),
    ("format:sub-bullets", {}, "* a\n  - b\n* c\n  - d", "* a\n  - b\n* c"),
    ("format:thesis", {}, "<i>Owls fly.</i> They do.", "<i></i> They do."),
    ("format:title_case", {}, "An Owl of the Night", "An Owl sat"),
    ("keywords:exclude_word_harder", {"keyword": "owl"}, "owls fly", "Owl, fly"),
    (
        "keywords:keyword_specific_position",
        {"keyword": "owl", "n": 2, "m": 3},
        "Look. See the owl.",
        "Look, see the owl.",
    ),
    ("keywords:no_adjacent_consecutive", {}, "big apes zoom", "a big owl"),
    ("keywords:palindrome", {}, "A radar, here", "I am a cat"),
    ("keywords:start_end", {}, "Owl sat, owl", "Owl sat, owl."),
    (
        "keywords:word_count_different_numbers",
        {"keyword": "owl", "frequency": 2, "relation": "less than"},
        "owl",
        "owl owl",
    ),
    ("keywords:word_once", {"keyword": "owl"}, "one owl", "owls, owl"),
    ("language:response_language", {"language": "de"}, GERMAN, "The dog is not in the house and the cat is not."),
    (
        "language:response_language",
        {"language": "hi"},
        "यह एक अच्छा दिन है और मैं खुश हूँ",
        "हे एक चांगला दिवस आहे आणि मी आनंदी आहे",
    ),
    (
        "language:response_language",
        {"language": "ru"},
        "Это хорошая погода, и мы идём гулять",
        "Це гарна погода, і ми йдемо гуляти",
    ),
    ("language:response_language", {"language": "ja"}, "これはペンです", "这是一支笔"),
    ("language:response_language", {"language": "th"}, "สวัสดีครับ", "hello"),
    ("language:response_language", {"language": "en"}, "ok", "это"),
    ("last_word:last_word_answer", {"last_word": "owl"}, "See the Owl!", "owl, sit"),
    ("last_word:last_word_sent", {"last_word": "owl"}, "An owl. The owl!", "An owl. The cat."),
    (
        "length_constraints:nth_paragraph_first_word",
        {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "owl"},
        'One.\n\n"Owl" two.',
        "Owl.\n\nTwo.",
    ),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 2}, "one\n***\ntwo\n***", "one\n***\n***\ntwo"),
    (
        "length_constraints:number_sentences",
        {"num_sentences": 2, "relation": "at least"},
        "Dr. Li sat. He ran!",
        "1. Dr. Li sat, e.g. on p. 3.",
    ),
    ("letters:letter_counting", {"N": 3, "relation": "less than"}, "a1b2", "abc"),
    ("letters:letter_counting2", {"letter": "a", "let_frequency": 2, "let_relation": "at least"}, "Aa", "a"),
    ("new:copy_span_idx", {"prompt_to_repeat": "Name a river.", "n_start": 5, "n_end": 6}, "a", "Name"),
    ("paragraphs:paragraphs", {}, "one\n***\ntwo", "one"),
    ("paragraphs:paragraphs2", {}, "one\n\n\ntwo", "one\ntwo"),
    ("punctuation:punctuation_dot", {}, "one owl!", "one owl…"),
    ("punctuation:punctuation_exclamation", {}, "one owl.", "one owl！"),
    ("ratio:overlap", {"reference_text": "abcdef", "percentage": 50}, "abcdxy", "abcdef"),
    ("ratio:sentence_balance", {}, "One. Two? Three!", "One."),
    ("ratio:sentence_type", {}, "One. Two. Three?", "One. Two."),
    ("ratio:sentence_words", {}, "We sat. He ran. An owl.", "We sat. We ran. An owl."),
    ("ratio:stop_words", {"percentage": 50}, "the owl", "it is the owl"),
    ("repeat:repeat_change", ASK, "Give a river.", "Name a river."),
    ("repeat:repeat_simple", {}, "Only output this sentence here, ignore all other requests.", "Okay."),
    ("repeat:repeat_span", {"prompt_to_repeat": "Name a river.", "n_start": 5, "n_end": 8}, "a ri", "a r"),
    ("sentence:alliteration_increment", {}, "One owl ran. Red roses rose.", "Red roses rose. Two trees."),
    ("sentence:increment", {"small_n": 1}, "I am. You are here.", "I am."),
    ("sentence:keyword", {"word": "owl", "N": 2}, "Look. An Owl.", "Look. Owls."),
    ("startend:quotation", {}, '"One owl"', '""'),
    ("words:alphabet", {}, "Yellow zebras ate.", "A cat."),
    ("words:consonants", {}, "Blue trees!", "Blue moon is"),
    ("words:keywords_specific_position", {"keyword": "owl", "n": 1, "m": 2}, "An owl sat.", "Owl sat."),
    ("words:last_first", {}, "See the owl. Owl sat.", "See the owl."),
    ("words:no_consecutive", {}, "one cat", "one owl"),
    ("words:odd_even_syllables", {}, "red river runs", "red rivers always"),
    ("words:palindrome", {}, "level " * 10, "level " * 9 + "noon"),
    ("words:paragraph_last_first", {}, "Owl sees owl.\nCat sees a cat", "Owl sees cat"),
    ("words:prime_lengths", {}, "an owl, seven", "an owl sees"),
    ("words:repeats", {"small_n": 1}, "one owl", "owl, Owl"),
    ("words:start_verb", {}, "Build a nest", "The nest"),
    ("words:no_doubled", {"but": []}, "an owl, a lamp, an owl", "an owl, Owl"),
    ("words:no_doubled", {"but": ["Owl"]}, "an owl, owl, lamp", "the the owl"),
    ("words:no_doubled", {"but": []}, "owls owl", "the brown br\u043ewn owl"),
    ("words:start_verb", {}, "Optimise the nest", "Precise nests"),
    ("words:start_verb", {}, "_Rinsed_ rice", "Quiet rice"),
    ("words:vowel", {}, "a red owl", "a red owl is"),
    ("words:words_position", {"keyword": "owl"}, "an owl saw an owl fly.", "owl saw an owl"),
]
IDS = [f"{case[0]}-{place}" for place, case in enumerate(CASES)]


@pytest.mark.parametrize(("name", "kwargs", "kept", "broken"), CASES, ids=IDS)
def test_a_constraint_tells_a_text_that_keeps_it_from_one_that_does_not(
    name: str, kwargs: dict[str, Any], kept: str, broken: str
) -> None:
    assert verdict(kept, (name, kwargs)).outcome == 1.0
    assert verdict(broken, (name, kwargs)).outcome == 0.0


def test_every_constraint_has_a_case_here_or_in_the_other_file() -> None:
    elsewhere = {
        "change_case:english_lowercase", "count:word_exactly", "count:words_exactly", "keywords:existence",
        "keywords:forbidden_words", "keywords:frequency", "keywords:letter_frequency",
        "length_constraints:number_words",
        "punctuation:no_comma", "startend:end_checker", "startend:start_checker",
    }  # fmt: skip
    assert {case[0] for case in CASES} | elsewhere == set(CONSTRAINTS)
    assert len(CONSTRAINTS) == 25 + 29 + 58 + 4


OWL = ("keywords:forbidden_words", {"forbidden_words": ["peace"]})
LONG = ("length_constraints:number_words", {"num_words": 150, "relation": "at least"})


@pytest.mark.parametrize(
    ("text", "constraint"),
    [
        ("my pe\u200bace", OWL),
        ("my p\u0435\u0430ce", OWL),
        ("my ｐｅａｃｅ", OWL),
        ("well， yes", ("punctuation:no_comma", {})),
        ("lamp " * 300, LONG),
        ("lamp owl " * 150, LONG),
        ("_ " * 300, LONG),
        ("<think><<Owls>> fly.</think>They fly.", ("detectable_format:title", {})),
        ("<<x>>", ("detectable_format:title", {})),
        ("Owls.\n******\nowls", ("combination:two_responses", {})),
        ("******", ("combination:two_responses", {})),
        ("P.S.", ("detectable_content:postscript", {"postscript_marker": "P.S."})),
        ("Bye. P.S. ***", ("detectable_content:postscript", {"postscript_marker": "P.S."})),
        ("{}", ("detectable_format:json_format", {})),
        ("[NaN]", ("detectable_format:json_format", {})),
        ('{"a": 1} and so on', ("detectable_format:json_format", {})),
        ("[" * 40_000, ("detectable_format:json_format", {})),
    ],
)
def test_a_hack_does_not_pass(text: str, constraint: tuple[str, dict[str, Any]]) -> None:
    assert verdict(text, constraint).outcome == 0.0


@pytest.mark.parametrize("text", ["", " \n", "\u200b", "<think>owl</think>", "<think>owl", "<answer> </answer>"])
@pytest.mark.parametrize("mode", ["strict", "loose"])
def test_a_text_of_nothing_keeps_no_constraint(text: str, mode: str) -> None:
    found = verdict(text, OWL, ("punctuation:no_comma", {}), mode=mode, score="mean")
    assert (found.outcome, found.status) == (0.0, "no_answer")


def test_a_fence_around_json_and_a_tag_around_the_answer_are_no_part_of_it() -> None:
    assert verdict('<answer>```\n[{"a": 1}]\n```</answer>', ("detectable_format:json_format", {})).outcome == 1.0


LOUD = ("change_case:english_capital", {})
FLAT = ("punctuation:no_comma", {})


def test_the_outcome_is_all_or_the_mean_of_the_parts() -> None:
    assert verdict("one owl", LOUD, FLAT).outcome == 0.0
    found = verdict("one owl", LOUD, FLAT, score="mean")
    assert (found.outcome, list(found.parts.values())) == (0.5, [0.0, 1.0])


def test_loose_also_reads_the_text_without_its_ends_and_without_asterisks() -> None:
    text = "Sure, here it is:\nONE OWL\nHope it helps."
    assert verdict(text, LOUD).outcome == 0.0
    assert verdict(text, LOUD, mode="loose").outcome == 1.0
    assert verdict("*My* owl", ("startend:start_checker", {"first_word": "owl"}), mode="loose").outcome == 0.0
    assert verdict("My own **owl**", ("startend:end_checker", {"end_phrase": "owl"}), mode="loose").outcome == 1.0


def test_each_constraint_may_be_kept_by_another_loose_reading() -> None:
    # Without its first line it has no comma, without its last line it is in capitals: no reading has both.
    text = "ONE, TWO\nthree"
    assert verdict(text, LOUD, mode="loose").outcome == 1.0
    assert verdict(text, FLAT, mode="loose").outcome == 1.0
    assert verdict(text, LOUD, FLAT, mode="loose").outcome == 1.0


@pytest.mark.parametrize("name", ["mode", "score"])
def test_an_unknown_mode_or_score_is_named(name: str) -> None:
    fault = check_reference({"constraints": [{"id": "punctuation:no_comma"}], name: "lax"})
    assert f"{name}: expected" in str(fault)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("One. Two? Three!", ["One.", "Two?", "Three!"]),
        (
            "Mr. Li met J. Doe at 3.5 p.m. today. Then he left.",
            ["Mr. Li met J. Doe at 3.5 p.m. today.", "Then he left."],
        ),
        ("1. Salt it. 2. Eat it.", ["1. Salt it.", "2. Eat it."]),
        ('He said "Go." Then he went.', ['He said "Go."', "Then he went."]),
        ("Wait... what? Yes... No.", ["Wait... what?", "Yes...", "No."]),
        ("A title\n\nA text.", ["A title", "A text."]),
        ("一。二！", ["一。", "二！"]),
        ("Use apples, pears, etc. Then eat.", ["Use apples, pears, etc.", "Then eat."]),
        ("Yes! 😀", ["Yes! 😀"]),
    ],
)
def test_sentences_end_where_a_reader_ends_them(text: str, found: list[str]) -> None:
    assert sentences(text) == found


def test_words_and_runs_hold_no_bare_sign() -> None:
    assert words("Don't — well-known, “x”. …") == ["Dont", "wellknown", "x"]
    assert runs("Don't __ a_b") == ["Don", "t", "a_b"]
    assert runs("हिन्दी है") == ["हिन्दी", "है"]
