"""A reader at the page of a rating kit, in a real browser."""

import http.server
import io
import os
import re
import shutil
import statistics
import threading
from contextlib import contextmanager
from functools import partial

import numpy as np
import pandas as pd
import psutil
import pytest
from PIL import Image
from rating_kits import LABELS, make_kit, noise, phantoms, write_images

from synthworth.rating_kit.page import read_questions
from synthworth.rating_kit.seal import unseal
from synthworth.ratings.exports import read_export
from synthworth.ratings.joining import join_ratings

SIZE = 256
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--no-first-run"),
]
DESKTOP, TABLET = {"width": 1366, "height": 768}, {"width": 820, "height": 1180}
SMALL = {"width": 900, "height": 600}
READER = 'C. "K" Müller, MD'


@pytest.fixture(scope="module")
def browser():
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None and not os.environ.get("CI"):
        pytest.skip("no chromium here: apt-get install chromium")
    assert found, "no chromium, and under CI this test must run: see the Makefile's target `browser`"
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def kits(tmp_path_factory):
    """{mode: folder} with a small kit and its key each."""
    folder = tmp_path_factory.mktemp("kits")
    real = {name: phantoms(3, SIZE, name, seed=place) for place, name in enumerate(LABELS)}
    synthetic = {"ddpm": {name: 255 - images[:2] for name, images in real.items()}}
    synthetic["lora"] = {name: images[:2, :, ::-1] for name, images in real.items()}
    inputs = write_images(folder, real, synthetic)
    for mode in ("single", "pair", "prompt"):
        make_kit(folder / mode, inputs, mode, size=SIZE, repeat_share=0.25)
    return {mode: folder / mode for mode in ("single", "pair", "prompt")}


@contextmanager
def opened(browser, address, script="", **settings):
    """A page in a browser of its own, and all requests that it made; errors of its script fail the test.

    `script` runs before the page's own.
    """
    context = browser.new_context(**{"viewport": DESKTOP} | settings)
    requests, errors = [], []
    context.on("request", lambda request: requests.append(request.url))
    context.add_init_script(script)
    page = context.new_page()
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.goto(address if str(address).startswith("http") else f"file://{address}/index.html")
    yield page, requests
    context.close()
    assert errors == []


def begin(page, reader=READER):
    page.fill("#reader", reader)
    page.keyboard.press("Enter")
    wait_for(page, 1)


def wait_for(page, place):
    """Until the item at a place (from 1) is shown and can be rated."""
    shown = "place => since !== null && $('place').textContent.split(' ')[1] === String(place)"
    page.wait_for_function(shown, arg=place)


def export(page, act=lambda page: page.keyboard.press("e")):
    """(name, path, table) of the file that the page exports."""
    with page.expect_download() as download:
        act(page)
    path = download.value.path()
    return download.value.suggested_filename, path, pd.read_csv(path, dtype=str, keep_default_na=False)


def assert_shown(page, frame, file):
    """That a frame shows the image of a file, to within what its enlargement changes."""
    shot = Image.open(io.BytesIO(page.locator(".frame").nth(frame).screenshot())).convert("L")
    side, left, top = min(shot.size), (shot.width - min(shot.size)) / 2, (shot.height - min(shot.size)) / 2
    shown = shot.resize((64, 64), Image.Resampling.BOX, (left, top, left + side, top + side))
    expected = Image.open(file).resize((64, 64), Image.Resampling.BOX)
    # Without the corners, where there are words.
    inside = (slice(8, -8), slice(8, -8))
    assert np.abs(np.asarray(shown, float) - np.asarray(expected, float))[inside].mean() < 2


def pixels(page):
    return np.asarray(Image.open(io.BytesIO(page.locator("#frames").screenshot())).convert("L")).astype(int)


