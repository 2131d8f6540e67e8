"""Screenshots of every page of a run: python -m tests.tools.screenshots REPORT FOLDER.

REPORT is a folder such as reports/phantom. Each page is shown 390, 1280 and 1920 pixels wide, light and dark, and as it
prints. `<page>-first-<width>.png` is the first screen.
"""

import sys
from pathlib import Path

from playwright.sync_api import sync_playwright
from tests.system.browser.opened import launch, opened

WIDTHS = (390, 1280, 1920)
FIRST = {390: 844, 1280: 800, 1920: 1000}  # height of the first screen by its width
SCHEMES = ("light", "dark")
PAPER = 794  # width of A4 in CSS pixels


def main(report: Path, folder: Path) -> None:
    """Write PNG files and a PDF of each page."""
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
    print(f"The screenshots: {folder}")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
