"""What the name of a column says about it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from dynctr_tf.schema import Role

_CLICK_NAMES = (
    "click",
    "label",
    "is_click",
    "clicked",
    "is_clicked",
    "clk",
    "is_clk",
    "click_label",
    "label_click",
    "ctr_label",
    "target",
    "y",
    "clicks",
    "num_clicks",
    "click_count",
    "labels",
    "soft_label",
)
_CONVERSION_NAMES = (
    "conversion",
    "converted",
    "is_converted",
    "is_conversion",
    "purchase",
    "purchased",
    "is_purchase",
    "bought",
    "is_buy",
    "buy",
    "installed",
    "is_installed",
)
RATING_NAMES = ("rating", "ratings", "rate", "stars", "score", "overall", "relevance", "review_score")
LABEL_NAMES: tuple[str, ...] = _CLICK_NAMES + _CONVERSION_NAMES + RATING_NAMES
"""Names by which the label is recognised; the first one in the file wins."""

CLICK_COUNT_NAMES = frozenset({"clicks", "click", "num_clicks", "click_count", "n_clicks", "clk", "clks", "click_cnt"})
IMPRESSION_NAMES = frozenset(
    {"impressions", "impression", "num_impressions", "impression_count", "n_impressions", "imps", "impr", "imp"}
    | {"views", "shows", "shown", "displays", "exposures", "exposure", "trials", "impression_cnt", "pv"}
)
WEIGHT_NAMES = frozenset({"weight", "sample_weight", "row_weight", "weights", "instance_weight"})

TIME_WORDS = frozenset(
    {"timestamp", "time", "datetime", "date", "ts", "unixtime", "dt", "hour", "day", "month", "week", "when", "minute"}
    | {"created", "updated", "at", "epoch", "second", "ms", "year", "ds"}
)
SEQUENCE_WORDS = frozenset(
    {"history", "hist", "sequence", "seq", "recent", "behavior", "behaviour", "behaviors", "behaviours", "past", "last"}
    | {
        "previous",
        "prev",
        "watched",
        "viewed",
        "visited",
        "seen",
        "clicked",
        "bought",
        "purchased",
        "browsed",
        "played",
    }
)
_CLOCK_WORDS = frozenset(
    {"hour", "day", "weekday", "month", "minute", "week", "dow", "daytime", "isweekend", "weekend"}
)
_ROLE_WORDS: tuple[tuple[Role, frozenset[str]], ...] = (
    # The first word that has a role decides: "app_category" is about the app, "user_city" about the user.
    ("context", _CLOCK_WORDS | {"site", "app", "device", "page", "position", "os", "browser", "country", "city"}),
    ("scenario", frozenset({"scenario", "domain", "surface", "tab", "webpage"})),
    (
        "user",
        frozenset({"user", "uid", "userid", "member", "customer", "visitor", "gender", "age", "occupation", "sex"}),
    ),
    ("query", frozenset({"query", "search", "keyword", "keywords"})),
    (
        "item",
        frozenset({"item", "itemid", "ad", "adid", "ads", "product", "goods", "sku", "movie", "video", "article"})
        | {"news", "song", "brand", "category", "cate", "campaign", "creative", "advertiser", "adgroup", "price"}
        | {"genre", "genres", "title"},
    ),
)
OWNED_WORDS = frozenset(word for role, words in _ROLE_WORDS if role != "context" for word in words)

_CATEGORY_WORDS = (
    frozenset(
        {"id", "ids", "uid", "code", "hash", "type", "key", "index", "zip", "zipcode", "postal", "postcode", "no"}
    )
    | frozenset().union(*(words for _, words in _ROLE_WORDS))
    | {"user", "item", "region", "state", "province", "county", "district", "location", "geo", "area", "ip", "place"}
    | {"publisher", "shop", "store", "seller", "merchant", "channel", "segment", "group", "level", "cluster", "class"}
    | {"job", "education", "slot", "language", "lang", "bin", "bucket", "range", "band", "version", "model", "carrier"}
    | {"network", "isp", "artist", "author", "subcategory", "dept", "department", "status", "flag", "kind", "format"}
    | {
        "quarter",
        "season",
        "hours",
        "flavor",
        "colour",
        "color",
        "sizecode",
        "hashed",
        "bucketized",
        "source",
        "isweekday",
    }
) - {"age", "price", "hours"}
_QUANTITY_WORDS = frozenset(
    {"count", "cnt", "counts", "num", "number", "price", "cost", "age", "amount", "amt", "total", "sum", "avg", "mean"}
    | {"rate", "ratio", "score", "duration", "length", "len", "size", "days", "time", "dist", "distance", "visits"}
    | {"views", "clicks", "income", "revenue", "salary", "height", "width", "median", "std", "share", "percent", "pct"}
    | {"seconds", "secs", "sec", "ms", "minutes", "mins", "hours", "months", "years", "weight", "bid", "freq"}
    | {"frequency", "balance", "value", "quantity", "qty", "discount", "orders", "recency", "tenure", "temperature"}
    | {"dwell", "stay", "lat", "lon", "lng", "latitude", "longitude", "downloads", "votes", "popularity", "rank"}
)
_COUNTING_FIRST = frozenset({"num", "n", "count", "cnt", "avg", "mean", "total", "sum", "max", "min", "nb", "number"})

_AFTER_THE_CLICK = frozenset(
    # Names of what happens after an impression was shown, without marks such as "is", "label" and units.
    {"conversion", "converted", "convert", "conv", "buy", "bought", "purchase", "purchased", "ordered", "pay"}
    | {"paid", "payment", "cart", "add cart", "add to cart", "atc", "checkout", "install", "installed", "signup"}
    | {"play time", "playtime", "watch time", "watchtime", "watch ratio", "play duration", "watch duration", "finish"}
    | {"finished", "completed", "completion", "complete", "long view", "longview", "effective view", "valid play"}
    | {"like", "liked", "dislike", "follow", "followed", "comment", "commented", "forward", "hate", "favorite"}
    | {"favourite", "collect", "repost", "dwell", "dwell time", "stay time", "stay duration", "view time"}
    | {"view duration", "profile enter", "profile stay time", "comment stay time", "post click", "revenue", "gmv"}
    | {"click", "clicked", "clk", "clicks", "click time", "conversion time", "convert time", "reaction", "feedback"}
    | {"review", "review text", "watch", "watched", "playing time", "session duration", "read time"}
    | {"reading time", "time spent", "conversion value", "paying price", "payprice", "win price"}
)
_MARKS_OF_LABELS = frozenset({"is", "has", "did", "was", "label", "flag", "ms", "sec", "secs", "seconds", "s", "y"})


def words(name: str) -> list[str]:
    """Splits a name at signs, spaces and capitals; lower case."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return [word.lower() for word in re.split(r"[\W_]+", spaced) if word]