@pytest.mark.parametrize("mode", ["single", "pair", "prompt"])
def test_a_reader_rates_a_whole_kit_by_keyboard(browser, kits, mode, tmp_path):
    key = unseal(kits[mode] / "kit", "open sesame")
    items = sorted(set(key["item"]))
    scores = read_questions(mode)["scores"]
    digits = np.random.default_rng(0)
    typed = {}
    with opened(browser, kits[mode] / "kit") as (page, requests):
        page.screenshot(path=tmp_path / f"{mode}-start.png")
        begin(page)
        for place, item in enumerate(items, start=1):
            wait_for(page, place)
            if place == len(items) // 2:
                page.screenshot(path=tmp_path / f"{mode}.png")
                page.on("dialog", lambda dialog: dialog.accept())
                page.reload()
                assert page.locator("#saved li span").inner_text() == f"{READER}: {place - 1} of {len(items)} rated"
                page.click("text=Resume")
                wait_for(page, place)
            for score in scores:
                digit = int(digits.integers(1, len(score["options"]) + 1))
                page.keyboard.press(str(digit))
                typed.setdefault(score["name"], {})[item] = str(score["options"][digit - 1]["value"])
        assert page.locator("#why").inner_text() == "Done"
        # A reader who closes the page now, and exports another day, has the last item's time, too.
        places = ("JSON.parse(localStorage[ratings.key])", "ratings")
        kept, spent = (page.evaluate(f"{place}.seconds[kit.items.at(-1).item]") for place in places)
        assert kept == spent > 0
        name, path, table = export(page, lambda page: page.click("#save"))
        joined = join_ratings([read_export(path)], {key["kit"][0]: key})
        assert {url.split("?")[0] for url in requests if not url.startswith("blob:")} <= {
            f"file://{path}" for path in (kits[mode] / "kit").rglob("*")
        }
    assert name == f"ratings-{mode}-{key['kit'][0]}-C_K_Müller_MD.csv"
    assert list(table) == ["kit", "mode", "reader", "item", *typed, "seconds"]
    assert table["item"].tolist() == items
    assert {column: set(table[column]) for column in ("kit", "mode", "reader")} == {
        "kit": set(key["kit"]),
        "mode": {mode},
        "reader": {READER},
    }
    for column, values in typed.items():
        assert dict(zip(table["item"], table[column], strict=True)) == values
    assert (table["seconds"].astype(float) < 60).all()
    # The study reads what was typed; a preference counts towards the real image.
    real_on_right = set(key.loc[(key["source"] == "real") & (key["side"] == "right"), "item"])
    assert set(joined["reader"]) == {READER}
    assert list(dict.fromkeys(joined["score"])) == list(typed)
    for row in joined.itertuples():
        sign = -1 if mode == "pair" and row.item not in real_on_right else 1
        assert row.value == sign * int(typed[row.score][row.item])
    assert len(joined) == len(items) * len(typed)


def test_single_scores_span_the_paper_s_scales_and_others_those_of_roentgen():
    values = {
        (mode, score["name"]): [option["value"] for option in score["options"]]
        for mode in ("single", "pair", "prompt")
        for score in read_questions(mode)["scores"]
    }
    assert values == {
        ("single", "quality"): [1, 2, 3, 4, 5],
        ("single", "plausibility"): [1, 2, 3],
        ("pair", "preference"): [-2, -1, 0, 1, 2],
        ("prompt", "agreement"): [-2, -1, 0, 1, 2],
    }


def test_the_reader_sees_the_image_and_the_finding_of_the_item(browser, kits):
    key = pd.read_csv(kits["single"] / "key.csv", dtype=str, keep_default_na=False)
    with opened(browser, kits["single"] / "kit", viewport=SMALL) as (page, _):
        begin(page)
        for place, row in enumerate(key.itertuples(), start=1):
            wait_for(page, place)
            assert page.locator("#shown").inner_text() == LABELS[row[1 + list(key).index("class")]]
            assert_shown(page, 0, kits["single"] / "kit" / row.file)
            page.keyboard.press("ArrowRight")


def test_pairs_show_the_left_image_on_the_left_and_tell_nothing(browser, kits):
    key = pd.read_csv(kits["pair"] / "key.csv", dtype=str, keep_default_na=False).set_index(["item", "side"])
    with opened(browser, kits["pair"] / "kit", viewport=SMALL) as (page, _):
        begin(page)
        for place, item in enumerate(sorted(set(key.index.get_level_values("item"))), start=1):
            wait_for(page, place)
            for frame, side in enumerate(("left", "right")):
                assert_shown(page, frame, kits["pair"] / "kit" / key.loc[(item, side), "file"])
                assert page.locator(".frame").nth(frame).inner_text() == side.capitalize()
                label = page.locator(".frame canvas").nth(frame).get_attribute("aria-label")
                assert label == f"Pair {place} of {len(key) // 2}, {side}"
            page.keyboard.press("ArrowRight")


