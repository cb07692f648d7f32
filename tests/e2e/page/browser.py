# SPDX-License-Identifier: MIT
"""A real Chromium, driven over the DevTools protocol through two pipes: no port, no package."""

import base64
import json
import os
import queue
import shutil
import subprocess
import tempfile
import threading
import time

FLAGS = """--headless --no-sandbox --disable-gpu --disable-quic --no-first-run
--disable-dev-shm-usage --disable-background-networking --disable-component-update --disable-sync --disable-extensions
--disable-default-apps --metrics-recording-only --mute-audio --remote-debugging-pipe""".split()


def find_chromium():
    """Path of the browser, or None."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


class PageError(Exception):
    """The page or the browser did not do what was waited for."""


class Browser:
    """One browser process with a profile of its own; close() leaves nothing behind."""

    def __init__(self, microphone=None, fake_permission=True, extra=()):
        self.profile = tempfile.mkdtemp(prefix="parley-page-")
        flags = [*FLAGS, f"--user-data-dir={self.profile}", "--use-fake-device-for-media-stream",
                 *extra]
        if fake_permission:
            flags.append("--use-fake-ui-for-media-stream")
        if microphone:
            flags.append(f"--use-file-for-fake-audio-capture={microphone}%noloop")
        to_browser, self._to = os.pipe()
        self._from, from_browser = os.pipe()

        def place_pipes():
            high = [os.dup(to_browser), os.dup(from_browser)]
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)

        self._process = subprocess.Popen(
            [find_chromium(), *flags, "about:blank"], preexec_fn=place_pipes, pass_fds=(3, 4),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True)
        os.close(to_browser)
        os.close(from_browser)
        self._ids = iter(range(1, 1 << 30))
        self._answers = {}
        self._pages = {}
        self._lock = threading.Lock()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        held = b""
        while True:
            try:
                data = os.read(self._from, 1 << 16)
            except OSError:
                return
            if not data:
                return
            *messages, held = (held + data).split(b"\0")
            for message in messages:
                self._on_message(json.loads(message))

    def _on_message(self, message):
        if "id" in message:
            with self._lock:
                answer = self._answers.pop(message["id"], None)
            if answer:
                answer.put(message)
        else:
            page = self._pages.get(message.get("sessionId"))
            if page:
                page.on_event(message["method"], message["params"])

    def command(self, method, session=None, limit_s=20, **params):
        """One DevTools command; its result, or PageError."""
        number = next(self._ids)
        answer = queue.Queue()
        with self._lock:
            self._answers[number] = answer
        message = {"id": number, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        try:
            reply = answer.get(timeout=limit_s)
        except queue.Empty:
            raise PageError(f"the browser did not answer {method} within {limit_s} s") from None
        if "error" in reply:
            raise PageError(f"{method}: {reply['error']['message']}")
        return reply["result"]

    def open(self, url, width=1280, height=800, before="", media=()):
        """A page at url; `before` is script that runs first in it, with what
        the page's policy would forbid; `media` are CSS media features."""
        target = self.command("Target.createTarget", url="about:blank")["targetId"]
        session = self.command("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self, session)
        self._pages[session] = page
        for domain in ("Page", "Runtime", "Log"):
            page.command(f"{domain}.enable")
        page.command("Emulation.setDeviceMetricsOverride", width=width, height=height,
                     deviceScaleFactor=1, mobile=width < 500)
        page.command("Emulation.setEmulatedMedia",
                     features=[{"name": name, "value": value} for name, value in media])
        if before:
            page.command("Page.setBypassCSP", enabled=True)
            page.command("Page.addScriptToEvaluateOnNewDocument", source=before)
        page.command("Page.navigate", url=url)
        page.wait("document.readyState === 'complete' && location.href !== 'about:blank'")
        return page

    def close(self):
        try:
            self.command("Browser.close", limit_s=5)
        except (PageError, OSError):
            pass
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, 9)
            self._process.wait()
        for pipe in (self._to, self._from):
            os.close(pipe)
        shutil.rmtree(self.profile, ignore_errors=True)


class Page:
    """One tab. What it wrote to the console as an error is kept in `errors`."""

    def __init__(self, browser, session):
        self._browser = browser
        self._session = session
        self.errors = []

    def on_event(self, method, params):
        if method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            thrown = details.get("exception", {}).get("description", "")
            self.errors.append(f"{details['text']} {thrown}")
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "assert"):
            self.errors.append(" ".join(str(a.get("value", "")) for a in params["args"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.errors.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")

    def command(self, method, **params):
        return self._browser.command(method, session=self._session, **params)

    def evaluate(self, script, limit_s=20):
        """The value of an expression; promises are waited for."""
        result = self.command("Runtime.evaluate", expression=script, returnByValue=True,
                              awaitPromise=True, limit_s=limit_s)
        if "exceptionDetails" in result:
            details = result["exceptionDetails"]
            raise PageError(details.get("exception", {}).get("description", details["text"]))
        return result["result"].get("value")

    def wait(self, script, limit_s=15, what=None):
        """Waits until the expression is true; how long that took."""
        start = time.monotonic()
        while time.monotonic() - start < limit_s:
            if self.evaluate(script):
                return time.monotonic() - start
            time.sleep(0.05)
        raise PageError(f"after {limit_s} s still not: {what or script} (page: {self.facts()})")

    def facts(self):
        """State and words of the page, for messages."""
        return self.evaluate("""['status', 'banner', 'transcript'].map((id) => {
            const e = document.getElementById(id);
            return `${id} ${e?.dataset.state ?? ''} "${e?.innerText.trim().slice(0, 200)}"`;
        }).join('; ') + '; figures ' + [...document.querySelectorAll('dd')].map((e) => e.innerText)
            .join(', ')""")

    def state(self):
        return self.evaluate("document.getElementById('status').dataset.state")

    def wait_state(self, state, limit_s=15):
        return self.wait(f"document.getElementById('status').dataset.state === {json.dumps(state)}",
                         limit_s, f"state {state}")

    def click(self, selector):
        """A press of the mouse in the middle of the element, as a hand would do it."""
        x, y = self.evaluate(f"""(() => {{
            const e = document.querySelector({json.dumps(selector)});
            e.scrollIntoView({{ block: 'center' }});
            const box = e.getBoundingClientRect();
            return [box.x + box.width / 2, box.y + box.height / 2];
        }})()""")
        for kind in ("mousePressed", "mouseReleased"):
            self.command("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left",
                         clickCount=1)

    def set_permission(self, name, setting, url):
        self._browser.command("Browser.setPermission", permission={"name": name}, setting=setting,
                              origin=url.rstrip("/"))

    def press_space(self):
        key = {"key": " ", "code": "Space", "windowsVirtualKeyCode": 32}
        self.command("Input.dispatchKeyEvent", type="keyDown", text=" ", **key)
        self.command("Input.dispatchKeyEvent", type="keyUp", **key)

    def screenshot(self, path):
        data = self.command("Page.captureScreenshot", format="png")["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(data))
