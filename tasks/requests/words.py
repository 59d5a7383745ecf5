"""The words that notes are made of: common ones, so that a small model can read them."""

from random import Random


def _listed(words: str) -> tuple[str, ...]:
    return tuple(words.split())


ADJECTIVES = _listed(
    """
    amber bold brave bright calm clear clever cold crisp dark deep dry early fair fast fine fresh gentle golden grand
    happy heavy hidden high honest humble kind large late light little lone long loud lucky mild narrow neat new noble
    old plain proud pure quick quiet rapid rare ripe rough round royal sharp silent silver simple small smooth soft
    solid steady still strong sunny sweet swift tall tender tiny warm wide wild wise young
    """
)
NOUNS = _listed(
    """
    anchor apple arrow badge barrel basket beacon bell blanket boat bottle bridge broom bucket button cabin candle
    canoe castle chair clock cloud coin compass cradle crown cup desk door drum falcon feather fiddle flag flute fox
    garden gate glove hammer harbor helmet hill horn island jacket kettle key ladder lamp lantern leaf lens lion map
    mirror needle oar otter oven owl paddle pearl pencil piano pillow pipe plow pony pot quilt rabbit raven ribbon ring
    river robin rope sail saddle shell ship shovel spoon star stone stove table tiger tower train tree trumpet tulip
    umbrella valley violin wagon wheel whistle window wolf
    """
)
SHELVES = ("red", "blue", "green", "yellow", "white", "black", "brown", "purple")
FIRST_NAMES = _listed(
    """
    Alan Amy Anna Ben Carl Clara Dan David Emma Eric Eva Frank Fred Grace Henry Jack Jane John Julia Karl Laura Leo
    Lily Lisa Maria Mark Mary Max Nina Paul Peter Rita Robert Rosa Ruth Sam Simon Susan Thomas Tom Victor William
    """
)
TOWNS = (
    "Athens",
    "Berlin",
    "Boston",
    "Cairo",
    "Dublin",
    "London",
    "Madrid",
    "Moscow",
    "Paris",
    "Rome",
    "Tokyo",
    "Vienna",
)
TEAMS = ("garden", "kitchen", "office", "repair", "security", "transport", "training", "cleaning")

_SYLLABLES = _listed(
    """
    ba be bo da de do fa fe ga go ka ke ko la le lo ma me mo na ne no ra re ro sa so ta te to
    """
)
_VERBS = _listed(
    """
    carries follows guards keeps leaves likes loses meets moves needs passes sees sells shows
    """
)
_PLACES = _listed(
    """
    barn bay court field forest hall harvest market meadow mill park road school shop street yard
    """
)


def storage_name(rng: Random) -> tuple[str, str]:
    """An adjective and a noun."""
    return rng.choice(ADJECTIVES), rng.choice(NOUNS)


def person(rng: Random) -> str:
    """A name of three syllables that no language has."""
    return "".join(rng.choices(_SYLLABLES, k=3)).capitalize()


def clause(rng: Random) -> str:
    """Seven words that say something, such as "the old fox keeps the red lamp"."""
    (one, first), (two, second) = storage_name(rng), storage_name(rng)
    return f"the {one} {first} {rng.choice(_VERBS)} the {two} {second}"


def sentence(rng: Random) -> str:
    """Prose that answers nothing."""
    behind = f"{rng.choice(('behind', 'beside', 'near', 'before', 'at'))} the {rng.choice(_PLACES)}"
    text = f"{clause(rng)} {behind}"
    if rng.random() < 0.5:
        text += f", and {clause(rng)}"
    return f"{text[0].upper()}{text[1:]}."
