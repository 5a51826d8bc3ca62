"""Pages without content are told as such in any language, by their form; pages with content are read."""

from __future__ import annotations

import re

import pytest

from knowledge.errors import ParseError
from knowledge.parsing import parsers
from knowledge.parsing.html import page_kinds

LANGUAGES = {
    "ru": ("Страница не найдена", "Войдите, чтобы продолжить", "Пожалуйста, включите JavaScript", "Загрузка…"),
    "pl": ("Nie znaleziono strony", "Zaloguj się, aby kontynuować", "Włącz obsługę JavaScript", "Wczytywanie…"),
    "tr": ("Sayfa bulunamadı", "Devam etmek için giriş yapın", "Lütfen JavaScript'i etkinleştirin", "Yükleniyor…"),
    "cs": ("Stránka nebyla nalezena", "Pro pokračování se přihlaste", "Zapněte prosím JavaScript", "Načítání…"),
    "uk": ("Сторінку не знайдено", "Увійдіть, щоб продовжити", "Увімкніть JavaScript", "Завантаження…"),
    "el": ("Η σελίδα δεν βρέθηκε", "Συνδεθείτε για να συνεχίσετε", "Ενεργοποιήστε τη JavaScript", "Φόρτωση…"),
    "zh": ("找不到页面", "请登录后继续", "请启用JavaScript以继续使用本应用程序", "加载中……"),
    "ja": (
        "ページが見つかりません",
        "続行するにはログインしてください",
        "JavaScriptを有効にしてください",
        "読み込み中…",
    ),
    "ko": ("페이지를 찾을 수 없습니다", "계속하려면 로그인하세요", "JavaScript를 활성화하세요", "로드 중…"),
    "ar": ("الصفحة غير موجودة", "سجّل الدخول للمتابعة", "يرجى تفعيل جافا سكريبت", "جارٍ التحميل…"),
    "he": ("הדף לא נמצא", "התחברו כדי להמשיך", "יש להפעיל JavaScript", "טוען…"),
    "hi": ("पृष्ठ नहीं मिला", "जारी रखने के लिए लॉग इन करें", "कृपया जावास्क्रिप्ट सक्षम करें", "लोड हो रहा है…"),
}
IN_EVERY_LANGUAGE = pytest.mark.parametrize("code", LANGUAGES)


def page(body: str, head: str = "", attributes: str = "", code: str = "en") -> bytes:
    return f"<!doctype html><html lang={code}><head>{head}</head><body {attributes}>{body}</body></html>".encode()


def refusal(data: bytes) -> str:
    with pytest.raises(ParseError) as refused:
        parsers.parse(data, "page.html", "text/html; charset=utf-8")
    return str(refused.value)


@IN_EVERY_LANGUAGE
@pytest.mark.parametrize(
    ("head", "body", "attributes"),
    [
        ("<title>404 - {}</title>", "<h1>{}</h1><p><a href=/>⌂</a></p>", ""),
        ("<title>Acme</title>", "<h1>{}</h1><div>404</div>", ""),
        ("<title>Acme</title>", "<p>{} (404)</p>", ""),
        ("<title>Acme</title>", "<h1>{}</h1>", "class='page error404 wide'"),
        ("<title>Acme</title>", "<div id=page-not-found><h1>{}</h1></div>", ""),
        ("<title>Acme</title><meta name=robots content='noindex, nofollow'>", "<h1>{}</h1><a href=/>Acme</a>", ""),
        ("<title>Acme</title>", '<h1>{}</h1><script>window.state = {{"statusCode":404}}</script>', ""),
    ],
)
def test_a_page_that_does_not_exist(code: str, head: str, body: str, attributes: str) -> None:
    said = LANGUAGES[code][0]
    assert refusal(page(body.format(said), head.format(said), attributes, code)) == page_kinds.MISSING


@IN_EVERY_LANGUAGE
@pytest.mark.parametrize(
    "body",
    [
        "<h1>{}</h1><form><input name=user><input type=password><button>→</button></form>",
        "<h1>{}</h1><form><input type=email autocomplete='username webauthn'><button>→</button></form>",
        "<p>{} <a href='/users/sign_in?return_to=%2Fwiki%2Flots'>→</a></p>",
        "<p>{}</p><form action='https://id.example.org/oauth2/authorize'><button>→</button></form>",
    ],
)
def test_a_sign_in_page(code: str, body: str) -> None:
    said = LANGUAGES[code][1]
    assert refusal(page(body.format(said), f"<title>{said}</title>", code=code)) == page_kinds.SIGN_IN


@IN_EVERY_LANGUAGE
@pytest.mark.parametrize(
    "body",
    [
        "<noscript>{note}</noscript><main><p>{wait}</p></main><script src=/a.js></script>",
        "<div id=root></div><noscript>{note}</noscript><script src=/a.js></script><p>{wait}</p>",
        "<div id=shell><p>{wait}</p></div><script type=module src=/a.js></script>",
    ],
)
def test_a_page_that_only_scripts_fill(code: str, body: str) -> None:
    _, _, note, wait = LANGUAGES[code]
    assert refusal(page(body.format(note=note, wait=wait), "<title>Acme</title>", code=code)) == page_kinds.SCRIPTED