def test_ratings_can_be_mended_skipped_and_exported_at_any_time(browser, kits):
    with opened(browser, kits["single"] / "kit") as (page, _):
        begin(page)
        page.keyboard.type("4")
        page.keyboard.press("6")
        page.keyboard.press("5")
        assert page.locator("#status").inner_text() == "Press 1 to 3"
        page.keyboard.press("2")
        wait_for(page, 2)
        # Taken back, it is shown again, with the question that is open.
        page.keyboard.press("Backspace")
        wait_for(page, 1)
        assert page.locator("fieldset.active").get_attribute("data-score") == "plausibility"
        page.keyboard.press("3")
        wait_for(page, 2)
        page.keyboard.press("ArrowLeft")
        wait_for(page, 1)
        # A change of what is rated turns no page.
        page.keyboard.press("1")
        assert page.locator("#place").inner_text().startswith("Image 1 ")
        page.keyboard.press("n")
        wait_for(page, 2)
        page.keyboard.press("ArrowRight")
        wait_for(page, 3)
        page.keyboard.press("q")
        page.keyboard.press("2")
        *_, table = export(page)
        found = table.set_index("item")[["quality", "plausibility"]].to_numpy().tolist()
        assert found == [["1", "3"], ["", "2"]]
        assert [int(item) for item in table["item"]] == [1, 3]
        page.keyboard.press("o")
        states = page.locator("#grid button").evaluate_all("all => all.map(each => each.getAttribute('aria-label'))")
        assert states[:4] == ["Image 1, rated", "Image 2, not rated", "Image 3, partly rated", "Image 4, not rated"]
        page.locator("#grid button").nth(4).click()
        wait_for(page, 5)


def test_leaving_warns_of_ratings_that_are_not_exported(browser, kits):
    with opened(browser, kits["pair"] / "kit") as (page, _):
        warnings = []
        page.on("dialog", lambda dialog: (warnings.append(dialog.type), dialog.accept()))
        begin(page)
        page.reload()
        assert warnings == []
        page.click("text=Resume") if page.locator("#saved li").count() else begin(page)
        wait_for(page, 1)
        page.keyboard.press("1")
        wait_for(page, 2)
        page.reload()
        assert warnings == ["beforeunload"]
        page.click("text=Resume")
        wait_for(page, 2)
        export(page)
        page.reload()
        assert warnings == ["beforeunload"]


# An hour passes on the page's clock with each call of `later`.
LATER = """const now = performance.now.bind(performance);
let ahead = 0;
performance.now = () => now() + ahead;
window.later = () => (ahead += 3600e3);"""


def test_a_break_hides_the_images_and_counts_no_time(browser, kits):
    with opened(browser, kits["prompt"] / "kit", script=LATER) as (page, _):
        begin(page)
        page.keyboard.press("p")
        assert not page.locator(".frame").is_visible()
        page.keyboard.press("3")
        page.evaluate("later()")
        page.keyboard.press("Enter")
        wait_for(page, 1)
        page.keyboard.press("3")
        *_, table = export(page)
        assert table["agreement"].tolist() == ["0"]
        assert float(table["seconds"][0]) < 600


def test_overview_and_help_count_no_time_and_what_is_looked_at_after_them_does(browser, kits):
    def seconds(page):
        return page.evaluate("spend() ?? ratings.seconds[kit.items[place].item]")

    with opened(browser, kits["prompt"] / "kit", script=LATER) as (page, _):
        begin(page)
        for key in "oh":
            page.keyboard.press(key)
            page.evaluate("later()")
            # Nor after the reader went away and came back.
            page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
            page.evaluate("later()")
            page.keyboard.press("Escape")
            wait_for(page, 1)
        page.keyboard.press("o")
        page.evaluate("later()")
        page.locator("#grid button").nth(2).click()
        wait_for(page, 3)
        assert page.evaluate("ratings.seconds[kit.items[0].item]") < 600
        page.evaluate("later()")
        assert 3600 <= seconds(page) < 4200
        # A dialog that another screen closes does not let the time go on below it.
        page.keyboard.press("ArrowLeft")
        wait_for(page, 2)
        page.keyboard.press("o")
        page.evaluate("stop('', '', () => go(place))")
        page.wait_for_timeout(100)
        page.evaluate("later()")
        assert page.evaluate("since") is None
        assert seconds(page) < 600


def test_readers_of_one_browser_have_ratings_of_their_own_and_can_delete_them(browser, kits):
    with opened(browser, kits["prompt"] / "kit") as (page, _):
        page.on("dialog", lambda dialog: dialog.accept())
        for reader, keys in (("A", "1"), ("B", "55")):
            begin(page, reader)
            for place, digit in enumerate(keys, start=1):
                wait_for(page, place)
                page.keyboard.press(digit)
            page.reload()
        page.locator("#saved li").nth(1).wait_for()
        texts = page.locator("#saved li span").all_inner_texts()
        assert [text.split(" of")[0] for text in texts] == ["A: 1", "B: 2"]
        # Enter that is held down on "Delete" confirms nothing.
        page.get_by_label("Delete the ratings of A", exact=True).focus()
        page.keyboard.down("Enter")
        page.keyboard.down("Enter")
        assert page.locator("#sure").is_visible()
        page.keyboard.up("Enter")
        page.locator("#sure").get_by_text("Keep").click()
        assert page.locator("#saved li").count() == 2
        page.get_by_label("Delete the ratings of A", exact=True).click()
        page.locator("#sure button[value=delete]").click()
        page.wait_for_function("() => document.querySelectorAll('#saved li').length === 1")
        page.get_by_label("Resume as B").click()
        wait_for(page, 3)
        *_, table = export(page)
        assert table["agreement"].tolist() == ["2", "2"]
        assert set(table["reader"]) == {"B"}


