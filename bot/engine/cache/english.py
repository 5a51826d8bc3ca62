"""How English varies a question without asking anything else, and the words that turn its answer round. Data."""

from __future__ import annotations

import re

TOKEN = re.compile(
    r"(?<!\S)\.[^\W\d_]\w*|\d+(?:[.,:/]\d+)*%?|[^\W\d_]+(?:[&.+'-]?[^\W_]+)*[+#]*|[€$£%<>=+*/]|[a-z_]\w*", re.IGNORECASE
)
CONTRACTIONS = tuple(
    (re.compile(pattern, re.IGNORECASE), full)
    for pattern, full in (
        (r"\b(can|won|shan)(?:'t|not)\b", r"\1 not"),
        (r"n't\b", " not"),
        (r"\b(what|who|where|when|how|why|that|there|it|he|she)'s\b", r"\1 is"),
        (r"'re\b", " are"),
        (r"\bi'm\b", "i am"),
        (r"'ve\b", " have"),
        (r"'ll\b", " will"),
        (r"'d\b", " would"),
        (r"\bcannot\b", "can not"),
    )
)
_ONE = r"(?:i|we|you|one|people|someone|somebody|anyone|a person)"
_ASKED = r"(?:you|someone|somebody|anyone|anybody)"
OPENINGS = re.compile(
    r"^(?:hi|hello|hey|ok|okay|so|and|well|thanks|please|kindly|quick question|question"
    rf"|(?:can|could|would|will) {_ASKED}(?: please| kindly)? (?:tell|explain to|show|remind|let) (?:me|us)(?: know)?"
    rf"|(?:(?:can|could|would) {_ASKED} )?(?:please )?explain(?= (?:what|how|why|when|where|who)\b)"
    r"|(?:please )?(?:tell|explain to|remind) (?:me|us)"
    r"|(?:do you|does anyone|does anybody|does someone|anyone|anybody) know"
    r"|(?:i|we) (?:want|need|would like|wanted) to know"
    r"|(?:i am|i was|i) (?:just )?wonder(?:ing)?|any idea|just)\b[\s,:.!-]*"
)
CLOSINGS = re.compile(r"[\s,.!?-]*\b(?:please|thanks|thank you|thx|exactly|for me|by the way)$")
FRAMES = tuple(
    (re.compile(pattern), frame, rest)
    for pattern, frame, rest in (
        (
            rf"^how (?:do|does|can|could|should|would|may|might|must) {_ONE} "
            r"(?:best |actually |properly |correctly |go about |be able to )?",
            "how",
            "",
        ),
        (rf"^how {_ONE} (?:can |could |should |may |might )?", "how", ""),
        (r"^how (?:is it possible )?to (?:best )?", "how", ""),
        (rf"^in (?:what|which) ways? (?:do|does|can|could|should|would|may|might|must) {_ONE} ", "how", ""),
        (
            r"^what(?: is| are| would be) (?:the |some |a )?(?:best |right |proper |correct |recommended |good )?"
            rf"(?:ways?|steps|procedures?|process|methods?|approach|approaches)(?: for {_ONE})? (?:to|of|for) ",
            "how",
            "",
        ),
        (
            rf"^what (?:steps )?(?:do|should|must|can) {_ONE} (?:have to |need to )?(?:do|take) (?:in order )?to ",
            "how",
            "",
        ),
        (
            rf"^(?:(?:is|are|am) {_ONE} allowed to|may {_ONE}|can {_ONE}|could {_ONE}|is it (?:possible|allowed)"
            rf"(?: for {_ONE})? to|is there (?:a|any) way (?:for {_ONE} )?to|is there (?:a|any) way {_ONE} can) ",
            "can",
            "",
        ),
        (r"^is (?!it\b|this\b|that\b|there\b)(.+) possible$", "can", r"\1"),
        (r"^is it (?:possible|allowed) for (?=.+ to )", "can-for", ""),
        (rf"^(?:should {_ONE}|is it advisable to|ought {_ONE} to) ", "should", ""),
        (
            rf"^(?:do {_ONE} (?:need|have) to|must {_ONE}|(?:is|are|am) {_ONE} (?:required|obliged) to"
            r"|is it (?:necessary|mandatory|required) to) ",
            "must",
            "",
        ),
        (rf"^why (?:should|must) {_ONE} ", "why-should", ""),
        (r"^(?:how come|why is it that|what is the reason (?:that|why)|for what reason) ", "why", ""),
        (r"^what (?:is the reason|are the reasons) for ", "why-of", ""),
        (r"^(?:at )?(?:what|which) time (?=(?:do|does|is|are|did|will|can)\b)", "when", ""),
        (r"^(?:on |at )?(?:what|which) (?:day|date) (?=(?:do|does|is|are|did|will|can)\b)", "when", ""),
        (r"^(?:in|at) (?:what|which) (?:place|location) (?=(?:do|does|is|are|did|will|can)\b)", "where", ""),
        (r"^how much (?:do|does) (.+?) cost$", "what", r"cost \1"),
        (r"^(?:what|how much) (?:is|are) the (?:cost|price)s? (?:of|for) ", "what", "cost "),
        (r"^(?:what|how much) (?:do|does|will|would) it cost to ", "what", "cost to "),
        (r"^what (?:do|does) (.+?) mean$", "what", r"meaning \1"),
        (r"^what is (?:the meaning of|meant by) ", "what", "meaning "),
        (
            r"^how (many|much|long|far|often|old|big|large|high|fast|soon|late|early|tall|deep|heavy|strong)\b ?",
            r"how-",
            r"\1 ",
        ),
        (r"^how ", "how-is", ""),
        (r"^(?:what|which) (?:is|are) ", "what", ""),
        (r"^(?:what|which)\b ?", "what", ""),
        (r"^whom?\b ?", "who", ""),
        (r"^whose\b ?", "whose", ""),
        (r"^when\b ?", "when", ""),
        (rf"^where (?:do|does|can|could|should|would|may|might) {_ONE} ", "where", ""),
        (r"^where\b ?", "where", ""),
        (r"^why\b ?", "why", ""),
        (r"^(?=(?:is|are|am|was|were|do|does|did)\b)", "whether", ""),
        (r"^(?:has|have)\b ?", "whether-done", ""),
        (r"^(?:can|could)\b ?", "can", ""),
        (r"^(?:will|would)\b ?", "will", ""),
        (r"^(?:should)\b ?", "should", ""),
        (r"^(?:must)\b ?", "must", ""),
    )
)
SPELLED = {
    "e-mail": "email",
    "mails": "emails",
    "log-in": "login",
    "sign-in": "login",
    "signin": "login",
    "log-on": "login",
    "sign-up": "signup",
    "set-up": "setup",
    "purchase": "buy",
    "obtain": "get",
    "acquire": "get",
    "begin": "start",
    "repair": "fix",
    "remove": "delete",
    "vacation": "holiday",
    "telephone": "phone",
    "vs": "versus",
    "usa": "US",
    "u.s": "US",
    "u.s.a": "US",
    "colour": "color",
    "favourite": "favorite",
    "behaviour": "behavior",
    "labour": "labor",
    "centre": "center",
    "programme": "program",
    "cancelled": "canceled",
    "cancelling": "canceling",
    "licence": "license",
    "cheque": "check",
    "travelling": "traveling",
    "kinds": "types",
    "kind": "type",
    "sorts": "types",
    "persons": "people",
    "person": "people",
    "children": "child",
    "kids": "child",
    "kid": "child",
}
PHRASES = tuple(
    (re.compile(rf"\b{phrase}\b"), word)
    for phrase, word in (
        (r"(?:log|sign)[- ](?:in|on)", "login"),
        (r"(?:log|sign)[- ]out", "logout"),
        (r"sign up", "signup"),
        (r"set up", "setup"),
        (r"united states(?: of america)?", "US"),
        (r"get rid of", "delete"),
        (r"in order to", "to"),
        (r"everyday", "every day"),
        (r"(?:has|have) ever", "ever"),
        (r"think of", "think about"),
        (r"quickly", "fast"),
        (r"(?:by (?:my|your|one)self|on (?:my|your|one's) own)", "alone"),
        (r"earn(?= (?:\w+ )?money\b)", "make"),
        (r"prior to", "before"),
        (r"(?:a lot|lots|a number) of", "many"),
        (r"(?:is|are|am) going to", "will"),
        (r"for (?=[a-z]+ing\b)", "to "),
        (r"(?:sorts?|kinds?) of", "type of"),
    )
)
EMPTY_IT = (
    (re.compile(r"^how much time (?=does it take|is needed|do (?:i|we|you) need)"), "how long "),
    (re.compile(r"^what (does|is) it (?:feel )?like "), r"how \1 feel "),
    (re.compile(r"^how does it feel "), "how does feel "),
    (re.compile(r"\b(?:does|will|would) it take\b"), "take"),
    (re.compile(r"\bdid it take\b"), "did take"),
    (re.compile(r"\bis it (possible|necessary|safe|legal|allowed|better|worth|true|okay|ok)\b"), r"is \1"),
)
"""Where "it" stands for nothing said before."""
NUMBERS = dict(
    zip("zero one two three four five six seven eight nine ten eleven twelve".split(), map(str, range(13)), strict=True)
)
IDLE = frozenset(
    "a an the do does is are am please just really actually exactly basically simply some my our there that of "
    "ever very kindly i we".split()
)
BACK = frozenset("it he she him her his hers they them their this these those that same such above below here".split())
ALIKE = {"in": "at", "us": "me"}
"""Words that are one where a question is compared."""
ANYBODY = re.compile(r"\b(if|when|after|before|once|until) (?:you|one)\b(.*)$")
"""Where ``you`` is whoever asks."""
RELATING = frozenset(
    "can could is are was were will would has have had do does did should must may might ever i you we".split()
)
"""``that`` in front of them, behind a noun, belongs to what is said before."""
JOINING = frozenset("if when after before because while since once who and but until as so whenever unless".split())
"""What stands behind them may take up what the question named before them."""
PAST = frozenset("did was were had".split())
FUTURE = frozenset("will would shall going".split())
