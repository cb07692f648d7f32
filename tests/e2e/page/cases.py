# SPDX-License-Identifier: MIT
"""What the page promises, one function a promise. Each gets a Bench; a broken promise raises."""

import json
import os
import shutil
import signal
import tempfile
import time
import wave
from contextlib import contextmanager

from browser import Browser
from parley import MODELS, Parley

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
QUESTION = os.path.join(ROOT, "tests", "e2e", "data", "question-sum.wav")
RETURN_LIMIT_S = 12
NARROW = (390, 360, 320)


class Bench:
    """A server, a browser and what both need; everything ends with the case."""

    def __init__(self, binary):
        self.binary = binary

    @contextmanager
    def server(self, *args, ready=True):
        server = Parley(self.binary, *args)
        try:
            yield server.wait_ready() if ready else server
        finally:
            server.kill()

    @contextmanager
    def page(self, server, before="", width=1280, height=800, media=(), **browser_args):
        browser = Browser(**{"microphone": QUESTION, **browser_args})
        try:
            yield browser.open(server.url, width, height, before, media)
        finally:
            browser.close()


def check(is_true, what):
    if not is_true:
        raise AssertionError(what)


def read(name):
    with open(os.path.join(HERE, name), encoding="utf-8") as file:
        return file.read()


def text(page, element):
    return page.evaluate(f"document.getElementById({json.dumps(element)}).innerText")


def check_quiet(page):
    check(not page.errors, f"console errors: {page.errors}")


def a_spoken_sum_is_answered_aloud_and_in_words(bench):
    """Asked up to three times in one talk: the small model mishears now and then, more so on a
    machine so busy that the browser loses some of the question."""
    with asked_again(3) as microphone, bench.server("--temperature", "0") as server, \
            bench.page(server, before=read("tap.js"), microphone=microphone) as page:
        page.click("#talk")
        page.wait_state("talking")
        page.wait("/seven/.test(document.getElementById('transcript').textContent)", 30)
        check_played(page)
        check_figures(page)
        check_quiet(page)


@contextmanager
def asked_again(times):
    """The question after the time that a greeting takes, and again after that of an answer."""
    with tempfile.NamedTemporaryFile(suffix=".wav", prefix="parley-page-") as file:
        with wave.open(QUESTION) as question, wave.open(file, "wb") as asked:
            sound = question.readframes(question.getnframes())
            asked.setparams(question.getparams())
            asked.writeframes(bytes(2 * question.getframerate()) + sound * times)
        file.flush()
        yield file.name


def check_played(page):
    time.sleep(2.5)                             # the sound follows the words
    result = page.evaluate("tapCompare()", 60)
    check(result["loud"] > 0.02, f"the server sent silence: {result}")
    check(result["playedRms"] > 0.002, f"silence was played: {result}")
    # The rest touched a gap or was cut to catch up, which a busy machine does.
    check(result["nHeard"] >= 0.7 * result["nVoiced"] > 5,
          f"what was played is not what the server sent: {result} {page.facts()}")


def check_figures(page):
    latency = text(page, "figure-latency")
    check(latency.endswith(" ms") and 80 < int(latency.split()[0]) < 2000, f"latency {latency!r}")
    for name in ("lag", "drops", "buffer"):
        check(text(page, f"figure-{name}")[:1].isdigit(), f"no figure for {name}")


def space_bar_starts_and_ends_a_talk(bench):
    with bench.server() as server, bench.page(server) as page:
        page.press_space()
        page.wait_state("talking")
        page.press_space()
        page.wait_state("idle")
        page.evaluate("document.getElementById('talk').focus()")
        page.press_space()
        page.wait_state("talking")
        page.press_space()
        page.wait_state("idle")
        check_quiet(page)


def a_refused_microphone_is_explained(bench):
    with bench.server() as server, bench.page(server, fake_permission=False) as page:
        page.set_permission("microphone", "denied", server.url)
        page.click("#talk")
        page.wait_state("denied")
        check("Allow" in text(page, "advice"), page.facts())
        time.sleep(6)                           # a look at the server must not wash it away
        check(page.state() == "denied", page.facts())
        page.set_permission("microphone", "granted", server.url)
        page.click("#talk")
        page.wait_state("talking")
        check_quiet(page)


def a_missing_microphone_is_explained(bench):
    none = """navigator.mediaDevices.getUserMedia = () =>
        Promise.reject(new DOMException('none', 'NotFoundError'));"""
    with bench.server() as server, bench.page(server, before=none) as page:
        page.click("#talk")
        page.wait_state("denied")
        check("No microphone was found" in text(page, "headline"), page.facts())


def an_insecure_address_is_explained(bench):
    hidden = """Object.defineProperty(navigator, 'mediaDevices', { value: undefined });
        Object.defineProperty(AudioContext.prototype, 'audioWorklet', { value: undefined });
        delete window.AudioWorkletNode;"""
    with bench.server() as server, bench.page(server, before=hidden) as page:
        page.wait_state("denied")
        check("https" in text(page, "advice"), page.facts())
        said = text(page, "headline")
        page.click("#talk")
        time.sleep(1)                           # a press says nothing else
        page.wait_state("denied")
        check(text(page, "headline") == said and "https" in text(page, "advice"), page.facts())
        check_quiet(page)