def rated_in_another_window(page, place=2, digit="2"):
    second = page.context.new_page()
    second.goto(page.url)
    second.click("text=Resume")
    wait_for(second, place)
    second.keyboard.press(digit)
    wait_for(second, place + 1)
    return second


def test_a_second_window_stops_the_first_one_instead_of_overwriting_it(browser, kits):
    with opened(browser, kits["prompt"] / "kit") as (page, _):
        begin(page)
        page.keyboard.press("1")
        wait_for(page, 2)
        second = rated_in_another_window(page)
        page.wait_for_selector("#stopped:not([hidden])")
        assert page.locator("#why").inner_text() == "Open in another window"
        second.close()
        page.click("#go")
        wait_for(page, 3)
        assert export(page)[-1]["agreement"].tolist() == ["-2", "-1"]


@pytest.mark.parametrize("stop", ["pause()", "finish()", "overview()"])
def test_what_another_window_rates_during_a_break_is_kept(browser, kits, stop):
    with opened(browser, kits["prompt"] / "kit") as (page, _):
        begin(page)
        page.keyboard.press("1")
        wait_for(page, 2)
        page.evaluate(stop)
        second = rated_in_another_window(page)
        page.wait_for_function("() => ratings.complete === 2")
        assert page.locator("#why").inner_text() == "Open in another window"
        assert page.locator("dialog[open]").count() == 0
        second.close()
        assert export(page, lambda page: page.click("#save"))[-1]["agreement"].tolist() == ["-2", "-1"]
        page.click("#go")
        wait_for(page, 3)
        assert page.locator("#undo").is_disabled()
        page.keyboard.press("3")
        wait_for(page, 4)
        assert export(page)[-1]["agreement"].tolist() == ["-2", "-1", "0"]
        page.reload()
        assert page.locator("#saved li span").inner_text().startswith(f"{READER}: 3 of ")


def test_a_key_that_is_held_acts_on_one_item_and_only_arrows_go_on(browser, kits):
    def hold(page, key):
        for _ in range(3):
            page.keyboard.down(key)
            page.wait_for_function("() => since !== null")
        page.keyboard.up(key)
        return page.evaluate("[place + 1, ratings.complete]")

    with opened(browser, kits["prompt"] / "kit") as (page, _):
        begin(page)
        assert hold(page, "1") == [2, 1]
        assert hold(page, "2") == [3, 2]
        assert hold(page, "Backspace") == [2, 1]
        assert hold(page, "n") == [3, 1]
        assert hold(page, "ArrowLeft") == [1, 1]
    with opened(browser, kits["single"] / "kit") as (page, _):
        begin(page)
        assert hold(page, "1") == [1, 0]


def test_enter_that_is_held_presses_a_button_once(browser, kits):
    def hold(page, button):
        page.locator(button).focus()
        for _ in range(3):
            page.keyboard.down("Enter")
            page.wait_for_timeout(50)
        page.keyboard.up("Enter")

    with opened(browser, kits["prompt"] / "kit") as (page, _):
        begin(page)
        for place in (1, 2, 3):
            page.keyboard.press("1")
            wait_for(page, place + 1)
        hold(page, "#undo")
        assert page.evaluate("ratings.complete") == 2
        hold(page, "#pause")
        assert page.locator("#stopped").is_visible()
        page.keyboard.press("Enter")
        wait_for(page, 3)
        hold(page, "#help")
        assert page.locator("#keys").is_visible()


PRESS = "init => document.dispatchEvent(new KeyboardEvent('keydown', init))"


def test_the_row_of_digits_rates_where_signs_stand_on_it(browser, kits):
    with opened(browser, kits["single"] / "kit") as (page, _):
        begin(page)
        quality = "ratings.get(kit.items[0].item, 'quality')"

        def press(key, code, **more):
            page.evaluate("activate('quality')")
            page.evaluate(PRESS, {"key": key, "code": code, **more})
            return page.evaluate(f"[{quality}, viewer.zoom]")

        # French.
        assert press("&", "Digit1") == [1, 1]
        assert press("5", "Digit5", shiftKey=True) == [5, 1]
        assert press("{", "Digit4", modifierAltGraph=True) == [5, 1]
        # Czech: no zoom, held down neither; a Swiss plus zooms, a French minus too.
        assert press("+", "Digit1") == [1, 1]
        assert press("ě", "Digit2") == [2, 1]
        assert press("+", "Digit1", repeat=True) == [2, 1]
        assert press("+", "Digit1", shiftKey=True) == [2, 1.25]
        assert press("-", "Digit6") == [2, 1]
        assert press("End", "Numpad1") == [2, 1]