def plain(name: str) -> str:
    """The words of a name with `_` between them, by which a label is recognised."""
    return "_".join(words(name))


def role_of(name_words: Sequence[str], may_be_scenario: bool) -> tuple[Role, str]:
    """Returns the role of the first word that has one, and why; `"context"` where no word has a role."""
    for word in name_words:
        for role, known in _ROLE_WORDS:
            if word in known and (role != "scenario" or may_be_scenario):
                return role, f'role by "{word}" in the name'
    return "context", ""


def category_word(name_words: Sequence[str]) -> str | None:
    """Returns the word that makes whole numbers of this name ids; `None` where no word does.

    The last known word decides: an `age_group` is a group, a `user_age` an age, an `item_id_count` a count.
    """
    if is_quantity(name_words):
        return None
    if name_words and re.fullmatch(r"c\d+|cat\d*|categorical\d*|sparse\d*|onehot", name_words[0]):
        return name_words[0]
    return next((word for word in reversed(name_words) if _names_a_thing(word)), None)


def is_quantity(name_words: Sequence[str]) -> bool:
    """Whether numbers of this name count or measure, by the last known word."""
    if not name_words:
        return False
    if len(name_words) > 1 and name_words[0] in _COUNTING_FIRST:
        return True
    if re.fullmatch(r"i\d+|int\d*|num\d*|dense\d*|numeric\d*", name_words[0]):
        return True
    for word in reversed(name_words):
        if word in _QUANTITY_WORDS or _names_a_thing(word):
            return word in _QUANTITY_WORDS
    return False


def _names_a_thing(word: str) -> bool:
    return word in _CATEGORY_WORDS or (word.endswith("id") and len(word) > 2 and word not in ("paid", "valid", "bid"))


def after_the_click(name: str) -> bool:
    """Whether the name is that of something after the impression, such as a click or `play_time_ms`."""
    given = words(name)
    rest = [word for word in given if word not in _MARKS_OF_LABELS]
    return bool({" ".join(rest or given), " ".join(given)} & _AFTER_THE_CLICK)


def is_index_name(name: str) -> bool:
    """Whether pandas gives this name to an index that it writes."""
    return re.fullmatch(r"\s*|Unnamed: ?\d+(\.\d+)*(_level_\d+)?|__index_level_\d+__|level_0", name) is not None
