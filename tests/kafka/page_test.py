#!/usr/bin/python3
"""The service's page in a real browser: a look-up, live updates, hostile ids, a user without interests, a broker that goes."""

import json
import os
import re
import time
import urllib.parse
import urllib.request

import numpy as np

import ms_browser
import ms_kafka
import ms_model

# A person could paste any of these.
HOSTILE = ["<img src=x onerror=document.title='broken'>", "../../etc/passwd", "a/b?c#d", "50%", "%2F", "ünïcödé", "日本語", "\u202eright to left",
           "'; drop table users; --", "{}", "\\", " blank ", "a&b=c", "+", "u" * 900, "🙂🙂", "\"quoted\"", "$" + "{1}"]
SHOTS = os.environ.get("MS_SCREENSHOTS")  # a directory to keep pictures of the page in


def make_model(scenario):
    rng = np.random.default_rng(5)
    centres = rng.normal(size=(4, 16))
    ids = [f"item-{n}" for n in range(80)]
    items = (centres[np.arange(80) % 4] + 0.4 * rng.normal(size=(80, 16))).astype(np.float32)
    ms_model.write_model(scenario.model_dir, {"extractor": "mind", "dim": 16, "interests": 4, "max_behaviors": 50, "interest_count": "fixed"},
                         {"item_embedding": items, "routing.bilinear": np.eye(16, dtype=np.float32)}, ids)
    meta = os.path.join(scenario.directory, "items.jsonl")
    with open(meta, "w", encoding="utf-8") as file:
        for n, item in enumerate(ids[:40]):
            title = f"<b>Shoe</b> {n}" if n == 4 else f"Shoe {n}"
            file.write(json.dumps({"item_id": item, "title": title, "image": "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"}) + "\n")
    return meta


class World:
    """A broker of its own, a service with HTTP, and what clicks."""

    def __init__(self, scenario, kafka):
        self.scenario, self.kafka = scenario, kafka
        scenario.kafka = kafka
        scenario.topics(partitions=2)
        self.producer = kafka.producer()
        self.time_ms = int(time.time() * 1000) - 3600000
        self.service = scenario.service(http_listen="127.0.0.1:0", items_meta=make_model(scenario), routing_mode="incremental", publish_mode="latest").start()
        self.service.wait_log(r"\bhttp\b.*\bport=\d+")
        self.root = "http://127.0.0.1:" + re.search(r"\bhttp\b.*\bport=(\d+)", self.service.log()).group(1)

    def click(self, user, *items, kind="click"):
        for item in items:
            self.time_ms += 1000
            key, value = ms_kafka.event(user, item, self.time_ms, kind)
            self.producer.produce(self.scenario.input, value, key)
        self.producer.flush()

    def version(self, user):
        try:
            with urllib.request.urlopen(f"{self.root}/v1/users/{urllib.parse.quote(user, safe='')}", timeout=10) as answer:
                return json.load(answer)["version"]
        except urllib.error.HTTPError:
            return 0

    def wait_version(self, user, version):
        ms_kafka.wait_for(f"version {version} of {user}", lambda: self.version(user) == version)


def shot(page, name):
    if SHOTS:
        page.screenshot(os.path.join(SHOTS, f"{name}.png"))


def look_up(world, page):
    page.go(world.root)
    page.wait_text("#message", "Enter a user id")
    page.wait_text("#state-text", "running", timeout_s=60)
    assert page.errors() == [], page.errors()
    page.type("#query", "ann")
    page.press("#query", ms_browser.ENTER)
    page.wait_text("#user-facts", "version 30", "4 interests", "30 behaviors")
    assert page.text("#user-title") == "ann"
    assert page.count("#map .behavior") == 30 and page.count("#map .interest") == 4
    assert page.count("#interests li") == 4 and page.count("#table tbody tr") == 30
    page.wait("recommended items", lambda: page.count("#recommended li") == 12)
    assert page.count("#band rect") >= 30
    assert "Shoe" in page.text("#interests"), page.text("#interests")
    assert page.count("#recommended b") == 0 and page.script("return document.title") == "mindstream"
    shot(page, "look-up")


def by_keyboard(page):
    """The history is a slider: its value is told in words, and the map marks the behavior."""
    assert page.attribute("#band", "role") == "slider" and page.attribute("#band", "aria-valuemax") == "30"
    page.press("#band", ms_browser.HOME)
    assert page.attribute("#band", "aria-valuenow") == "1"
    page.press("#band", ms_browser.RIGHT)
    assert page.attribute("#band", "aria-valuenow") == "2"
    assert "(2 of 30): interest" in page.attribute("#band", "aria-valuetext"), page.attribute("#band", "aria-valuetext")
    assert page.attribute("#map .picked", "data-index") == "1"
    page.press("#band", ms_browser.END)
    assert page.attribute("#band", "aria-valuenow") == "30"
    unnamed = page.script("""return [...document.querySelectorAll('button, input, svg[role=img], [tabindex="0"]')].filter((e) => e.getClientRects().length &&
        !(e.textContent.trim() || e.getAttribute('aria-label') || e.getAttribute('aria-labelledby') || (e.labels && e.labels.length))).map((e) => e.outerHTML)""")
    assert unnamed == [], unnamed


