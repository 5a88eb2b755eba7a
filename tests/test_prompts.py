import pandas as pd

from synthworth.prompts import class_prompt, sampling_prompts, training_prompts

PROMPTS = {
    "source": "template",
    "template": "An X-ray image of the lung, {label}",
    "classes": {"healthy": "A healthy lung"},
}
ROWS = pd.DataFrame({"class": ["healthy", "covid19"], "label": ["no finding", "COVID-19"], "text": ["clear", "hazy"]})


def test_a_class_has_its_own_prompt_or_the_template_with_its_label():
    assert class_prompt(PROMPTS, "healthy", "no finding") == "A healthy lung"
    assert class_prompt(PROMPTS, "covid19", "COVID-19") == "An X-ray image of the lung, COVID-19"


def test_a_prompt_of_the_default_is_taken_back_with_null():
    prompts = PROMPTS | {"classes": {"healthy": None}}
    assert class_prompt(prompts, "healthy", "no finding") == "An X-ray image of the lung, no finding"


def test_braces_other_than_the_label_stay_as_they_are():
    assert class_prompt(PROMPTS | {"template": "{a} {label}"}, "x", "y") == "{a} y"


def test_training_images_are_told_of_by_class_or_by_their_texts():
    assert training_prompts(PROMPTS, ROWS) == ["A healthy lung", "An X-ray image of the lung, COVID-19"]
    assert training_prompts(PROMPTS | {"source": "text"}, ROWS) == ["clear", "hazy"]
    assert training_prompts(None, ROWS) == ["", ""]


def test_a_text_for_an_image_follows_from_its_seed_alone():
    texts = ["clear", "hazy", "dense"]
    drawn = sampling_prompts(PROMPTS | {"source": "text"}, "healthy", "no finding", [7, 8, 9, 7], texts)
    assert drawn[0] == drawn[3]
    assert set(drawn) == set(texts)
    assert sampling_prompts(PROMPTS, "healthy", "no finding", [7, 8], []) == ["A healthy lung"] * 2
    assert sampling_prompts(None, "healthy", "no finding", [7, 8], []) == ["", ""]