def any_key_in_the_address_opens_the_door(bench):
    key = "a+b/c%41&d#e=="
    with tempfile.NamedTemporaryFile("w", suffix=".key", prefix="parley-page-") as file:
        file.write(key + "\n")
        file.flush()
        with bench.server("--key-file", file.name) as server, bench.page(server) as page:
            page.evaluate(f"location.hash = {json.dumps('key=' + key)}")
            page.click("#talk")
            page.wait_state("talking")
            check_quiet(page)


def a_lost_server_is_found_again(bench):
    with bench.server() as server, bench.page(server) as page:
        page.click("#talk")
        page.wait_state("talking")
        server.kill()
        page.wait_state("lost", 3)
        time.sleep(10)                          # let the waits grow
        check(page.evaluate("document.getElementById('wait').innerText").endswith(" s"),
              f"no countdown: {page.facts()}")
        check(page.state() == "lost", page.facts())
        server.start()
        page.wait_state("talking", RETURN_LIMIT_S)
        page.wait("Number.parseInt(document.getElementById('figure-latency').innerText) > 0", 8)


def talk_pressed_without_a_server_waits_for_it(bench):
    """What the sound needs comes from the server, too, and is not there yet."""
    with bench.server() as server, bench.page(server) as page:
        page.wait_state("idle")
        server.kill()
        page.click("#talk")
        page.wait_state("lost", 6)
        server.start()
        page.wait_state("talking", RETURN_LIMIT_S)


def a_double_click_is_one_press(bench):
    with bench.server() as server, bench.page(server) as page:
        page.wait_state("idle")
        page.evaluate("""for (const detail of [1, 2])
            document.getElementById('talk').dispatchEvent(new MouseEvent('click', { detail }));""")
        page.wait_state("talking")


def a_server_that_shuts_down_is_found_again(bench):
    with bench.server() as server, bench.page(server) as page:
        page.click("#talk")
        page.wait_state("talking")
        server.kill(signal.SIGTERM)
        page.wait_state("lost", 3)
        server.start()
        page.click("#retry")
        page.wait_state("talking", RETURN_LIMIT_S)


def a_server_that_cannot_talk_is_not_dialled(bench):
    """What /health says is made up here: a model loads too fast to be met loading."""
    made_up = """window.said = 'loading';
        window.nDialled = 0;
        const ask = window.fetch;
        window.fetch = (path, ...rest) => window.said && path === '/health'
            ? Promise.resolve(Response.json({ state: window.said })) : ask(path, ...rest);
        window.WebSocket = class extends WebSocket {
            constructor(...args) {
                super(...args);
                window.nDialled += 1;
                window.socket = this;
            }
        };"""
    with bench.server() as server, bench.page(server, before=made_up) as page:
        page.click("#talk")
        page.wait("document.getElementById('headline').innerText.includes('waking up')")
        for n_dialled, state in enumerate(("loading", "full", "draining")):
            page.evaluate(f"window.said = '{state}'; window.socket?.close()")
            time.sleep(4)
            check(page.evaluate("window.nDialled") == n_dialled, f"{state}, and yet it was dialled")
            page.evaluate("window.said = null")
            page.wait_state("talking", RETURN_LIMIT_S)
        check_quiet(page)


def trying_again_keeps_the_keyboard(bench):
    with bench.server() as server, bench.page(server) as page:
        page.click("#talk")
        page.wait_state("talking")
        server.kill()
        page.wait("!document.getElementById('retry').hidden")
        page.evaluate("document.getElementById('retry').focus()")
        for _ in range(4):
            page.press_space()
            time.sleep(0.3)
            check(page.evaluate("document.activeElement.id") == "retry" and page.state() == "lost",
                  f"a press on Try now: {page.facts()}")
        server.start()
        page.wait_state("talking", RETURN_LIMIT_S)
        check(page.evaluate("document.activeElement.id") == "talk", "the focus was lost")
        page.press_space()
        page.wait_state("idle")


def a_hung_server_is_noticed(bench):
    with bench.server() as server, bench.page(server) as page:
        page.click("#talk")
        page.wait_state("talking")
        server.hold(True)
        page.wait_state("lost", 15)
        server.hold(False)
        page.wait_state("talking", RETURN_LIMIT_S)


def a_full_server_is_busy_and_then_free(bench):
    with bench.server("--max-talks", "1") as server:
        other = server.take_lane()
        with bench.page(server) as page:
            page.click("#talk")
            page.wait_state("busy")
            check("taken" in text(page, "headline"), page.facts())
            check_quiet(page)
            other.close()
            page.wait_state("idle", 12)
            page.click("#talk")
            page.wait_state("talking")