FULL = "Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError'); };"
BARRED = "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('no', 'SecurityError'); } });"


@pytest.mark.parametrize("script", [FULL, BARRED], ids=["full", "barred"])
def test_a_browser_that_keeps_nothing_says_so_and_exports(browser, kits, script):
    with opened(browser, kits["prompt"] / "kit", script=script) as (page, _):
        assert page.locator("#unkept").is_visible()
        begin(page)
        assert page.get_by_role("alert").inner_text() == "This browser does not keep your ratings: export them now."
        page.keyboard.press("1")
        wait_for(page, 2)
        page.keyboard.press("p")
        assert page.locator("#stopped .unkept").is_visible()
        page.keyboard.press("Enter")
        wait_for(page, 2)
        page.keyboard.press("2")
        wait_for(page, 3)
        assert export(page)[-1]["agreement"].tolist() == ["-2", "-1"]


def test_what_only_memory_holds_is_told_and_outlives_a_second_window(browser, kits):
    with opened(browser, kits["prompt"] / "kit") as (page, _):
        begin(page)
        for place in (1, 2):
            page.keyboard.press("1")
            wait_for(page, place + 1)
        assert page.get_by_role("alert").count() == 0
        page.evaluate(f"() => {{ window.setItem = Storage.prototype.setItem; {FULL} }}")
        page.keyboard.press("2")
        wait_for(page, 4)
        assert page.get_by_role("alert").is_visible()
        rated_in_another_window(page, 3, "5").close()
        page.keyboard.press("3")
        wait_for(page, 5)
        assert export(page)[-1]["agreement"].tolist() == ["-2", "-2", "-1", "0"]
        # With room again it does not overwrite what the other window kept.
        page.evaluate("() => { Storage.prototype.setItem = window.setItem; }")
        page.keyboard.press("4")
        wait_for(page, 6)
        assert page.get_by_role("alert").is_visible()
        assert page.evaluate("Ratings.saved(kit)[0].rated") == 3


def test_ratings_are_kept_again_once_there_is_room(browser, kits):
    with opened(browser, kits["prompt"] / "kit") as (page, _):
        begin(page)
        page.evaluate(f"() => {{ window.setItem = Storage.prototype.setItem; {FULL} }}")
        page.keyboard.press("2")
        wait_for(page, 2)
        assert page.get_by_role("alert").is_visible()
        page.evaluate("() => { Storage.prototype.setItem = window.setItem; }")
        page.keyboard.press("2")
        wait_for(page, 3)
        assert page.get_by_role("alert").count() == 0
        assert page.evaluate("Ratings.saved(kit)[0].rated") == 2


# No event tells of what was written while a page lay in the browser's history.
WRITTEN = """() => {
  const { kit, reader } = ratings;
  const other = new Ratings(kit, reader);
  other.rate(kit.items[1].item, "agreement", 2);
}"""


@pytest.mark.parametrize("act", ["rate('agreement', 0, true)", "go(3)", "pause()", "exportFile()", "undo()"])
def test_a_page_that_comes_back_overwrites_nothing(browser, kits, act):
    with opened(browser, kits["prompt"] / "kit") as (page, _):
        begin(page)
        page.keyboard.press("1")
        wait_for(page, 2)
        page.evaluate(WRITTEN)
        page.evaluate(act)
        assert page.locator("#why").inner_text() == "Open in another window"
        page.click("#go")
        wait_for(page, 2)
        assert export(page)[-1]["agreement"].tolist() == ["-2", "2"]


def test_an_image_that_is_not_on_the_screen_cannot_be_rated(browser, kits):
    with opened(browser, kits["prompt"] / "kit") as (page, _):
        begin(page)
        # The next image takes its time, and the reader goes away and comes back meanwhile.
        page.evaluate(
            """() => {
              const [path] = kit.items[1].images;
              const loading = images.held.get(path);
              images.held.set(path, new Promise((resolve) => (window.arrive = () => resolve(loading))));
            }"""
        )
        page.keyboard.press("ArrowRight")
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        page.keyboard.press("1")
        assert page.evaluate("ratings.scores") == {}
        page.evaluate("arrive()")
        wait_for(page, 2)
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        page.keyboard.press("1")
        assert page.evaluate("ratings.get(kit.items[1].item, 'agreement')") == -2


