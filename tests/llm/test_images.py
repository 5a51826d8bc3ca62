"""Images: validated by their bytes, sent to vision models, billed by the published rules."""

from __future__ import annotations

import io
from contextlib import aclosing

import PIL.Image
import pytest

from bot.engine.ports.llm import Image, Message, Prompt
from bot.errors import UsageError
from bot.llm.providers import images
from bot.llm.providers.call_metering import estimate_prompt
from bot.llm.providers.provider_call import Timeouts
from bot.llm.quoting.extractive import ExtractiveLLM
from bot.llm.resilient import ResilientLLM
from bot.llm.tokens import TokenCounter
from bot.llm.user_messages import CANNOT_SEE_IMAGE
from bot.types.usage import Call
from tests.doubles.models import ModelDouble, Reply
from tests.llm.llm_requests import ANSWER, Adapter, anthropic, ask, openai, prompt


def drawn(width: int = 640, height: int = 400, form: str = "PNG") -> bytes:
    made = io.BytesIO()
    PIL.Image.new("RGB", (width, height), (200, 30, 90)).save(made, form)
    return made.getvalue()


def showing(*shown: Image, text: str = "What does the sign say?") -> Prompt:
    return prompt(text, messages=[Message("user", text, images=shown)])


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "WEBP"])
async def test_every_form_is_taken_and_billed_by_its_pixels(adapter: Adapter, double: ModelDouble, form: str) -> None:
    double.script = lambda _: Reply(ANSWER)
    shown = images.read(drawn(1920, 1080, form))
    assert (shown.media_type, shown.width, shown.height) == (f"image/{form.lower()}", 1920, 1080)
    without = await ask(adapter, showing())
    asked = await ask(adapter, showing(shown))
    assert asked.text == ANSWER
    dearer = asked.calls[0].usage.prompt_tokens - without.calls[0].usage.prompt_tokens
    assert 0 <= dearer - images.tokens(shown, adapter.model("cheap")) <= 10
    assert asked.calls[0].usage.prompt_tokens == double.bill[-1].prompt.total
    estimate = estimate_prompt(showing(shown), adapter.model("cheap"), TokenCounter())
    assert estimate >= 0.99 * double.bill[-1].prompt.total


async def test_a_declared_type_that_the_bytes_belie_is_refused(adapter: Adapter) -> None:
    """The double checks the bytes, as the providers do."""
    asked = await ask(adapter, showing(Image("image/jpeg", drawn(), 640, 400)))
    assert asked.error is not None
    assert asked.error.kind == "request"


async def test_a_cancelled_call_counts_its_image(adapter: Adapter, double: ModelDouble) -> None:
    double.script = lambda _: Reply(ANSWER * 50, pause=0.01)
    calls: list[Call] = []
    async with aclosing(adapter.stream(showing(images.read(drawn(2000, 1500))), meter=calls.append)) as events:
        async for _ in events:
            break
    assert (calls[0].status, calls[0].estimated) == ("cancelled", True)
    assert calls[0].usage.prompt_tokens > 2000


async def test_a_model_that_does_not_see_says_so(adapter: Adapter, double: ModelDouble) -> None:
    double.blind = {adapter.model("cheap")}
    asked = await ask(adapter, showing(images.read(drawn())))
    assert asked.error is not None
    assert (asked.error.kind, asked.error.retryable) == ("images", False)
    assert "cannot see images" in str(asked.error)
    assert "\n" not in str(asked.error)


async def test_another_provider_that_sees_is_asked_and_the_blind_one_stays_in_use(double: ModelDouble) -> None:
    double.script = lambda seen: Reply(seen.model)
    first, second = openai(double), anthropic(double)
    double.blind = {first.model("cheap")}
    llm = ResilientLLM({"cheap": [first, second]}, Timeouts())
    for _ in range(8):
        assert (await ask(llm, showing(images.read(drawn())))).text == second.model("cheap")
    assert (await ask(llm)).text == first.model("cheap")
    await llm.aclose()


async def test_the_extractive_answerer_says_that_it_cannot_see() -> None:
    assert (await ask(ExtractiveLLM(TokenCounter()), showing(images.read(drawn())))).text.startswith(CANNOT_SEE_IMAGE)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not an image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image"),
        (drawn(form="BMP"), "not an image"),
        (drawn()[:20], "not an image"),
        (drawn(8001, 10), "too many pixels"),
        (b"\x89PNG" + bytes(images.MAX_BYTES), "too large"),
    ],
)
def test_what_cannot_be_sent_is_refused_in_one_line(data: bytes, words: str) -> None:
    with pytest.raises(UsageError, match=words) as refused:
        images.read(data, "sign.png")
    assert str(refused.value).startswith("sign.png")
    assert "Send" in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("width", "height", "model", "billed"),
    [
        (1000, 1000, "claude-sonnet-5-5", 1296),
        (1920, 1080, "claude-haiku-5-5", 2691),
        (4032, 3024, "claude-haiku-4-5", 1568),
        (1024, 1024, "gpt-6-luna", 1229),
        (3840, 2160, "gpt-6.1-sol", 3000),
        (1024, 1024, "gpt-4o", 765),
        (2048, 4096, "gpt-4o", 1105),
    ],
)
def test_tokens_by_the_published_rules(width: int, height: int, model: str, billed: int) -> None:
    assert images.tokens(Image("image/png", b"", width, height), model) == billed
