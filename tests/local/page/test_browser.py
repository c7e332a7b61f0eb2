"""The page in a real browser: it shows, follows, keeps what the reader did, and runs nothing else.

Chromium, driven by its own driver; without them these tests are skipped.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any, Protocol, TypeVar, cast

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service as Driver
from selenium.webdriver.common.keys import Keys

from aiodatapipeline._seam import Reply
from aiodatapipeline.local._front import Front
from aiodatapipeline.local._http import HttpServer
from aiodatapipeline.local._page import Site
from aiodatapipeline.local._page._site import Page
from tests.local.page.hostile import EVIL, fill_with_hostile_texts
from tests.local.service import HOUR, Place, every, on_demand, ref, shell

ResultT = TypeVar("ResultT")

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")

pytestmark = pytest.mark.skipif(
    BROWSER is None or DRIVER is None,
    reason="no browser: install Debian's packages chromium and chromium-driver",
)

# Seconds, so that a test which waits for what does not come fails and does not hang.
PATIENCE = 20.0


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Generator[webdriver.Chrome, None, None]:
    options = Options()
    options.binary_location = str(BROWSER)
    for argument in (
        "--headless=new",
        "--no-sandbox",  # which needs rights that containers have not
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--disable-component-update",
        "--no-first-run",
        f"--user-data-dir={tmp_path_factory.mktemp('profile')}",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    home = str(tmp_path_factory.mktemp("home"))
    driver = Driver(str(DRIVER), env={**os.environ, "HOME": home})
    chrome = webdriver.Chrome(options=options, service=driver)
    try:
        cast("Browser", chrome).execute_cdp_cmd(
            "Page.addScriptToEvaluateOnNewDocument", {"source": FASTER}
        )
        chrome.set_script_timeout(PATIENCE)
        chrome.set_page_load_timeout(PATIENCE)
        yield chrome
    finally:
        chrome.quit()


# Runs before the page's own script. Time is 50 times as fast, and what is to come is known.
FASTER = """
window.toCome = new Set();
window.asked = 0;
const [later, never, ask] = [window.setTimeout, window.clearTimeout, window.fetch];
window.setTimeout = (call, wait) => {
  const timer = later(() => { toCome.delete(timer); call(); }, wait / 50);
  toCome.add(timer);
  return timer;
};
window.clearTimeout = timer => { toCome.delete(timer); never(timer); };
window.fetch = (...what) => { asked += 1; return ask(...what).finally(() => { asked -= 1; }); };
"""


class Browser(Protocol):
    """What is used of Selenium, whose own types say little."""

    def execute_cdp_cmd(self, cmd: str, cmd_args: dict[str, object], /) -> object: ...
    def execute_script(self, script: str, /) -> Any: ...
    def execute_async_script(self, script: str, /) -> object: ...
    def get(self, url: str, /) -> None: ...
    def get_log(self, log_type: str, /) -> list[dict[str, Any]]: ...


class Reader:
    """Somebody with a browser. The browser is waited for in a thread: the service goes on."""

    def __init__(self, browser: webdriver.Chrome, url: str) -> None:
        self._chrome, self._browser, self.url = browser, cast("Browser", browser), url

    async def _do(self, do: Callable[..., ResultT], *arguments: object) -> ResultT:
        return await asyncio.to_thread(do, *arguments)

    async def open(self, path: str = "/", *, dark: bool = False) -> None:
        await self.widen(1280)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self._send("Emulation.setEmulatedMedia", {"features": [scheme]})
        # What the page before had to complain of is its own affair.
        await self._do(self._browser.get, "about:blank")
        await self._do(self._browser.get_log, "browser")
        await self._do(self._browser.get, self.url + path)

    async def widen(self, width: int) -> None:
        await self._send(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600},
        )

    async def _send(self, command: str, arguments: dict[str, object]) -> None:
        await self._do(self._browser.execute_cdp_cmd, command, arguments)

    async def find(self, expression: str) -> Any:
        """What an expression of JavaScript comes to in the page."""
        return await self._do(self._browser.execute_script, f"return ({expression})")

    async def until(self, expression: str) -> None:
        """Wait until an expression is true: the browser looks whenever the page changes."""
        await self._do(
            self._browser.execute_async_script,
            f"""
            const done = arguments[0], holds = () => ({expression});
            if (holds()) return done();
            const observer = new MutationObserver(() => {{
              if (holds()) {{ observer.disconnect(); done(); }}
            }});
            observer.observe(document, {{
              subtree: true, childList: true, attributes: true, characterData: true,
            }});
            """,
        )

    async def press(self, *keys: str) -> None:
        action = webdriver.ActionChains(self._chrome).send_keys(*keys)
        await self._do(action.perform)

    async def complaints(self) -> list[str]:
        """What the browser has to say: breaches of the policy, errors of the script."""
        said: list[dict[str, Any]] = await self._do(self._browser.get_log, "browser")
        return [each["message"] for each in said]


@asynccontextmanager
async def reading(place: Place, browser: webdriver.Chrome) -> AsyncGenerator[Reader, None]:
    server = HttpServer(place.clock, pages=Site(place.service).find)
    front = Front(place.service, place.clock)
    await server.open(front)
    try:
        yield Reader(browser, server.url)
    finally:
        await asyncio.to_thread(browser.get, "about:blank")
        await server.aclose()


@pytest.fixture
async def reader(place: Place, browser: webdriver.Chrome) -> AsyncGenerator[Reader, None]:
    async with reading(place, browser) as reader:
        yield reader


MAIN = "document.getElementById('main').innerText"


async def test_the_pages_are_shown_without_a_complaint_of_the_browser(
    place: Place, reader: Reader
) -> None:
    pipe = await place.pipeline(every("1 hour", shell("Load")), name="nightly")

    await reader.open()
    await reader.find("document.querySelector('td a').click()")
    await reader.until("document.querySelector('h1')?.innerText === 'nightly'")

    assert await reader.find("location.pathname") == f"/pipelines/{pipe.id}"
    assert await reader.find("document.title") == "nightly - local Data Pipeline"
    assert "2026-01-01 00:00:00 to 2026-01-01 01:00:00" in await reader.find(MAIN)
    # Its style is applied: the policy knows it.
    boxes = "document.querySelectorAll('.s-waiting .box')"
    assert await reader.find(f"getComputedStyle({boxes}[0]).fill") == "rgb(252, 241, 205)"
    assert await reader.complaints() == []
    # A browser that takes an answer for a file shows nothing of it.
    await reader.open("/nothing")
    assert "Nothing is there" in await reader.find(MAIN)


async def test_an_open_page_follows_what_happens(place: Place, reader: Reader) -> None:
    pipe = await place.pipeline(on_demand(shell("Load"), maximumRetries="0"))
    await reader.open(f"/pipelines/{pipe.id}")
    assert "1 WAITING_FOR_RUNNER" in await reader.find(MAIN)

    await place.fail()
    await place.passes(HOUR)

    # The error of a run that was not open is.
    await reader.until(f"{MAIN}.includes('1 FAILED') && {MAIN}.includes('broken')")
    await reader.until("document.querySelector('svg .s-failed .box')")
    await reader.until("document.getElementById('clock').innerText === '2026-01-01 01:00:00 UTC'")
    assert await reader.complaints() == []


async def test_what_the_reader_opened_and_focused_stays_so_while_the_page_changes(
    place: Place, reader: Reader
) -> None:
    pipe = await place.pipeline(every("1 hour", shell("Load")))
    await reader.open(f"/pipelines/{pipe.id}")
    first = "document.querySelector('[data-key=\"2026-01-01T00:00:00\"]')"
    load = "document.querySelector('.object[data-key=\"Load\"]')"
    await reader.find(f"[{load}.open = true, {first}.open = false, {load}.firstChild.focus()]")
    await reader.find(f"window.held = {load}")

    await place.until(HOUR)
    await reader.until(f"{MAIN}.includes('2026-01-01 01:00:00 to')")

    assert await reader.find(f"[{load}.open, {first}.open]") == [True, False]
    assert await reader.find(f"document.activeElement === {load}.firstChild")
    assert await reader.find(f"window.held === {load}")
    # The new run stands in front of the old one.
    runs = "[...document.querySelectorAll('.run')].map(run => run.dataset.key)"
    assert await reader.find(runs) == ["2026-01-01T01:00:00", "2026-01-01T00:00:00"]


async def test_what_is_gone_disappears(place: Place, reader: Reader) -> None:
    pipe = await place.create("soon gone")
    await place.create("here to stay", "u2")
    await reader.open()

    await place.client.delete_pipeline(pipe.id)

    await reader.until(f"!{MAIN}.includes('soon gone')")
    assert "here to stay" in await reader.find(MAIN)


async def test_it_can_be_paused_and_goes_on_with_the_keyboard_alone(
    place: Place, reader: Reader
) -> None:
    await reader.open()
    focused = "document.activeElement"

    await reader.press(Keys.TAB)
    assert await reader.find(f"{focused}.innerText") == "Skip to content"
    await reader.press(Keys.TAB, Keys.TAB)
    assert await reader.find(f"{focused}.id") == "follow"
    await reader.press(Keys.ENTER)
    assert await reader.find(f"{focused}.innerText") == "Follow"
    await reader.find(
        "new Promise(done => (function wait() { asked ? requestAnimationFrame(wait) : done() })())"
    )
    assert await reader.find("toCome.size") == 0  # it will not ask by itself any more

    await place.create("made meanwhile")
    await reader.press(Keys.ENTER)
    await reader.until(f"{MAIN}.includes('made meanwhile')")


async def test_an_answer_that_comes_after_the_pause_does_not_end_it(reader: Reader) -> None:
    await reader.open()
    await reader.find(
        """new Promise(asked => {
          const ask = window.fetch;
          window.fetch = (...what) => new Promise(done => {
            window.goOn = () => ask(...what).then(done);
            asked();
          });
        })"""
    )

    await reader.find("document.getElementById('follow').click()")
    await reader.find("goOn()")
    await reader.find("new Promise(requestAnimationFrame)")
    await reader.find("new Promise(requestAnimationFrame)")

    assert await reader.find("toCome.size") == 0


async def test_it_says_that_the_service_hangs_or_is_gone_until_it_answers_again(
    place: Place, browser: webdriver.Chrome
) -> None:
    answers = asyncio.Event()
    answers.set()
    site = Site(place.service)

    async def wait_for_overview() -> Reply:
        await answers.wait()
        return await cast("Page", site.find("/"))()

    def find(path: str) -> Page | None:
        return wait_for_overview if path == "/" else site.find(path)

    async def serve(port: int) -> HttpServer:
        server = HttpServer(place.clock, port=port, pages=find)
        await server.open(Front(place.service, place.clock))
        return server

    server = await serve(0)
    reader = Reader(browser, server.url)
    news = "document.getElementById('news').textContent"
    silence = "The service does not answer"
    await reader.open()
    # It takes no room while it is empty, but a screen reader knows it by then.
    assert await reader.find("document.getElementById('news').checkVisibility()")

    answers.clear()
    await reader.until(f"{news} === '{silence}'")
    await place.create("made meanwhile")
    answers.set()
    await reader.until(f"{news} === '' && {MAIN}.includes('made meanwhile')")

    await server.aclose()
    await reader.until(f"{news} === '{silence}'")
    server = await serve(int(reader.url.rpartition(":")[2]))
    await reader.until(f"{news} === ''")
    await asyncio.to_thread(browser.get, "about:blank")
    await server.aclose()


async def test_hostile_texts_run_nothing(place: Place, reader: Reader) -> None:
    pipe = await fill_with_hostile_texts(place)

    for path in ("/", f"/pipelines/{pipe.id}", "/pipelines/<script>alert(1)<%2Fscript>"):
        await reader.open(path)
        # Once more by the script, which puts it into the page in another way.
        await place.passes(60)
        clock = f"2026-01-01 00:{int(place.now // 60):02}:00 UTC"
        if "alert" not in path:
            await reader.until(f"document.getElementById('clock').innerText === '{clock}'")

        assert "pwned" not in (await reader.find("document.title")).replace(EVIL, "")
        assert (
            await reader.find("document.querySelectorAll('script, main img, [onload]').length") == 1
        )
        complaints = await reader.complaints()
        assert [each for each in complaints if "404" not in each] == []


# Statuses that go beyond their chips, or to the edge of them.
TOO_WIDE = """
[...document.querySelectorAll(".chip")].filter(one => {
  const text = document.createRange();
  text.selectNodeContents(one);
  const room = parseFloat(getComputedStyle(one).paddingRight);
  const ends = text.getBoundingClientRect().right;
  return ends > one.getBoundingClientRect().right - room + 1;
}).map(one => one.innerText)
"""


CONTRAST = """
(() => {
  const channel = c => (c /= 255) <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4;
  const light = rgb => .2126 * channel(rgb[0]) + .7152 * channel(rgb[1]) + .0722 * channel(rgb[2]);
  const read = text => text.match(/[\\d.]+/g).map(Number);
  const ground = e => {
    for (; e; e = e.parentElement) {
      const c = read(getComputedStyle(e).backgroundColor);
      if (c.length < 4 || c[3] === 1) return c;
    }
    return [255, 255, 255];
  };
  const found = new Set();
  for (const e of document.querySelectorAll("body *:not(svg *)")) {
    if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())) continue;
    if (!e.checkVisibility()) continue;
    const [a, b] = [light(read(getComputedStyle(e).color)), light(ground(e))];
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < 4.5) found.add(`${e.tagName}.${e.className} ${ratio.toFixed(1)}`);
  }
  return [...found];
})()
"""


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
async def test_it_is_readable_at_every_width_and_in_the_dark(
    place: Place, reader: Reader, dark: bool
) -> None:
    evil = await fill_with_hostile_texts(place)
    await place.client.create_pipeline("n" * 1000, "u", description="x" * 1000)
    await place.pipeline(on_demand(shell("Load"), workerGroup="w"), name="second")
    wrong = await place.create("wrong", "w")
    await wrong.put(on_demand(shell("Load", dependsOn=ref("y" * 200))))

    for path in ("/", f"/pipelines/{evil.id}", f"/pipelines/{wrong.id}"):
        await reader.open(path, dark=dark)
        await reader.find("document.querySelectorAll('details').forEach(one => one.open = true)")

        for width in (1280, 768, 360):
            await reader.widen(width)
            # A phone makes the page as wide as what is in it: innerWidth would say nothing.
            assert await reader.find(f"document.documentElement.scrollWidth <= {width}")
            assert await reader.find(TOO_WIDE) == []
        ground = await reader.find("getComputedStyle(document.body).backgroundColor")
        ink = await reader.find("getComputedStyle(document.body).color")
        lightness = [sum(map(int, colour[4:-1].split(","))) for colour in (ground, ink)]
        assert (lightness[0] < lightness[1]) == dark
        # 4.5 to 1, as WCAG 2.2 asks for at level AA.
        assert await reader.find(CONTRAST) == []


async def test_every_heading_is_one_below_the_last_and_what_scrolls_can_be_reached(
    place: Place, reader: Reader
) -> None:
    pipe = await place.pipeline(every("1 hour", shell("Load")))

    for path in ("/", f"/pipelines/{pipe.id}"):
        await reader.open(path)
        levels: list[int] = await reader.find(
            "[...document.querySelectorAll('h1, h2, h3')].map(one => +one.tagName[1])"
        )
        assert levels.count(1) == 1
        assert all(later - one <= 1 for one, later in pairwise(levels))
    assert await reader.find("document.querySelector('.drawing').tabIndex") == 0