def test_an_image_that_is_missing_is_named_and_cannot_be_rated(browser, kits, tmp_path):
    shutil.copytree(kits["single"] / "kit", tmp_path / "kit")
    key = pd.read_csv(kits["single"] / "key.csv", dtype=str)
    (tmp_path / "kit" / key["file"][0]).unlink()
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"file://{tmp_path}/kit/index.html")
    page.fill("#reader", "A")
    page.keyboard.press("Enter")
    page.wait_for_function("() => $('place').textContent.includes('is the folder complete?')")
    page.keyboard.press("1")
    assert page.evaluate("ratings.csv()").count("\n") == 1
    # Nor after the reader went away and came back.
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.keyboard.press("1")
    assert page.evaluate("ratings.csv()").count("\n") == 1
    context.close()


def test_zoom_window_and_level_by_mouse_keys_and_buttons(browser, kits):
    with opened(browser, kits["single"] / "kit") as (page, _):
        begin(page)
        plain = pixels(page)
        box = page.locator(".frame").bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

        def drag(right, down, button="left"):
            page.mouse.move(x, y)
            page.mouse.down(button=button)
            page.mouse.move(x + right, y + down, steps=4)
            page.mouse.up(button=button)

        # A narrower window shows v as (v - level) / width + 1/2, in black and white beyond its ends.
        drag(-200, 0)
        assert "W 155  L 128" in page.locator("#readout").inner_text()
        expected = np.clip((plain - 127.5) * 255 / 155 + 127.5, 0, 255)
        inside = (slice(20, -60), slice(200, -200))
        assert np.abs(pixels(page) - expected)[inside].mean() < 1
        page.keyboard.press("0")
        np.testing.assert_array_equal(pixels(page), plain)
        drag(0, -100)
        assert pixels(page)[inside].mean() > plain[inside].mean() + 30
        page.mouse.dblclick(x, y)
        np.testing.assert_array_equal(pixels(page), plain)
        # The wheel leaves what is under the pointer where it is.
        page.mouse.move(x + 100, y + 50)
        spot = (slice(int(y + 50 - box["y"]) - 2, int(y + 50 - box["y"]) + 2), int(x + 100 - box["x"]))
        for _ in range(5):
            page.mouse.wheel(0, -100)
        page.wait_for_function("() => viewer.zoom > 2")
        zoomed = pixels(page)
        assert abs(zoomed[spot].mean() - plain[spot].mean()) < 6
        assert np.abs(zoomed - plain).mean() > 5
        place = page.evaluate("[viewer.x, viewer.y]")
        drag(40, 30, button="middle")
        assert page.evaluate("[viewer.x, viewer.y]") == pytest.approx([place[0] + 40, place[1] + 30])
        page.click("#move")
        drag(-40, -30)
        assert page.evaluate("[viewer.x, viewer.y]") == pytest.approx(place)
        page.click("#reset")
        np.testing.assert_array_equal(pixels(page)[inside], plain[inside])
        page.click("#larger")
        assert page.evaluate("viewer.zoom") == 1.25
        page.keyboard.press("-")
        assert page.evaluate("viewer.zoom") == 1
        for keys, change in (("c", "W 239"), ("v", "W 255"), ("b", "L 120"), ("d", "L 128")):
            page.keyboard.press(keys)
            assert change in page.locator("#readout").inner_text()
        # The next image comes as it is.
        page.keyboard.type("cc++")
        page.keyboard.press("ArrowRight")
        wait_for(page, 2)
        assert page.locator("#readout").inner_text().split() == ["100", "%", "W", "255", "L", "128"]


