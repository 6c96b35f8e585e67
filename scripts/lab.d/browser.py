# SPDX-License-Identifier: GPL-2.0-only
"""A headless Chromium that reads our pages as a person sees them."""

from __future__ import annotations

import base64
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Callable

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.remote.webelement import WebElement

FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
         "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
         "--force-color-profile=srgb", "--lang=en")

# The contrast of each visible text, and of each of the elements, to what is behind it: the
# ratio of WCAG 2, after all opacities.
CONTRAST = """
const [root, marks] = arguments;
const rgba = (text, or) => {
	const n = (text.match(/rgba?\\(([^)]*)\\)/) || [ '', or ])[1].split(',').map(Number);
	return n.length == 3 ? [ ...n, 1 ] : n;
};
const over = (top, under) => [ 0, 1, 2 ].map(i => top[i] * top[3] + under[i] * (1 - top[3])).concat(1);
const light = c => c.slice(0, 3).map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
	.reduce((sum, v, i) => sum + v * [ .2126, .7152, .0722 ][i], 0);
const chain = node => { const found = []; for (; node && node.nodeType == 1; node = node.parentNode) found.unshift(node); return found; };
const ratio = (node, property) => {
	let back = [ 255, 255, 255, 1 ], shown = 1;
	for (const parent of chain(property == 'backgroundColor' ? node.parentNode : node)) {
		back = over(rgba(getComputedStyle(parent).backgroundColor, '0,0,0,0'), back);
		shown *= +getComputedStyle(parent).opacity;
	}
	const colour = rgba(getComputedStyle(node)[property], '0,0,0,1');
	colour[3] *= shown;
	const [ a, b ] = [ light(over(colour, back)), light(back) ];
	return (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
};
const out = [];
const walk = document.createTreeWalker(document.querySelector(root), NodeFilter.SHOW_TEXT);
while (walk.nextNode()) {
	const node = walk.currentNode.parentNode, text = walk.currentNode.textContent.trim();
	if (text && node.tagName != 'STYLE' && node.getClientRects().length && !node.closest(':disabled'))
		out.push([ text, ratio(node, node.namespaceURI.endsWith('svg') ? 'fill' : 'color') ]);
}
for (const [ selector, property ] of marks)
	for (const node of document.querySelectorAll(selector))
		out.push([ selector, ratio(node, property) ]);
return out;
"""


class Browser:
    def __init__(self) -> None:
        # The browser ends with this process, however the process ends.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        self.profile = tempfile.mkdtemp(prefix="browser-")
        options = webdriver.ChromeOptions()
        for flag in (*FLAGS, f"--user-data-dir={self.profile}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        # With the path, Selenium does not search for a driver elsewhere.
        self.driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
        self.driver.set_page_load_timeout(30)
        self.size(1000, 800)

    def close(self) -> None:
        self.driver.quit()
        shutil.rmtree(self.profile, ignore_errors=True)

    def size(self, width: int, height: int) -> None:
        """The width of the page, which may be smaller than any window."""
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500})

    def open(self, url: str) -> None:
        self.driver.get(url)

    def js(self, script: str, *args: Any) -> Any:
        return self.driver.execute_script(script, *args)

    def find(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements("css selector", selector)

    def text(self, selector: str) -> str:
        """The visible text; text that changes meanwhile is read again."""
        for _ in range(10):
            try:
                return "\n".join(e.text for e in self.find(selector))
            except StaleElementReferenceException:
                time.sleep(0.05)
        raise AssertionError(f"{selector} does not keep still")

    def rows(self, selector: str) -> list[list[str]]:
        """The cells of a table."""
        return self.js("return [...document.querySelectorAll(arguments[0] + ' tr:not(.table-titles):not(.placeholder)')]"
                       ".map(tr => [...tr.cells].map(td => td.innerText))", selector)

    def click(self, selector: str) -> None:
        """Finds and clicks in one step, since polling may replace the element at any time."""
        self.wait(lambda: self.js("const e = document.querySelector(arguments[0]); if (!e || e.disabled) return false;"
                                  "e.click(); return true", selector), f"nothing to click on: {selector}")

    def type(self, selector: str, text: str) -> None:
        self.js("const e = document.querySelector(arguments[0]); e.value = arguments[1];"
                "e.dispatchEvent(new Event('change'))", selector, text)

    def wait(self, true: Callable[[], Any], else_: str, seconds: float = 10) -> Any:
        deadline = time.monotonic() + seconds
        while not (value := true()):
            if time.monotonic() > deadline:
                raise AssertionError(else_)
            time.sleep(0.1)
        return value

    def complaints(self) -> list[str]:
        """Errors and warnings of the console since the last call."""
        return [f"{e['level']}: {e['message']}" for e in self.driver.get_log("browser")
                if e["level"] in ("SEVERE", "WARNING")]

    def contrast(self, root: str, marks: list[tuple[str, str]]) -> list[tuple[str, float]]:
        return [(what, ratio) for what, ratio in self.js(CONTRAST, root, marks)]

    def shot(self, path: Path, width: int) -> None:
        """The whole page, as high as it is."""
        self.size(width, 600)
        time.sleep(0.5)
        height = self.js("return document.documentElement.scrollHeight")
        data = self.driver.execute_cdp_cmd("Page.captureScreenshot", {
            "captureBeyondViewport": True, "clip": {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}})
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(data["data"]))