FORM = "<form method=post action=https://id.example.org/x>{}<noscript><button>Continue</button></noscript></form>"
SIGN_IN_PAGES = {
    "Microsoft": "<title>Sign in to your account</title>|<form name=f1 method=post action='/common/login'><input "
    "type=email name=loginfmt autocomplete='username webauthn'></form><script src=/converged.js></script>",
    "Google": "<title>Google Accounts</title>|<form action='/v3/signin/_/lookup'><h1>Sign in</h1><input type=email "
    "name=identifier autocomplete=username></form><script src=/a.js></script>",
    "Okta": "<title>Acme - Sign In</title>|<div id=okta-login-container></div><p>Connecting to Wiki</p>"
    "<a href='/signin?fromURI=%2Foauth2%2Fv1%2Fauthorize'>Sign in with your account to access Wiki</a>",
    "Keycloak": "<title>Anmeldung</title>|<form id=kc-form-login action='/realms/acme/login-actions/authenticate?x=1'>"
    "<input name=username autocomplete=username><input type=submit></form>",
    "SAML request": "<title></title>|" + FORM.format("<input type=hidden name=SAMLRequest value=a>"),
    "SAML response": "<title></title>|"
    + FORM.format("<p>Note: press the button.</p><input type=hidden name=SAMLResponse>"),
    "WS-Federation": "<title>Working...</title>|"
    + FORM.format("<p>Working</p><input type=hidden name=wresult value=a>"),
}


@pytest.mark.parametrize("name", SIGN_IN_PAGES)
def test_pages_of_single_sign_on(name: str) -> None:
    head, _, body = SIGN_IN_PAGES[name].partition("|")
    assert refusal(page(body, head)) == page_kinds.SIGN_IN


SENTENCES = {
    "en": "The gate is blue, and it opens with a badge.",
    "zh": "北门早上六点开门，晚上九点关门，访客请在前台领取通行证，车辆停在二号停车场，周末请提前一天预约。",
    "ja": "北門は朝六時に開き、夜九時に閉まります。来客は受付で入館証を受け取り、車は第二駐車場に止めてください。",
}


@pytest.mark.parametrize("text", SENTENCES.values(), ids=list(SENTENCES))
@pytest.mark.parametrize(
    ("head", "around"),
    [
        ("<title>Gate</title>", "<h1>Gate</h1><p>{}</p>"),
        ("<title>Gate</title>", "<h1>Gate</h1><p>{}</p><script src=/count.js></script>"),
        ("<title>Gate</title><meta name=robots content=noindex>", "<h1>Gate</h1><p>{}</p>"),
        ("<title>Gate</title>", "<a href=/login>Sign in</a><h1>Gate</h1><p>{}</p><a href=/>Home</a>"),
        ("<title>Gate</title>", "<h1>Gate</h1><p>{} Invoice 404-17 of room B404 came to 404.50.</p>"),
        ("<title>Gate</title>", "<form action=/subscribe><input type=email autocomplete=email></form><p>{}</p>"),
        ("<title>Gate</title>", "<h1>JavaScript</h1><p>{}</p>"),
    ],
)
def test_a_short_page_with_content_is_read(text: str, head: str, around: str) -> None:
    document = parsers.parse(page(around.format(text), head), "page.html", "text/html; charset=utf-8")
    assert re.sub(r"\s", "", text) in re.sub(r"\s", "", document.text)


@pytest.mark.parametrize(
    "title",
    [
        "Form 410: expense claims",
        "Highway 410",
        "Room 404 booking",
        "404 - Data retention",
        "Raum 404 buchen",
        "Badge not found",
        "Meldung „package not found“",
    ],
)
def test_a_number_in_a_title_is_no_status_of_a_page_with_content(title: str) -> None:
    text = f"{SENTENCES['en']} Visitors wait at the desk until somebody comes down. {SENTENCES['en']} Bring an ID card."
    document = parsers.parse(page(f"<h1>{title}</h1><p>{text}</p>", f"<title>{title}</title>"), "page.html")
    assert "Visitors wait" in document.text


@pytest.mark.parametrize(
    ("head", "attributes"),
    [("404", ""), ("404 Not Found", ""), ("Error 404: not found | Acme", ""), ("Ошибка 404", "class=error404")],
)
def test_a_missing_page_with_advice_does_not_exist(head: str, attributes: str) -> None:
    advice = " ".join(["Check the address, search this site, or write to us."] * 5)
    missing = page(f"<h1>{head}</h1><p>{advice}</p>", f"<title>{head}</title>", attributes)
    assert refusal(missing) == page_kinds.MISSING