def test_a_tablet_pinches_and_taps(browser, kits, tmp_path):
    settings = {"viewport": TABLET, "has_touch": True, "is_mobile": True}
    for mode in ("single", "pair", "prompt"):
        with opened(browser, kits[mode] / "kit", **settings) as (page, _):
            page.fill("#reader", "A")
            page.tap("text=Begin")
            wait_for(page, 1)
            page.screenshot(path=tmp_path / f"{mode}-tablet.png")
            box = page.locator(".frame").last.bounding_box()
            x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
            touch = page.context.new_cdp_session(page)
            for kind, apart in (("touchStart", 20), ("touchMove", 40), ("touchMove", 60), ("touchEnd", None)):
                points = [{"x": x - apart, "y": y, "id": 0}, {"x": x + apart, "y": y, "id": 1}] if apart else []
                touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
            assert page.evaluate("viewer.zoom") == pytest.approx(3, abs=0.2)
            page.mouse.move(x, y)
            page.mouse.wheel(0, -100)
            page.wait_for_function("() => viewer.zoom > 3.3")
            # The middle stays in the middle.
            middle = page.evaluate("viewer.x / (1 - viewer.zoom) / viewer.frames[0].clientWidth")
            assert middle == pytest.approx(0.5, abs=0.01)
            for score in read_questions(mode)["scores"]:
                page.locator(f"[data-score={score['name']}] label").nth(1).tap()
            wait_for(page, 2)
            row = page.evaluate("ratings.csv()").splitlines()[1].split(",")
            assert row[4:-1] == [str(score["options"][1]["value"]) for score in read_questions(mode)["scores"]]
            for viewport in (TABLET, {"width": 1180, "height": 820}):
                page.set_viewport_size(viewport)
                small = page.evaluate(SMALL_TARGETS)
                assert small == []
                assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
                assert page.locator(".frame").first.bounding_box()["height"] > 250
                assert page.locator("#next").bounding_box()["y"] + 44 <= viewport["height"]


SMALL_TARGETS = """[...document.querySelectorAll("button, .options label")]
    .filter((each) => each.checkVisibility())
    .filter((each) => each.getBoundingClientRect().height < 44 || each.getBoundingClientRect().width < 44)
    .map((each) => each.textContent)"""

# WCAG 2.2: of each text the contrast with the first opaque ground below it (1.4.3), and of each control that of its
# boundary with the ground around it (1.4.11).
CONTRASTS = """() => {
  const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, place) => sum + v * [0.2126, 0.7152, 0.0722][place], 0);
  const opaque = (each) => {
    while (each && (channels(getComputedStyle(each).backgroundColor)[3] ?? 1) < 0.7) each = each.parentElement;
    return luminance(channels(getComputedStyle(each).backgroundColor));
  };
  const contrast = (one, other) => (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
  const controls = [...document.querySelectorAll("button, input")]
    .filter((each) => each.checkVisibility() && !each.matches(":disabled"))
    .map((each) => [
      each.id || each.name || each.textContent,
      contrast(luminance(channels(getComputedStyle(each).borderTopColor)), opaque(each.parentElement)),
    ]);
  const texts = [];
  for (const each of document.querySelectorAll("body *")) {
    const text = [...each.childNodes].filter((node) => node.nodeType === 3).map((node) => node.data.trim()).join("");
    if (!text || !each.checkVisibility() || each.matches(":disabled, script, style, .unseen")) continue;
    /* The words of an option lie on its input. */
    const ground = opaque(each.closest(".options label")?.querySelector("input") ?? each);
    texts.push([text.slice(0, 30), contrast(luminance(channels(getComputedStyle(each).color)), ground)]);
  }
  return { texts, controls };
}"""


@pytest.mark.parametrize("mode", ["single", "pair", "prompt"])
def test_controls_have_names_and_texts_have_contrast(browser, kits, mode):
    with opened(browser, kits[mode] / "kit", reduced_motion="reduce") as (page, _):
        seen = [page.evaluate(CONTRASTS)]
        begin(page)
        page.keyboard.press("1")
        page.wait_for_timeout(100)
        seen.append(page.evaluate(CONTRASTS))
        page.keyboard.press("o")
        seen.append(page.evaluate(CONTRASTS))
        page.keyboard.press("Escape")
        for what, least, needed in (("texts", 50, 4.5), ("controls", 30, 3)):
            contrasts = [pair for screen in seen for pair in screen[what]]
            assert len(contrasts) > least
            assert [name for name, contrast in contrasts if contrast < needed] == []
        for role, least in (("button", 10), ("radio", 5), ("radiogroup", 1), ("img", 1), ("progressbar", 1)):
            named = page.get_by_role(role, name=re.compile(r"\w|[−+]")).count()
            assert named == page.get_by_role(role).count() >= least, role
        assert page.locator("html").get_attribute("lang") == "en"
        assert page.evaluate("getComputedStyle($('next')).transitionDuration") == "0s"
        # Keys reach everything, in the order in which it stands.
        page.evaluate("document.activeElement.blur()")
        order = []
        for _ in range(20):
            page.keyboard.press("Tab")
            focus = page.evaluate(
                "[document.activeElement.id || document.activeElement.name, "
                "getComputedStyle(document.activeElement).outlineStyle]"
            )
            if focus[0] in [name for name, _ in order]:
                break
            order.append(focus)
        names = [name for name, _ in order if name]
        assert names[:8] == ["help", "overview", "pause", "export", "smaller", "larger", "move", "reset"]
        scores = [score["name"] for score in read_questions(mode)["scores"]]
        assert names[8:] == [*scores, *(["previous"] if mode != "single" else []), "next", "unrated", "undo"]
        assert {outline for name, outline in order if name} == {"solid"}