def live(world, page):
    """A click in the topic shows without a hand on the page, within seconds."""
    before = page.attribute('#map [data-key="i0"]', "data-at"), page.text("#interests")
    shot(page, "before-a-click")
    world.click("ann", "item-3", "item-7", kind="buy")
    page.wait_text("#user-facts", "version 32", timeout_s=20)
    page.wait_text("#change", "Shoe 7", "Interest")
    assert (page.attribute('#map [data-key="i0"]', "data-at"), page.text("#interests")) != before
    assert page.count("#map .behavior") == 32
    shot(page, "after-a-click")


def others(world, page):
    page.click("#hot")
    page.wait_text("#hot-list", "ann")
    page.click("#hot-list button")
    page.wait_text("#user-title", "ann")
    page.wait("last events", lambda: page.count("#events li") > 0)
    page.click("#random")
    page.wait("another user", lambda: page.text("#user-title") in ("bob", "carl"))
    # A user whose items the model does not know has no interests.
    page.go(f"{world.root}/#user=carl")
    page.wait_text("#interests", "No interests")
    assert not page.shown("#map-card")
    shot(page, "no-interests")
    # Nobody, until an event comes.
    page.go(f"{world.root}/#user=newcomer")
    page.wait_text("#message", "No such user")
    shot(page, "unknown-user")
    world.click("newcomer", "item-1")
    page.wait_text("#user-facts", "version 1", timeout_s=20)


def hostile(world, page):
    world.click(HOSTILE[0], "item-1", "item-2")
    world.wait_version(HOSTILE[0], 2)
    for number, name in enumerate(HOSTILE):
        page.go(f"{world.root}/#user={urllib.parse.quote(name, safe='')}")
        if number == 0:
            page.wait_text("#user-facts", "version 2")
        else:
            page.wait_text("#message", "No such user")
        assert page.script("return document.getElementById('user-title').textContent") == name
        assert page.script("return document.title") == "mindstream" and page.count("main img[src=x]") == 0
    severe = [line for line in page.errors() if "404" not in line]
    assert severe == [], severe


def page_shows(scenario):
    with ms_kafka.Kafka(own=True) as kafka:
        world = World(scenario, kafka)
        world.click("ann", *[f"item-{4 * (n % 7) + n // 10}" for n in range(30)])
        world.click("bob", "item-1", "item-2")
        world.click("carl", "unheard-of")
        for user, version in (("ann", 30), ("bob", 2), ("carl", 1)):
            world.wait_version(user, version)
        with ms_browser.Browser() as page:
            look_up(world, page)
            by_keyboard(page)
            live(world, page)
            others(world, page)
            hostile(world, page)
            page.go(f"{world.root}/#user=ann")
            page.wait_text("#user-facts", "version 32")
            kafka.stop()
            page.wait_text("#state-text", "no broker has answered", timeout_s=60)
            assert page.text("#user-title") == "ann" and page.shown("#map")
            shot(page, "no-broker")
            world.service.kill9()
            page.wait_text("#state-text", "has not answered", timeout_s=30)
            shot(page, "no-service")


def page_fits(scenario):
    """A phone, and a dark screen: nothing is wider than the screen, and text stands out from what is behind it."""
    with ms_kafka.Kafka() as kafka:
        world = World(scenario, kafka)
        world.click("ann", *[f"item-{n % 60}" for n in range(60)])
        world.wait_version("ann", 60)
        for name, options in (("phone", {"width": 390, "height": 840}), ("dark", {"dark": True})):
            with ms_browser.Browser(**options) as page:
                page.go(f"{world.root}/#user=ann")
                page.wait_text("#user-facts", "version 60")
                page.wait("recommended items", lambda: page.count("#recommended li") == 12)
                page.wait("tiles", lambda: page.count("#tiles .tile") == 6)
                assert page.script("return document.documentElement.scrollWidth <= innerWidth"), "wider than the screen"
                weak = page.script(CONTRAST)
                assert weak == [], weak
                shot(page, name)
        assert world.service.terminate() == 0


# Texts whose color differs from what is behind them by less than 4.5 to 1 (WCAG 2.1, contrast minimum).
CONTRAST = """
const light = (c) => { const [r, g, b] = c.map((v) => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
const numbers = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
const behind = (e) => { for (; e; e = e.parentElement) { const c = numbers(getComputedStyle(e).backgroundColor); if (c.length === 3 || c[3] === 1) return c.slice(0, 3); }
  return [255, 255, 255]; };
const found = [];
for (const e of document.querySelectorAll('header *, main *')) {
  const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
  if (!own || !e.getClientRects().length || e.closest('svg')) continue;
  const a = light(numbers(getComputedStyle(e).color).slice(0, 3)), b = light(behind(e)), ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  if (ratio < 4.5) found.push(`${e.tagName} ${e.className} ${e.textContent.trim().slice(0, 30)}: ${ratio.toFixed(2)}`);
}
return found;"""


if __name__ == "__main__":
    ms_kafka.main({"page_shows": page_shows, "page_fits": page_fits})
