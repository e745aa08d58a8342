"""The constraint on the language of the answer, decided offline by script and by small lists of function words.

1. At least three quarters of the letters have to be of the language's script, so that foreign names may occur.
2. A letter that the language does not have ("ы" in Ukrainian or Bulgarian) decides where the script is shared.
3. Among the languages of one script, the function words of each are counted: no other language may have more of
   them than the one asked for. A text of eight words or more has to have one of its own at all.
A shorter text without any known function word is kept where its script fits: there is nothing to tell it by.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rlvr.verifiers.instructions.arguments import Argument
from rlvr.verifiers.instructions.constraint import Constraint
from rlvr.verifiers.instructions.text import is_latin, runs

_LONG = 8
"""From so many words on, a text in the language has one of its function words."""

_SCRIPTS: Mapping[str, str] = {
    "arabic": "\u0600-\u06ff\u0750-\u077f\ufb50-\ufdff\ufe70-\ufeff",
    "armenian": "\u0530-\u058f",
    "bengali": "\u0980-\u09ff",
    "cyrillic": "\u0400-\u052f",
    "devanagari": "\u0900-\u097f",
    "georgian": "\u10a0-\u10ff",
    "greek": "\u0370-\u03ff\u1f00-\u1fff",
    "gujarati": "\u0a80-\u0aff",
    "gurmukhi": "\u0a00-\u0a7f",
    "han": "\u4e00-\u9fff\u3400-\u4dbf",
    "hangul": "\u1100-\u11ff\uac00-\ud7af",
    "hebrew": "\u0590-\u05ff",
    "japanese": "\u3040-\u30ff\u4e00-\u9fff\u3400-\u4dbf",
    "kannada": "\u0c80-\u0cff",
    "malayalam": "\u0d00-\u0d7f",
    "sinhala": "\u0d80-\u0dff",
    "tamil": "\u0b80-\u0bff",
    "telugu": "\u0c00-\u0c7f",
    "thai": "\u0e00-\u0e7f",
}
"""The letters of each script as a class of characters; "latin" is `text.is_latin`."""

_SHARE = 0.75


@dataclass(frozen=True, slots=True)
class Language:
    """A script, letters that never occur in the language, letters one of which has to, and its function words."""

    script: str
    never: str = ""
    one_of: str = ""
    words: frozenset[str] = frozenset()


def _language(script: str, words: str = "", *, never: str = "", one_of: str = "") -> Language:
    return Language(script, never, one_of, frozenset(words.split()))


# fmt: off
LANGUAGES: Mapping[str, Language] = {
    "ar": _language("arabic", "في من على إلى أن هذا هذه التي الذي كان لا ما مع عن هو هي كما أو ثم قد كل بين بعد ولا",
                    never="پچژگٹڈڑںےہھ"),
    "fa": _language("arabic", "و در به از که این را با است برای آن یک می تا بر هم نیز شود های ما خود اما یا شما هر",
                    never="ٹڈڑںے"),
    "ur": _language("arabic", "کے کی میں ہے اور سے کا کو پر یہ ہیں نے ایک کہ بھی تھا نہیں جو ہو کر لیے وہ اس تو ہم"),
    "bg": _language("cyrillic", "и на да се за от не е са ще това че като по със при но или си ви ми тази този което "
                    "които който беше съм може много само", never="ыэёіїєґ"),
    "ru": _language("cyrillic", "и в не на что я с он как это по но из у за то так же для вы мы от бы было его она они "
                    "мне или если есть быть когда только который", never="іїєґ"),
    "uk": _language("cyrillic", "і в не на що я з він як це до та але у за то так же для ви ми від би було його вона "
                    "вони мені або якщо є бути коли тільки який", never="ыэёъ"),
    "hi": _language("devanagari", "के की है में और से का को पर यह हैं ने एक कि भी था नहीं जो हो कर लिए वह इस तो हम मैं "
                    "आप अपने या थे गया"),
    "mr": _language("devanagari", "आहे आणि च्या हे या मध्ये एक तो ती ते आम्ही मी तुम्ही नाही होते होता होती करण्यासाठी आहेत साठी "
                    "पण किंवा त्या त्यांच्या माझ्या आपल्या असे काही करून"),
    "ne": _language("devanagari", "छ र को मा लाई यो हो छन् पनि भने गर्न तपाईं हामी म छैन थियो गरेको लागि हुन्छ एक वा "
                    "यस त्यो हुन् हरू भएको आफ्नो हाम्रो"),
    "zh": _language("han"),
    "ja": _language("japanese", one_of="のはをにがでとたるいすま"),
    "ko": _language("hangul"),
    "bn": _language("bengali"), "gu": _language("gujarati"), "pa": _language("gurmukhi"), "ta": _language("tamil"),
    "te": _language("telugu"), "kn": _language("kannada"), "ml": _language("malayalam"), "si": _language("sinhala"),
    "th": _language("thai"), "he": _language("hebrew"), "el": _language("greek"), "hy": _language("armenian"),
    "ka": _language("georgian"),
    "en": _language("latin", "the of and to in is that it for on with as was be by this are at from not have you i we "
                    "or an my your they his her but which will can has would there what all"),
    "de": _language("latin", "der die das und ist nicht ein eine zu den mit von für auf im dem es sich ich sie wir als "
                    "auch an wie aus bei nach einen sind oder hat war wird ihr uns mein wenn"),
    "nl": _language("latin", "de het een en van is niet dat op te voor met zijn die aan er om ook maar als bij naar ik "
                    "je we ze wordt deze worden"),
    "sv": _language("latin", "och att det som en på är av för med den till inte har de om ett jag var så men vi han "
                    "från kan du när eller"),
    "da": _language("latin", "og at det som en på er af for med den til ikke har de om et jeg var så men vi han fra "
                    "kan du når eller blev"),
    "no": _language("latin", "og at det som en på er av for med den til ikke har de om et jeg var så men vi han fra "
                    "kan du når eller ble"),
    "fr": _language("latin", "le la les des et est que qui dans pour une du au pas sur avec ce il elle nous vous je "
                    "son sa ses par plus mais ou un de en se ne sont cette été"),
    "es": _language("latin", "el la los las de y que en un una es por con para no se su del al lo como más pero sus le "
                    "ha este esta mi si son está muy fue también"),
    "pt": _language("latin", "o a os as de e que em um uma é por com para não se sua do da no na ao como mais mas seu "
                    "dos das foi este esta você são também muito eu nos"),
    "it": _language("latin", "il lo la gli le di e che in un una è per con non si del della al come più ma suo sono da "
                    "nel questo questa ho anche mi i dei delle alla"),
    "ro": _language("latin", "și de în la cu pe un o nu este că să se din pentru mai care sunt au a fost ce dar sau "
                    "către prin al ale"),
    "pl": _language("latin", "i w na z się nie to że jest do o jak a po co ale za od przez dla czy tym był są ma tego "
                    "być tylko oraz które który"),
    "cs": _language("latin", "a v na se je že s z do to o i za pro jak ale po by od při byl jsou jsem nebo která "
                    "který tak když"),
    "hu": _language("latin", "a az és hogy nem is egy van meg ez csak volt már mint el vagy azt ki még lehet nagyon"),
    "fi": _language("latin", "ja on ei se että hän oli mutta ovat joka kun niin kuin myös tai minä sen ole olla jos "
                    "sinä me te he tämä mukaan kanssa hyvin voi"),
    "et": _language("latin", "ja on ei see et ta oli aga mis kui nii ka või ma sa me te nad oma selle olla"),
    "tr": _language("latin", "ve bir bu da de için ile çok ne o olarak daha gibi en var ben sen biz ama kadar sonra "
                    "olan değil mi"),
    "vi": _language("latin", "và của là có không được cho trong một các những với này đã người để tôi bạn đến khi từ "
                    "cũng như về ra làm nhiều"),
    "id": _language("latin", "yang dan di dengan untuk tidak ini itu dari ke dalam pada adalah saya anda akan juga "
                    "atau oleh kami kita bisa ada"),
    "sw": _language("latin", "na ya wa kwa ni katika la za kuwa hii huo hiyo yake lakini pia au kama sana watu kila "
                    "wake wetu yangu mimi wewe sisi alikuwa hakuna bila cha vya"),
    "tl": _language("latin", "ang ng sa na mga at ay ko mo niya ito hindi para kung ako siya kami may isang"),
    "hr": _language("latin", "i je u na se da za su od s ne to kao ali ili iz po što koji koja bi sam smo biti"),
}
# fmt: on
"""Every language by its ISO 639-1 code."""


def response_language(text: str, *, language: str) -> bool:
    """Gives whether the text is in that language, as the head of this file says."""
    wanted = LANGUAGES[language]
    letters = [character for character in text if character.isalpha()]
    if not letters or sum(map(_matcher(wanted.script), letters)) < _SHARE * len(letters):
        return False
    if any(letter in text for letter in wanted.never) or (wanted.one_of and not set(wanted.one_of) & set(text)):
        return False
    said = [run.lower() for run in runs(text)]
    own = sum(word in wanted.words for word in said)
    if wanted.words and len(said) >= _LONG and own == 0:
        return False
    others = (other.words for other in LANGUAGES.values() if other.script == wanted.script and other is not wanted)
    return all(own >= sum(word in words for word in said) for words in others)


def _matcher(script: str) -> Callable[[str], bool]:
    if script == "latin":
        return is_latin
    pattern = re.compile(f"[{_SCRIPTS[script]}]")
    return lambda letter: pattern.match(letter) is not None


_CODE = Argument(lambda value: isinstance(value, str) and value in LANGUAGES, f"one of {', '.join(LANGUAGES)}", str)

LANGUAGE: Mapping[str, Constraint] = {"language:response_language": Constraint(response_language, {"language": _CODE})}
"""IFEval's."""