def test_arrow_keys_within_a_question_choose_and_turn_no_page(browser, kits):
    with opened(browser, kits["prompt"] / "kit") as (page, _):
        begin(page)
        page.locator("input[value='-1']").focus()
        page.keyboard.press("ArrowDown")
        assert page.locator("#place").inner_text().startswith("Image 1 ")
        assert page.evaluate("ratings.get(kit.items[0].item, 'agreement')") == 0


def test_the_policy_of_the_page_forbids_every_connection(browser, kits):
    reached = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self):
            reached.append(self.path)
            super().do_GET()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=kits["single"] / "kit"))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    elsewhere = f"http://127.0.0.1:{server.server_port}"
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"file://{kits['single']}/kit/index.html")
    blocked = page.evaluate(
        """async (url) => {
          const blocked = [];
          document.addEventListener("securitypolicyviolation", (event) => blocked.push(event.effectiveDirective));
          new Image().src = url + "/a.png";
          await fetch(url + "/b").catch(() => {});
          navigator.sendBeacon(url + "/c", "d");
          const script = document.createElement("script");
          script.src = url + "/e.js";
          document.body.append(script);
          await new Promise((resolve) => setTimeout(resolve, 300));
          return blocked;
        }""",
        elsewhere,
    )
    assert {"img-src", "connect-src", "script-src-elem"} <= set(blocked)
    assert reached == []
    context.close()
    # From a web server the kit works too, and asks for nothing but its own files.
    with opened(browser, elsewhere) as (page, requests):
        begin(page)
        page.keyboard.type("11")
        wait_for(page, 2)
        assert all(url.startswith(elsewhere) for url in requests)
        assert 3 <= len([path for path in reached if path.startswith("/images/")]) <= 6
    server.shutdown()


@pytest.mark.parametrize(("items", "size"), [(625, SIZE), (5000, 32)])
def test_large_kits_load_at_once_and_page_without_lag(browser, tmp_path, items, size):
    real = {name: noise(2, size) for name in LABELS}
    inputs = write_images(tmp_path, real, {"gan": {name: noise(items // 2 + 1, size, seed=2) for name in LABELS}})
    settings = {"images": items // 2 + 1, "real_share": 0.0, "repeat_share": 0.0, "size": size}
    make_kit(tmp_path, inputs, "single", **settings)
    with opened(browser, tmp_path / "kit") as (page, requests):
        loaded = page.evaluate("performance.now()") / 1000
        begin(page)
        begun = page.evaluate("performance.getEntriesByType('navigation')[0].domComplete") / 1000
        assert begun < 2
        assert loaded < 2
        times = page.evaluate(
            """async () => {
              const times = [];
              for (let step = 0; step < 50; step++) {
                const start = performance.now();
                await go(place + 1);
                await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
                rate("quality", 1 + (step % 5), true);
                rate("plausibility", 1 + (step % 3), false);
                times.push(performance.now() - start);
              }
              return times;
            }"""
        )
        assert statistics.median(times) < 100
        assert page.evaluate("ratings.complete") == 50
        held = page.evaluate(
            "Promise.all(images.held.values()).then((all) => all.map((bitmap) => bitmap.width * bitmap.height))"
        )
        assert held == [size * size] * 5
        assert page.evaluate("document.images.length") == 0
        assert len([url for url in requests if url.endswith(".png")]) < 60
        print(f"\n{items} items: loaded in {loaded:.2f} s, a page in {statistics.median(times):.0f} ms")


def test_the_memory_of_images_that_have_gone_by_is_given_back(browser, tmp_path):
    size, items = 1024, 40
    real = {name: noise(2, size) for name in LABELS}
    inputs = write_images(tmp_path, real, {"gan": {name: noise(items // 2, size, seed=2) for name in LABELS}})
    make_kit(tmp_path, inputs, "single", images=items // 2, real_share=0.0, repeat_share=0.0, size=size)
    with opened(browser, tmp_path / "kit") as (page, _):
        begin(page)
        before = renderer_memory()
        for place in range(2, items + 1):
            page.keyboard.press("ArrowRight")
            wait_for(page, place)
        # Playwright keeps the files that a page loads. Their pixels, all together, have 160 MB.
        assert renderer_memory() - before - items * size**2 < 50e6


def renderer_memory():
    """Bytes of the largest process that renders pages."""
    children = psutil.Process().children(recursive=True)
    return max(child.memory_full_info().pss for child in children if "--type=renderer" in child.cmdline())