@contextmanager
def broken_model():
    """The small model with its weights cut short; the name of the file is what must be said."""
    with tempfile.TemporaryDirectory(prefix="parley-page-") as folder:
        model = os.path.join(folder, "broken")
        shutil.copytree(os.path.join(MODELS, "tiny-voice"), model)
        weights = os.path.join(model, "model.safetensors")
        os.truncate(weights, os.path.getsize(weights) - 1000)
        yield model


def a_degraded_server_says_why(bench):
    with broken_model() as model, bench.server("--model", model, ready=False) as server, \
            bench.page(server, width=390, height=844) as page:
        page.wait("!document.getElementById('banner').hidden", 15, "a banner")
        check("model.safetensors" in text(page, "banner"), page.facts())
        page.wait_state("degraded")
        page.click("#talk")
        time.sleep(1)
        page.wait_state("degraded")
        check(page.evaluate("document.documentElement.scrollWidth <= innerWidth"),
              "scrolls sideways")
        check_quiet(page)


def nothing_scrolls_sideways_on_a_phone(bench):
    with bench.server() as server:
        for width in NARROW:
            with bench.page(server, width=width, height=700) as page:
                page.wait("document.getElementById('model').textContent", 5, "the model's name")
                page.evaluate(f"document.getElementById('model').textContent = {json.dumps('0123456789' * 6)}")
                for state in ("idle", "talking"):
                    page.wait_state(state)
                    wide = page.evaluate("document.documentElement.scrollWidth")
                    check(wide <= width, f"{wide} px wide at {width} px, {state}")
                    if state == "idle":
                        page.evaluate("document.querySelector('details').open = true")
                        page.click("#talk")
                low = page.evaluate("document.getElementById('talk').getBoundingClientRect().width")
                check(low >= 44, f"#talk is {low} px at {width} px")


def the_page_is_served_under_a_strict_policy(bench):
    with bench.server() as server, bench.page(server) as page:
        status, headers, body = server.get("")
        policy = headers.get("Content-Security-Policy", "")
        check(status == 200 and b"id=\"talk\"" in body, f"/ answers {status}")
        check("default-src 'self'" in policy or "default-src 'none'" in policy, f"policy: {policy}")
        check("frame-ancestors 'none'" in policy and "unsafe" not in policy, f"policy: {policy}")
        icon = page.evaluate("document.querySelector('link[rel=icon]').getAttribute('href')")
        check(server.get(icon)[0] == 200, f"no favicon at {icon}")
        page.click("#talk")
        page.wait_state("talking")
        foreign = page.evaluate("""performance.getEntriesByType('resource')
            .map((entry) => entry.name)
            .filter((name) => new URL(name).origin !== location.origin)""")
        check(not foreign, f"loaded from elsewhere: {foreign}")
        check_quiet(page)


def both_schemes_can_be_read(bench):
    with bench.server() as server:
        for scheme in ("light", "dark"):
            with bench.page(server, media=[("prefers-color-scheme", scheme)]) as page:
                poor = page.evaluate(read("contrast.js"))
                check(not poor, f"{scheme}: contrast below 4.5: {poor}")


def reduced_motion_is_respected(bench):
    with bench.server() as server, \
            bench.page(server, media=[("prefers-reduced-motion", "reduce")]) as page:
        page.click("#talk")
        page.wait_state("talking")
        moving = page.evaluate("document.getAnimations().length")
        check(moving == 0, f"{moving} animations run")


def screen_readers_find_their_way(bench):
    with bench.server() as server, bench.page(server) as page:
        nodes = page.command("Accessibility.getFullAXTree")["nodes"]
        roles = {(n.get("role", {}).get("value"), n.get("name", {}).get("value"))
                 for n in nodes if not n.get("ignored")}
        check(("button", "Talk") in roles, f"no button named Talk among {sorted(map(str, roles))}")
        check(any(role == "log" and name for role, name in roles), "the transcript has no name")
        check(any(role == "status" for role, _ in roles), "no status")
        check(("meter", "Your level") in roles, "no level meter")


def the_modules_keep_their_promises(bench):
    with bench.server() as server, bench.page(server) as page:
        failures = page.evaluate(read("modules.js"), 60)
        check(not failures, "; ".join(failures))


CASES = [
    a_spoken_sum_is_answered_aloud_and_in_words,
    space_bar_starts_and_ends_a_talk,
    a_refused_microphone_is_explained,
    a_missing_microphone_is_explained,
    an_insecure_address_is_explained,
    any_key_in_the_address_opens_the_door,
    a_lost_server_is_found_again,
    talk_pressed_without_a_server_waits_for_it,
    a_double_click_is_one_press,
    a_server_that_shuts_down_is_found_again,
    a_server_that_cannot_talk_is_not_dialled,
    trying_again_keeps_the_keyboard,
    a_hung_server_is_noticed,
    a_full_server_is_busy_and_then_free,
    a_degraded_server_says_why,
    nothing_scrolls_sideways_on_a_phone,
    the_page_is_served_under_a_strict_policy,
    both_schemes_can_be_read,
    reduced_motion_is_respected,
    screen_readers_find_their_way,
    the_modules_keep_their_promises,
]
