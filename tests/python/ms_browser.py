"""A headless Chromium, driven over WebDriver's protocol.

    with Browser(width=1400, height=1000, dark=False) as page:
        page.go(url); page.text("#user-title"); page.wait("words", lambda: ...); page.screenshot(path)

Elements are named by CSS selectors. page.errors() are what the page has written to its console as errors.
"""

import base64
import json
import subprocess
import tempfile
import time
import urllib.request

import ms_kafka

QUIET = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars"]
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


class Browser:
    def __init__(self, width=1400, height=1000, dark=False):
        self.profile = tempfile.TemporaryDirectory(prefix="ms-browser-", ignore_cleanup_errors=True)
        options = {"args": [*QUIET, f"--user-data-dir={self.profile.name}", f"--window-size={width},{height}"]}
        if width < 600:
            options["mobileEmulation"] = {"deviceMetrics": {"width": width, "height": height, "pixelRatio": 1.5, "mobile": True}}
        port = ms_kafka.free_port()
        self.process = subprocess.Popen(["chromedriver", f"--port={port}", "--silent"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.root = f"http://127.0.0.1:{port}"
        self.session = None
        ms_kafka.wait_for("chromedriver", self._answers, 60)
        made = self._call("POST", "/session", {"capabilities": {"alwaysMatch": {
            "browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}}})
        self.session = made["sessionId"]
        if dark:
            self._devtools("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark"}]})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self._ask("DELETE", "")
        except OSError:
            pass
        self.process.terminate()
        self.process.wait()
        self.profile.cleanup()

    def _answers(self):
        try:
            return self._call("GET", "/status")["ready"]
        except OSError:
            return False

    def _call(self, method, path, body=None):
        request = urllib.request.Request(self.root + path, method=method, headers={"Content-Type": "application/json"},
                                         data=json.dumps(body or {}).encode() if method == "POST" else None)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]

    def _ask(self, method, path, body=None):
        return self._call(method, f"/session/{self.session}{path}", body)

    def _devtools(self, command, parameters):
        return self._ask("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def go(self, url):
        self._ask("POST", "/url", {"url": url})

    def script(self, code, *arguments):
        return self._ask("POST", "/execute/sync", {"script": code, "args": list(arguments)})

    def text(self, selector):
        """The words of the element as they are shown; None where there is none."""
        return self.script("const e = document.querySelector(arguments[0]); return e ? e.innerText : null", selector)

    def count(self, selector):
        return self.script("return document.querySelectorAll(arguments[0]).length", selector)

    def attribute(self, selector, name):
        return self.script("const e = document.querySelector(arguments[0]); return e ? e.getAttribute(arguments[1]) : null", selector, name)

    def shown(self, selector):
        return self.script("const e = document.querySelector(arguments[0]); return !!e && e.getClientRects().length > 0", selector)

    def _element(self, selector):
        return self._ask("POST", "/element", {"using": "css selector", "value": selector})[ELEMENT]

    def click(self, selector):
        self._ask("POST", f"/element/{self._element(selector)}/click")

    def type(self, selector, text):
        element = self._element(selector)
        self._ask("POST", f"/element/{element}/clear")
        self._ask("POST", f"/element/{element}/value", {"text": text})

    def press(self, selector, keys):
        self._ask("POST", f"/element/{self._element(selector)}/value", {"text": keys})

    def wait(self, what, condition, timeout_s=30):
        return ms_kafka.wait_for(what, condition, timeout_s, 0.1)

    def wait_text(self, selector, *words, timeout_s=30):
        seen = [None]

        def found():
            seen[0] = self.text(selector)
            return seen[0] is not None and all(word in seen[0] for word in words)
        try:
            self.wait(f"{words} in {selector}", found, timeout_s)
        except AssertionError as error:
            raise AssertionError(f"{error}; it says {seen[0]!r}") from error
        return seen[0]

    def errors(self):
        return [entry["message"] for entry in self._ask("POST", "/se/log", {"type": "browser"}) if entry["level"] == "SEVERE"]

    def screenshot(self, path):
        shot = self._devtools("Page.captureScreenshot", {"captureBeyondViewport": True, "format": "png"})
        with open(path, "wb") as file:
            file.write(base64.b64decode(shot["data"]))


LEFT, RIGHT, HOME, END, ENTER, TAB = "\ue012", "\ue014", "\ue011", "\ue010", "\ue007", "\ue004"
