"""Take screenshots of every page in a report: python -m tests.tools.screenshots REPORT FOLDER.

REPORT is a folder such as reports/phantom. Each page is rendered at 390, 1280 and 1920 pixels wide, in light and dark,
and as printed. `<page>-first-<width>.png` shows the part that is visible without scrolling.
"""

import sys
from pathlib import Path

from playwright.sync_api import sync_playwright
from tests.system.browser.opened import launch, opened

WIDTHS = (390, 1280, 1920)
FIRST = {390: 844, 1280: 800, 1920: 1000}  # height of the browser window, by its width
SCHEMES = ("light", "dark")
PAPER = 794  # width of A4 in CSS pixels


def main(report: Path, folder: Path) -> None:
    """Write screenshots (PNG) and a PDF of each page to a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright, launch(playwright) as browser:
        for path in sorted(report.glob("*.html")):
            for width in WIDTHS:
                for scheme in SCHEMES:
                    with opened(browser, path, width, color_scheme=scheme) as shown:
                        shown.page.screenshot(path=folder / f"{path.stem}-{width}-{scheme}.png", full_page=True)
                with opened(browser, path, width, viewport={"width": width, "height": FIRST[width]}) as shown:
                    shown.page.screenshot(path=folder / f"{path.stem}-first-{width}.png")
            with opened(browser, path, PAPER) as shown:
                shown.page.emulate_media(media="print")
                shown.page.screenshot(path=folder / f"{path.stem}-print.png", full_page=True)
                shown.page.pdf(path=folder / f"{path.stem}.pdf", format="A4")
    print(f"Screenshots written to {folder}")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
